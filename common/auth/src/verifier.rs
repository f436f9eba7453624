use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ed25519_dalek::VerifyingKey;
use jiff::Timestamp;
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::token::Token;
use crate::{Claims, Error, Jwk, Principal};

/// Tokens that are remembered as good, so that a signature is checked once per token and not once per call.
const REMEMBERED: usize = 10_000;
/// A token that names an unknown key has the keys fetched again, at most this often: anybody can name any key.
const REFRESH: Duration = Duration::from_secs(5);
/// After fetching has failed.
const RETRY: Duration = Duration::from_millis(250);

/// Where the keys come from that tokens are checked with.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that are good now. [`Error::KeysUnavailable`] when they can't be had.
    async fn keys(&self) -> Result<Vec<Jwk>, Error>;
}

/// Keys that never change.
#[derive(Debug, Clone)]
pub struct StaticKeys(pub Vec<Jwk>);

#[async_trait]
impl KeySource for StaticKeys {
    async fn keys(&self) -> Result<Vec<Jwk>, Error> {
        Ok(self.0.clone())
    }
}

/// Where a service gets the token from that it shows to its peers.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// A token that is good for at least some seconds. [`Error::ServiceTokenUnavailable`] when there is none.
    async fn token(&self) -> Result<String, Error>;
}

/// Checks tokens with the keys of a [`KeySource`]. A key that its source withdraws still vouches for tokens that were
/// seen before, until they expire.
pub struct Verifier {
    source: Arc<dyn KeySource>,
    keys: RwLock<HashMap<String, VerifyingKey>>,
    /// Held while the keys are fetched; says when they may be fetched again.
    not_before: Mutex<Option<Instant>>,
    /// By the SHA-256 of the token, so that no token can be read out of memory.
    good: Cache<[u8; 32], (Principal, i64)>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier that has fetched no key yet.
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            keys: RwLock::default(),
            not_before: Mutex::default(),
            good: Cache::new(REMEMBERED),
        }
    }

    /// Whose token it is, now.
    pub async fn verify(&self, token: &str) -> Result<Principal, Error> {
        self.verify_at(token, Timestamp::now()).await
    }

    /// Whose token it is at `now`.
    ///
    /// Errors: [`Error::TokenExpired`], [`Error::TokenInvalid`], or [`Error::KeysUnavailable`] when the token can't be
    /// judged.
    pub async fn verify_at(&self, token: &str, now: Timestamp) -> Result<Principal, Error> {
        if let Some(known) = self.remembered(token, now) {
            return known;
        }
        let parsed = Token::parse(token)?;
        let key = self.key(&parsed.kid).await?;
        let claims = parsed.claims(&key)?;
        let principal = claims.check(now)?;
        self.good
            .insert(Sha256::digest(token).into(), (principal.clone(), claims.exp));
        Ok(principal)
    }

    /// What is known of a token that was good before, without waiting.
    pub(crate) fn remembered(&self, token: &str, now: Timestamp) -> Option<Result<Principal, Error>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let (principal, exp) = self.good.get(&hash)?;
        if Claims::expired(exp, now) {
            self.good.remove(&hash);
            return Some(Err(Error::TokenExpired));
        }
        Some(Ok(principal))
    }

    /// Whether there is any key to check tokens with.
    pub fn has_keys(&self) -> bool {
        !self.keys.read().is_empty()
    }

    /// Fetches the keys now, so that one that its source withdraws is let go and a new one is there before the first
    /// token that it signed. When they can't be had, those that are known stay.
    ///
    /// Errors: [`Error::KeysUnavailable`].
    pub async fn refresh(&self) -> Result<(), Error> {
        let mut not_before = self.not_before.lock().await;
        self.fetch(&mut not_before).await
    }

    async fn fetch(&self, not_before: &mut Option<Instant>) -> Result<(), Error> {
        match self.source.keys().await {
            Ok(jwks) => {
                let keys = jwks
                    .iter()
                    .filter_map(|jwk| Some((jwk.kid.clone(), jwk.verifying_key().ok()?)));
                *self.keys.write() = keys.collect();
                *not_before = Some(Instant::now() + REFRESH);
                Ok(())
            }
            Err(error) => {
                *not_before = Some(Instant::now() + RETRY);
                Err(error)
            }
        }
    }

    async fn key(&self, kid: &str) -> Result<VerifyingKey, Error> {
        let unknown = Error::TokenInvalid("it is signed with an unknown key");
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let mut not_before = self.not_before.lock().await;
        // Somebody else may have fetched it in the meantime.
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if not_before.is_some_and(|at| Instant::now() < at) {
            // Without any key no token can be called invalid.
            return Err(if self.keys.read().is_empty() {
                Error::KeysUnavailable("they could not be fetched a moment ago".into())
            } else {
                unknown
            });
        }
        self.fetch(&mut not_before).await?;
        self.known(kid).ok_or(unknown)
    }

    fn known(&self, kid: &str) -> Option<VerifyingKey> {
        self.keys.read().get(kid).copied()
    }
}

#[cfg(test)]
mod tests;
