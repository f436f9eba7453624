use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::{Claims, Error, Jwk};

/// A private Ed25519 key that tokens are signed with.
pub struct Signer {
    key: SigningKey,
    kid: String,
    /// The first part of every token, which names the key.
    header: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key, from the process' cryptographic random numbers.
    pub fn generate() -> Self {
        Self::new(SigningKey::from_bytes(&rand::random()))
    }

    /// The key in a PKCS#8 document (DER, RFC 8410).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        SigningKey::from_pkcs8_der(der)
            .map(Self::new)
            .map_err(|error| Error::Key(error.to_string()))
    }

    /// The key as a PKCS#8 document (DER, RFC 8410). It is the secret itself.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        let document = self
            .key
            .to_pkcs8_der()
            .map_err(|error| Error::Key(error.to_string()))?;
        Ok(document.as_bytes().to_vec())
    }

    fn new(key: SigningKey) -> Self {
        let kid = Jwk::new(&key.verifying_key()).kid;
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#));
        Self { key, kid, header }
    }

    /// The token that says these claims.
    pub fn issue(&self, claims: &Claims) -> String {
        #[expect(clippy::expect_used, reason = "strings and numbers always are JSON")]
        let payload = serde_json::to_vec(claims).expect("claims are JSON");
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        token
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }

    /// The public key.
    pub fn jwk(&self) -> Jwk {
        Jwk::new(&self.verifying_key())
    }

    /// The id of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_down() {
        let signer = Signer::generate();
        let again = Signer::from_pkcs8(&signer.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.jwk(), signer.jwk());
        assert!(matches!(Signer::from_pkcs8(b"no key"), Err(Error::Key(_))));
    }

    #[test]
    fn the_key_is_not_in_the_debug_output() {
        let signer = Signer::generate();
        let text = format!("{signer:?}");
        assert_eq!(text, format!("Signer {{ kid: {:?}, .. }}", signer.kid()));
    }
}
