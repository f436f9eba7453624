//! Playback tokens: one session's right to one stream, short enough to stand in every path that a player asks for.
//!
//! ```text
//!  version 1 │ session 16 │ expires 8, seconds, big endian │ scope 16 │ Ed25519 signature 64 ──► base64url, 140 characters
//! ```
//!
//! They are no JWTs: those would be three times as long in each of ten requests a second. What they open cannot be
//! mistaken for what an access token opens, since neither can be read as the other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::{Error, Jwk, LEEWAY, Signer};

const VERSION: u8 = 1;
const CLAIMS: usize = 1 + 16 + 8 + 16;
const BYTES: usize = CLAIMS + 64;
/// Its length as text.
const TEXT: usize = 140;
/// So that a signature of this key over something else is never one over a token.
const CONTEXT: &[u8] = b"marquee playback\0";

/// What a playback token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaybackClaims {
    /// The session.
    pub session: [u8; 16],
    /// From when on the token begins no playback any more, in seconds since 1970.
    pub expires: i64,
    scope: [u8; 16],
}

impl PlaybackClaims {
    /// A session's right to `stream` (a resource name) until `expires`, in whole seconds.
    pub fn new(session: [u8; 16], stream: &str, expires: Timestamp) -> Self {
        Self {
            session,
            expires: expires.as_second(),
            scope: scope(stream),
        }
    }

    /// [`Error::PlaybackTokenInvalid`] unless the token is for `stream`.
    pub fn require(&self, stream: &str) -> Result<(), Error> {
        if self.scope == scope(stream) {
            Ok(())
        } else {
            Err(Error::PlaybackTokenInvalid("it is for another stream"))
        }
    }

    /// True from the moment on at which it begins no playback any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.as_second() >= self.expires.saturating_add_unsigned(LEEWAY.as_secs())
    }

    /// The token, signed.
    pub fn sign(&self, signer: &Signer) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.session);
        bytes.extend_from_slice(&self.expires.to_be_bytes());
        bytes.extend_from_slice(&self.scope);
        let signature = signer.sign(&signed(&bytes));
        bytes.extend_from_slice(&signature.to_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Checks playback tokens.
#[derive(Clone)]
pub struct PlaybackVerifier {
    keys: Vec<VerifyingKey>,
}

impl std::fmt::Debug for PlaybackVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybackVerifier").finish_non_exhaustive()
    }
}

impl PlaybackVerifier {
    /// Takes tokens that one of these keys signed.
    pub fn new(keys: &[Jwk]) -> Result<Self, Error> {
        let keys = keys.iter().map(Jwk::verifying_key).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// What a token says, when one of the keys signed it; whether it has expired and for which stream it is remains to be
    /// asked.
    pub fn verify(&self, token: &str) -> Result<PlaybackClaims, Error> {
        let shape = Error::PlaybackTokenInvalid("it is no playback token");
        if token.len() != TEXT {
            return Err(shape);
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return Err(shape);
        };
        let Some((claims, signature)) = bytes.split_at_checked(CLAIMS) else {
            return Err(shape);
        };
        let Ok(signature) = Signature::from_slice(signature) else {
            return Err(shape);
        };
        let message = signed(claims);
        let is_good = |key: &VerifyingKey| key.verify_strict(&message, &signature).is_ok();
        if !self.keys.iter().any(is_good) {
            return Err(Error::PlaybackTokenInvalid("its signature is wrong"));
        }
        // The signature is ours, so that the shape is, too.
        match (
            claims.first_chunk::<17>(),
            claims.get(17..25),
            claims.last_chunk::<16>(),
        ) {
            (Some([VERSION, session @ ..]), Some(expires), Some(scope)) => Ok(PlaybackClaims {
                session: *session,
                expires: expires.iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte)),
                scope: *scope,
            }),
            _ => Err(Error::PlaybackTokenInvalid("it is of another version")),
        }
    }
}

fn signed(claims: &[u8]) -> Vec<u8> {
    [CONTEXT, claims].concat()
}

/// Half a hash is more than enough to tell streams apart: nobody can choose what is signed.
fn scope(stream: &str) -> [u8; 16] {
    let digest = Sha256::digest(stream.as_bytes());
    std::array::from_fn(|n| digest[n])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "channels/c/liveStreams/s";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claims() -> PlaybackClaims {
        PlaybackClaims::new([7; 16], STREAM, at(1_000))
    }

    fn issued() -> (Signer, PlaybackVerifier, String) {
        let signer = Signer::generate();
        let verifier = PlaybackVerifier::new(&[Signer::generate().jwk(), signer.jwk()]).unwrap();
        let token = claims().sign(&signer);
        (signer, verifier, token)
    }

    #[test]
    fn what_was_signed_is_read_again() {
        let (_, verifier, token) = issued();
        assert_eq!(token.len(), TEXT);
        let read = verifier.verify(&token).unwrap();
        assert_eq!(read, claims());
        assert!(read.require(STREAM).is_ok());
        assert!(read.require("channels/c/liveStreams/t").is_err());
    }

    #[test]
    fn it_expires_with_the_clocks_leeway() {
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap();
        assert!(!claims().is_expired(at(999 + leeway)));
        assert!(claims().is_expired(at(1_000 + leeway)));
    }

    #[test]
    fn one_changed_character_anywhere_is_noticed() {
        let (_, verifier, token) = issued();
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verifier.verify(&changed).is_err(), "{position}");
        }
    }

    #[test]
    fn what_is_no_token_of_these_keys_is_refused() {
        let (signer, verifier, token) = issued();
        let foreign = claims().sign(&Signer::generate());
        let name = "accounts/a".parse().unwrap();
        let lifetime = std::time::Duration::from_secs(60);
        let access = crate::Claims::account(&name, crate::Role::Viewer, at(0), lifetime);
        let access = signer.issue(&access);
        for text in [
            "",
            "x",
            &token[1..],
            &format!("{token}A"),
            &foreign,
            &access,
            &"A".repeat(TEXT),
        ] {
            assert!(verifier.verify(text).is_err(), "{text}");
        }
    }
}
