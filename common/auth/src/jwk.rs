use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use marquee_proto::subscriptions::v1::Key;
use sha2::{Digest as _, Sha256};

use crate::Error;

/// A public Ed25519 key (RFC 7517, RFC 8037 2).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// Always `EdDSA`.
    pub alg: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The key's id: its thumbprint (RFC 7638).
    pub kid: String,
    /// The public key, base64url without padding.
    pub x: String,
}

impl Jwk {
    pub(crate) fn new(key: &VerifyingKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
        // RFC 7638 3.2: the required members in lexicographic order, without white space.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
            kid: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)),
            x,
        }
    }

    /// The key, when it is an Ed25519 key for signatures; weak keys, for which anybody can sign, are refused.
    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        let refuse = |what: &str| Error::Key(format!("key {}: {what}", self.kid));
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return Err(refuse("not an Ed25519 key"));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(&self.x)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| refuse("`x` is not 32 bytes in base64url"))?;
        VerifyingKey::from_bytes(&bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .ok_or_else(|| refuse("`x` is not a point of the curve that signatures can be checked with"))
    }
}

impl From<Jwk> for Key {
    fn from(jwk: Jwk) -> Self {
        Self {
            kty: jwk.kty,
            crv: jwk.crv,
            alg: jwk.alg,
            r#use: jwk.usage,
            kid: jwk.kid,
            x: jwk.x,
        }
    }
}

impl From<Key> for Jwk {
    fn from(key: Key) -> Self {
        Self {
            kty: key.kty,
            crv: key.crv,
            alg: key.alg,
            usage: key.r#use,
            kid: key.kid,
            x: key.x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_thumbprint_of_rfc_8037() {
        // RFC 8037 appendix A.2 and A.3.
        let bytes = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        let key = VerifyingKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
        assert_eq!(Jwk::new(&key).kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_weak_or_foreign_key_is_refused() {
        let key = Jwk::new(&crate::Signer::generate().verifying_key());
        assert!(key.verifying_key().is_ok());
        for broken in [
            Jwk {
                kty: "RSA".to_owned(),
                ..key.clone()
            },
            Jwk {
                crv: "X25519".to_owned(),
                ..key.clone()
            },
            Jwk {
                x: "AQAB".to_owned(),
                ..key.clone()
            },
            // The neutral element of the group.
            Jwk {
                x: URL_SAFE_NO_PAD.encode({
                    let mut one = [0u8; 32];
                    one[0] = 1;
                    one
                }),
                ..key
            },
        ] {
            assert!(matches!(broken.verifying_key(), Err(Error::Key(_))), "{broken:?}");
        }
    }
}
