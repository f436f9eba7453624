//! The keys that tokens are signed with.

use marquee_auth::{Jwk, Signer};

use crate::clock::Clock;
use crate::error::Error;
use crate::store::{SigningKey, Store};

/// The newest key signs; all are told to whoever checks tokens.
pub(super) struct Keys {
    pub(super) signer: Signer,
    /// Newest first.
    pub(super) public: Vec<Jwk>,
}

impl Keys {
    /// Loads the keys, after making the first one if there is none. When several processes start on an empty store, the
    /// store keeps one key and all use that one.
    pub(super) async fn load(store: &dyn Store, clock: &Clock) -> Result<Self, Error> {
        let candidate = Signer::generate();
        let keys = store
            .signing_keys_or(SigningKey {
                kid: candidate.kid().to_owned(),
                pkcs8: candidate.to_pkcs8()?,
                create_time: clock.now(),
            })
            .await?;
        let signers = keys
            .iter()
            .map(|key| Signer::from_pkcs8(&key.pkcs8))
            .collect::<Result<Vec<_>, _>>()?;
        let public = signers.iter().map(Signer::jwk).collect();
        let signer = signers
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("the store keeps no signing key", "none after one was added"))?;
        Ok(Self { signer, public })
    }
}
