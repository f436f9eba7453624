use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use marquee_proto::name::AccountName;
use proptest::prelude::*;

use super::*;
use crate::{Role, Signer};

const HOUR: Duration = Duration::from_secs(3_600);

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn claims() -> Claims {
    Claims::account(&AccountName::new("a1").unwrap(), Role::Viewer, noon(), HOUR)
}

fn verifier(signer: &Signer) -> Verifier {
    Verifier::new(Arc::new(StaticKeys(vec![signer.jwk()])))
}

/// Counts how often it is asked, and may fail.
struct Source {
    keys: RwLock<Result<Vec<Jwk>, &'static str>>,
    asked: AtomicUsize,
}

impl Source {
    fn new(keys: Result<Vec<Jwk>, &'static str>) -> Arc<Self> {
        Arc::new(Self {
            keys: RwLock::new(keys),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl KeySource for Source {
    async fn keys(&self) -> Result<Vec<Jwk>, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.keys
            .read()
            .clone()
            .map_err(|error| Error::KeysUnavailable(error.into()))
    }
}

#[tokio::test]
async fn a_token_tells_who_was_signed_in() {
    let signer = Signer::generate();
    let principal = verifier(&signer)
        .verify_at(&signer.issue(&claims()), noon())
        .await
        .unwrap();
    let name = AccountName::new("a1").unwrap();
    assert_eq!(
        principal,
        Principal::Account {
            name,
            role: Role::Viewer
        }
    );

    let token = signer.issue(&Claims::service("events", noon(), HOUR));
    let principal = verifier(&signer).verify_at(&token, noon()).await.unwrap();
    assert_eq!(principal.id(), "services/events");
}

#[tokio::test]
async fn a_token_expires_after_the_leeway_whether_it_is_remembered_or_not() {
    let signer = Signer::generate();
    let token = signer.issue(&claims());
    let last = noon() + HOUR + LEEWAY_LESS_A_SECOND;
    let remembering = verifier(&signer);

    assert!(remembering.verify_at(&token, noon()).await.is_ok());
    for verifier in [remembering, verifier(&signer)] {
        assert!(verifier.verify_at(&token, last).await.is_ok());
        let after = verifier.verify_at(&token, last + Duration::from_secs(1)).await;
        assert!(matches!(after, Err(Error::TokenExpired)));
    }
}

const LEEWAY_LESS_A_SECOND: Duration = Duration::from_secs(crate::LEEWAY.as_secs() - 1);

#[tokio::test]
async fn claims_that_are_not_ours_are_refused() {
    let signer = Signer::generate();
    let good = claims();
    for (claims, why) in [
        (
            Claims {
                iss: "somebody".to_owned(),
                ..good.clone()
            },
            "issuer",
        ),
        (
            Claims {
                aud: "somebody".to_owned(),
                ..good.clone()
            },
            "audience",
        ),
        (
            Claims {
                iat: good.iat + 60,
                ..good.clone()
            },
            "from the future",
        ),
        (
            Claims {
                role: Role::Service,
                ..good.clone()
            },
            "an account as a service",
        ),
        (
            Claims {
                sub: "services/events".to_owned(),
                ..good.clone()
            },
            "a service as an account",
        ),
        (
            Claims {
                sub: "services/../x".to_owned(),
                role: Role::Service,
                ..good
            },
            "an ill-formed service",
        ),
    ] {
        let result = verifier(&signer).verify_at(&signer.issue(&claims), noon()).await;
        assert!(matches!(result, Err(Error::TokenInvalid(_))), "{why}: {result:?}");
    }
}

#[tokio::test]
async fn no_other_algorithm_is_believed() {
    let signer = Signer::generate();
    let token = signer.issue(&claims());
    let (_, rest) = token.split_once('.').unwrap();
    for alg in ["none", "HS256", "RS256", "eddsa", "ES256"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, signer.kid());
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        let result = verifier(&signer).verify_at(&forged, noon()).await;
        assert!(
            matches!(result, Err(Error::TokenInvalid("it is not signed with EdDSA"))),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn a_token_of_another_key_is_refused_though_it_names_ours() {
    let (ours, other) = (Signer::generate(), Signer::generate());
    let token = other.issue(&claims());
    let (header, _) = ours
        .issue(&claims())
        .split_once('.')
        .map(|(h, r)| (h.to_owned(), r.to_owned()))
        .unwrap();
    let (_, rest) = token.split_once('.').unwrap();

    let result = verifier(&ours)
        .verify_at(&format!("{header}.{rest}"), noon())
        .await;

    assert!(matches!(
        result,
        Err(Error::TokenInvalid("its signature is wrong"))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_fetched_when_a_token_first_names_it() {
    let (old, new) = (Signer::generate(), Signer::generate());
    let source = Source::new(Ok(vec![old.jwk()]));
    let verifier = Verifier::new(source.clone());
    verifier.verify_at(&old.issue(&claims()), noon()).await.unwrap();

    *source.keys.write() = Ok(vec![new.jwk(), old.jwk()]);
    tokio::time::advance(REFRESH).await;

    assert!(verifier.verify_at(&new.issue(&claims()), noon()).await.is_ok());
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_with_made_up_keys_do_not_flood_the_source() {
    let source = Source::new(Ok(vec![Signer::generate().jwk()]));
    let verifier = Verifier::new(source.clone());
    for _ in 0..20 {
        let result = verifier
            .verify_at(&Signer::generate().issue(&claims()), noon())
            .await;
        assert!(matches!(
            result,
            Err(Error::TokenInvalid("it is signed with an unknown key"))
        ));
    }
    assert_eq!(source.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_makes_no_token_invalid() {
    let signer = Signer::generate();
    let source = Source::new(Err("subscriptions does not answer"));
    let verifier = Verifier::new(source.clone());
    let token = signer.issue(&claims());
    for _ in 0..2 {
        let result = verifier.verify_at(&token, noon()).await;
        assert!(matches!(result, Err(Error::KeysUnavailable(_))));
    }
    assert_eq!(source.asked(), 1, "the second time it is known to be down");

    *source.keys.write() = Ok(vec![signer.jwk()]);
    tokio::time::advance(RETRY).await;
    assert!(verifier.verify_at(&token, noon()).await.is_ok());
}

#[tokio::test]
async fn known_keys_stay_while_the_source_is_away_and_withdrawn_ones_go_when_it_is_back() {
    let (old, new) = (Signer::generate(), Signer::generate());
    let source = Source::new(Err("away"));
    let verifier = Verifier::new(source.clone());
    assert!(verifier.refresh().await.is_err() && !verifier.has_keys());

    *source.keys.write() = Ok(vec![old.jwk()]);
    verifier.refresh().await.unwrap();
    *source.keys.write() = Err("away");
    assert!(verifier.refresh().await.is_err());
    assert!(verifier.has_keys());
    verifier.verify_at(&old.issue(&claims()), noon()).await.unwrap();

    *source.keys.write() = Ok(vec![new.jwk()]);
    verifier.refresh().await.unwrap();
    let later = Claims {
        exp: claims().exp + 1,
        ..claims()
    };
    let withdrawn = verifier.verify_at(&old.issue(&later), noon()).await;
    assert!(matches!(withdrawn, Err(Error::TokenInvalid(_))), "{withdrawn:?}");
    verifier.verify_at(&new.issue(&later), noon()).await.unwrap();
}

#[tokio::test]
async fn a_broken_key_in_the_set_spoils_no_other() {
    let signer = Signer::generate();
    let broken = Jwk {
        kid: "broken".to_owned(),
        x: "?".to_owned(),
        ..signer.jwk()
    };
    let verifier = Verifier::new(Arc::new(StaticKeys(vec![broken, signer.jwk()])));
    assert!(verifier.verify_at(&signer.issue(&claims()), noon()).await.is_ok());
}

proptest! {
    #[test]
    fn whatever_is_changed_in_a_token_spoils_it(at in 0usize..1_000, to in "[A-Za-z0-9_.-]") {
        let signer = Signer::generate();
        let token = signer.issue(&claims());
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(verifier(&signer).verify_at(&changed, noon()));
        prop_assert!(matches!(result, Err(Error::TokenInvalid(_))), "{result:?}");
    }

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        prop_assert!(Token::parse(&text).is_err());
    }
}
