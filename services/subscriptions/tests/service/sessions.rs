use std::net::IpAddr;
use std::time::Duration;

use marquee_auth::{Jwk, Principal, Role, StaticKeys, Verifier};
use marquee_proto::subscriptions::v1::{
    GetKeySetRequest, IssueServiceTokenRequest, LoginRequest, LogoutRequest, RefreshRequest,
};
use marquee_proto::time::duration_from_proto;
use marquee_subscriptions::LoginLimit;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::fixture::{Fixture, PASSWORD, SECRET, refused, wrong_fields};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn logout(fixture: &Fixture, refresh_token: &str) {
    let request = LogoutRequest {
        refresh_token: refresh_token.to_owned(),
    };
    fixture.sessions().logout(request).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let fixture = Fixture::start().await;
    fixture.person("ada").await;
    let wrong = fixture
        .login("ada@example.org", "wrong password")
        .await
        .err()
        .unwrap();
    let unknown = fixture.login("nobody@example.org", PASSWORD).await.err().unwrap();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    assert_eq!(marquee_error::reason(&wrong).as_deref(), Some("BAD_CREDENTIALS"));
    let told = |status: &Status| {
        let mut details = status.get_error_details();
        // The id of the request is another one for each.
        details.set_request_info("", "");
        (status.code(), status.message().to_owned(), format!("{details:?}"))
    };
    assert_eq!(told(&wrong), told(&unknown));
}

#[tokio::test]
async fn what_can_be_no_login_is_named() {
    let fixture = Fixture::start().await;
    let answer = fixture.sessions().login(LoginRequest::default()).await;
    assert_eq!(wrong_fields(answer), ["email", "password"]);
    let answer = fixture.sessions().refresh(RefreshRequest::default()).await;
    assert_eq!(wrong_fields(answer), ["refresh_token"]);
    let answer = fixture.sessions().logout(LogoutRequest::default()).await;
    assert_eq!(wrong_fields(answer), ["refresh_token"]);
}

