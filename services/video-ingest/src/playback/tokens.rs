//! The key that tokens are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use marquee_auth::{PlaybackClaims, PlaybackVerifier, Signer};
use marquee_documents::{Store, Transaction};
use tokio::sync::OnceCell;

use crate::domain::{CURRENT, SigningKey};
use crate::error::{Error, Result};

/// Signs and checks tokens with the key in the store, which is read when it is first needed: the store's server may start
/// after us.
pub(crate) struct Tokens {
    store: Store,
    keys: OnceCell<(Signer, PlaybackVerifier)>,
}

impl Tokens {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            keys: OnceCell::new(),
        }
    }

    pub(crate) async fn sign(&self, claims: &PlaybackClaims) -> Result<String> {
        Ok(claims.sign(&self.keys().await?.0))
    }

    /// What the token says; whether it has expired and for which stream it is remains to be asked.
    pub(crate) async fn verify(&self, token: &str) -> Result<PlaybackClaims> {
        Ok(self.keys().await?.1.verify(token)?)
    }

    async fn keys(&self) -> Result<&(Signer, PlaybackVerifier)> {
        self.keys.get_or_try_init(|| self.load()).await
    }

    async fn load(&self) -> Result<(Signer, PlaybackVerifier)> {
        // Of two replicas that begin at once, one writes the key that both use.
        if self.store.get::<SigningKey>(CURRENT).await?.is_none() {
            let key = SigningKey {
                id: CURRENT.to_owned(),
                pkcs8: STANDARD.encode(Signer::generate().to_pkcs8()?),
                create_time: Timestamp::now(),
            };
            match self.store.commit(Transaction::new().insert(&key)?).await {
                Ok(_) | Err(marquee_documents::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let stored = self.store.get::<SigningKey>(CURRENT).await?;
        let stored = stored.ok_or_else(|| Error::not_found("NOT_FOUND", "the key of playback tokens"))?;
        let pkcs8 = STANDARD.decode(&stored.value.pkcs8).unwrap_or_default();
        let signer = Signer::from_pkcs8(&pkcs8)?;
        let verifier = PlaybackVerifier::new(&[signer.jwk()])?;
        Ok((signer, verifier))
    }
}
