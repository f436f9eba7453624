//! Sessions and their refresh tokens.
//!
//! A refresh token is 16 random bytes that name the session's family and 32 random bytes that are new in every token.
//! Only digests of both are kept. A token whose family is known but whose secret is not the newest was given out
//! before: somebody kept a copy, so the session ends for everybody who has one of its tokens (RFC 9700 4.14.2). As the
//! family can't be guessed, only a holder of one of the session's tokens can cause that.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use marquee_proto::name::AccountName;
use sha2::{Digest as _, Sha256};

const FAMILY: usize = 16;
const SECRET: usize = 32;

/// SHA-256 of a part of a token; the parts are random, so no salt and no stretching is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenDigest(pub(crate) [u8; 32]);

impl TokenDigest {
    fn of(part: &[u8]) -> Self {
        Self(Sha256::digest(part).into())
    }
}

/// A refresh token in clear, as only its holder has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    family: [u8; FAMILY],
    secret: [u8; SECRET],
}

impl RefreshToken {
    /// The first token of a new session.
    pub(crate) fn first() -> Self {
        Self {
            family: rand::random(),
            secret: rand::random(),
        }
    }

    /// The next token of the same session.
    pub(crate) fn next(&self) -> Self {
        Self {
            family: self.family,
            secret: rand::random(),
        }
    }

    /// Reads what [`RefreshToken::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        if text.len() > 100 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (family, secret) = bytes.split_at_checked(FAMILY)?;
        Some(Self {
            family: family.try_into().ok()?,
            secret: secret.try_into().ok()?,
        })
    }

    /// The token as its holder gets it.
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.family.as_slice(), self.secret.as_slice()].concat())
    }

    /// What finds the session.
    pub(crate) fn family(&self) -> TokenDigest {
        TokenDigest::of(&self.family)
    }

    /// What must be the session's newest.
    pub(crate) fn secret(&self) -> TokenDigest {
        TokenDigest::of(&self.secret)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(***)")
    }
}

/// A session in which an account is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) family: TokenDigest,
    /// Of the newest token.
    pub(crate) secret: TokenDigest,
    pub(crate) account: AccountName,
    pub(crate) create_time: Timestamp,
    /// When it ends, however often it is refreshed.
    pub(crate) expire_time: Timestamp,
    /// True once it was signed out of or a token was used twice.
    pub(crate) ended: bool,
}

/// What presenting a refresh token comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The session goes on under the new token.
    Rotated(Session),
    /// The token was used before: the session, ended.
    Reused(Session),
    /// The session had its longest time.
    Expired,
    /// No such session, or it ended before.
    Unknown,
}

impl Session {
    /// Trades the token with digest `presented` for the one with digest `next`.
    pub(crate) fn rotate(&self, presented: TokenDigest, next: TokenDigest, now: Timestamp) -> Rotation {
        if self.ended {
            Rotation::Unknown
        } else if presented != self.secret {
            Rotation::Reused(Self {
                ended: true,
                ..self.clone()
            })
        } else if self.expire_time <= now {
            Rotation::Expired
        } else {
            Rotation::Rotated(Self {
                secret: next,
                ..self.clone()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(token: &RefreshToken) -> Session {
        Session {
            family: token.family(),
            secret: token.secret(),
            account: AccountName::new("ada").unwrap(),
            create_time: Timestamp::UNIX_EPOCH,
            expire_time: Timestamp::from_second(100).unwrap(),
            ended: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_once() {
        let first = RefreshToken::first();
        let next = first.next();
        let Rotation::Rotated(rotated) = session(&first).rotate(first.secret(), next.secret(), at(1)) else {
            panic!("not rotated");
        };
        assert_eq!(rotated.secret, next.secret());
        let Rotation::Reused(ended) = rotated.rotate(first.secret(), first.next().secret(), at(2)) else {
            panic!("not noticed");
        };
        assert!(ended.ended);
    }

    #[test]
    fn after_a_reuse_even_the_newest_token_is_no_good() {
        let first = RefreshToken::first();
        let ended = Session {
            ended: true,
            ..session(&first)
        };
        let next = first.next().secret();
        assert_eq!(ended.rotate(first.secret(), next, at(1)), Rotation::Unknown);
    }

    #[test]
    fn refreshing_does_not_make_a_session_live_longer() {
        let token = RefreshToken::first();
        let next = token.next().secret();
        assert!(
            matches!(session(&token).rotate(token.secret(), next, at(99)), Rotation::Rotated(s) if s.expire_time == at(100))
        );
        assert_eq!(
            session(&token).rotate(token.secret(), next, at(100)),
            Rotation::Expired
        );
    }

    #[test]
    fn tokens_survive_being_written_down() {
        let token = RefreshToken::first();
        assert_eq!(RefreshToken::decode(&token.encode()), Some(token));
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_none_without_a_panic(text in "\\PC*") {
            if let Some(token) = RefreshToken::decode(&text) {
                prop_assert_eq!(token.encode(), text);
            }
        }
    }
}