#[tokio::test]
async fn too_many_attempts_on_an_address_have_to_wait_and_on_another_do_not() {
    let fixture = Fixture::with(|config| {
        config.login_limit = LoginLimit {
            burst: 3,
            refill: MINUTE,
            addresses: 100,
        };
    })
    .await;
    fixture.person("ada").await;
    fixture.person("grace").await;
    for _ in 0..3 {
        let answer = fixture.login("ada@example.org", "wrong password").await;
        assert_eq!(answer.err().unwrap().code(), Code::Unauthenticated);
    }
    // Even with the right password, or it could be told from the wrong ones.
    let status = fixture.login("ADA@example.org", PASSWORD).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(
        marquee_error::reason(&status).as_deref(),
        Some("TOO_MANY_ATTEMPTS")
    );
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= MINUTE, "{wait:?}");
    fixture.login("grace@example.org", PASSWORD).await.unwrap();

    fixture.clock.advance(MINUTE);
    fixture.login("ada@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_stranger_who_keeps_guessing_does_not_lock_the_owner_out() {
    let fixture = Fixture::with(|config| {
        config.login_limit = LoginLimit {
            burst: 3,
            refill: MINUTE,
            addresses: 100,
        };
    })
    .await;
    fixture.person("ada").await;
    let login = |password: &str| LoginRequest {
        email: "ada@example.org".to_owned(),
        password: password.to_owned(),
    };
    let mut stranger = fixture.sessions_from([127, 0, 0, 2].into()).await;
    for _ in 0..3 {
        let answer = stranger.login(login("wrong password")).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    }
    let answer = stranger.login(login("wrong password")).await;
    assert_eq!(answer.unwrap_err().code(), Code::ResourceExhausted);
    fixture.login("ada@example.org", PASSWORD).await.unwrap();

    // REST is limited as gRPC is, with the same attempts.
    let answer = rest_login(&fixture, [127, 0, 0, 2].into()).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    let answer = rest_login(&fixture, [127, 0, 0, 3].into()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The right password of ada, from another address of this machine.
async fn rest_login(fixture: &Fixture, from: IpAddr) -> String {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(fixture.address).await.unwrap();
    let body = format!(r#"{{"email": "ada@example.org", "password": "{PASSWORD}"}}"#);
    let head = "POST /v1/sessions:login HTTP/1.1\r\nhost: marquee\r\nconnection: close\r\n";
    let length = body.len();
    let request = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_good_access_token_says_who_and_for_how_long() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let keys = fixture
        .sessions()
        .get_key_set(GetKeySetRequest {})
        .await
        .unwrap()
        .into_inner()
        .keys;
    let verifier = Verifier::new(std::sync::Arc::new(StaticKeys(
        keys.into_iter().map(Jwk::from).collect(),
    )));
    let principal = verifier.verify(&ada.access_token).await.unwrap();
    let name = ada.name.parse().unwrap();
    assert_eq!(
        principal,
        Principal::Account {
            name,
            role: Role::Viewer
        }
    );
    let later = jiff::Timestamp::now() + 16 * MINUTE;
    assert!(verifier.verify_at(&ada.access_token, later).await.is_err());
}

#[tokio::test]
async fn a_refresh_token_is_traded_for_new_tokens() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let first = fixture.refresh(&ada.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, ada.refresh_token);
    assert_eq!(
        first.expires_in.as_ref().and_then(duration_from_proto),
        Some(15 * MINUTE)
    );
    let fixture = fixture.restart().await;
    fixture.refresh(&first.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_the_session_and_no_other() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let elsewhere = fixture.login(&ada.email, PASSWORD).await.unwrap();
    let newest = fixture.refresh(&ada.refresh_token).await.unwrap();
    let again = fixture.refresh(&ada.refresh_token).await;
    assert_eq!(
        refused(again),
        (Code::Unauthenticated, "REFRESH_TOKEN_REUSED".to_owned())
    );
    let ended = fixture.refresh(&newest.refresh_token).await;
    assert_eq!(
        refused(ended),
        (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned())
    );
    fixture.refresh(&elsewhere.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_after_30_days_however_often_it_is_refreshed() {
    let fixture = Fixture::with(|config| config.sweep_interval = DAY).await;
    let ada = fixture.person("ada").await;
    fixture.clock.advance(29 * DAY);
    let tokens = fixture.refresh(&ada.refresh_token).await.unwrap();
    fixture.clock.advance(DAY);
    let late = fixture.refresh(&tokens.refresh_token).await;
    assert_eq!(
        refused(late),
        (Code::Unauthenticated, "SESSION_EXPIRED".to_owned())
    );
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    logout(&fixture, &ada.refresh_token).await;
    let late = fixture.refresh(&ada.refresh_token).await;
    assert_eq!(refused(late).1, "REFRESH_TOKEN_INVALID");
    // Once more, and with what is no token: no error.
    logout(&fixture, &ada.refresh_token).await;
    logout(&fixture, "nonsense").await;
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let fixture = Fixture::start().await;
    for token in ["nonsense", &"A".repeat(64), &"A".repeat(100_000)] {
        assert_eq!(refused(fixture.refresh(token).await).1, "REFRESH_TOKEN_INVALID");
    }
}

#[tokio::test]
async fn the_key_set_is_a_jwk_set_that_stays_the_same() {
    let fixture = Fixture::start().await;
    let before = jwks(&fixture).await;
    let key = &before["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert_eq!((&key["alg"], &key["use"]), (&"EdDSA".into(), &"sig".into()));
    assert!(key.get("d").is_none(), "the private key is told");
    let fixture = fixture.restart().await;
    assert_eq!(jwks(&fixture).await, before);
}

/// `GET /.well-known/jwks.json`.
async fn jwks(fixture: &Fixture) -> serde_json::Value {
    let mut stream = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: marquee\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn a_service_token_needs_the_secret_and_a_service() {
    let fixture = Fixture::start().await;
    let ask = |service: &str, secret: &str| IssueServiceTokenRequest {
        service: service.to_owned(),
        secret: secret.to_owned(),
    };
    for service in [
        "analytics",
        "events",
        "notifications",
        "search",
        "subscriptions",
        "video-ingest",
    ] {
        let answer = fixture.sessions().issue_service_token(ask(service, SECRET)).await;
        assert!(answer.is_ok(), "{service}");
    }
    for secret in ["", "wrong", &SECRET.to_uppercase()] {
        let answer = fixture
            .sessions()
            .issue_service_token(ask("events", secret))
            .await;
        assert_eq!(
            refused(answer),
            (Code::Unauthenticated, "BAD_SERVICE_SECRET".to_owned())
        );
    }
    let answer = fixture.sessions().issue_service_token(ask("admin", SECRET)).await;
    assert_eq!(wrong_fields(answer), ["service"]);
}
