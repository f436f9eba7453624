//! The secret of a stream key.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What an encoder is given to publish with. Shown once, never logged, stored only as its hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Tells what it is when it turns up where it should not be.
const PREFIX: &str = "mq_";
/// Characters after the prefix; 5 bits each, 160 bits in all.
const LENGTH: usize = 32;
/// Crockford's base 32 in lower case: nothing that is misread or needs escaping in an address.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Secret {
    /// A new one from the operating system's randomness.
    pub(crate) fn generate() -> Self {
        let random: [u8; LENGTH] = rand::random();
        let text = random
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self(PREFIX.chars().chain(text).collect())
    }

    /// What an encoder sent.
    pub(crate) fn from_encoder(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the one answer that shows it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 in hexadecimal. The secret has 160 random bits, so that a slow hash would add nothing.
    pub(crate) fn hash(&self) -> String {
        use fmt::Write as _;
        Sha256::digest(self.0.as_bytes())
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// The last four characters.
    pub(crate) fn hint(&self) -> String {
        let skip = self.0.chars().count().saturating_sub(4);
        self.0.chars().skip(skip).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognisable_and_fits_into_an_address() {
        let secret = Secret::generate();
        assert!(secret.expose().starts_with("mq_"));
        assert_eq!(secret.expose().len(), 35);
        assert!(
            secret
                .expose()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        );
        assert_ne!(secret, Secret::generate());
    }

    #[test]
    fn debug_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret::from_encoder("mq_x")), "Secret(redacted)");
    }

    #[test]
    fn the_same_text_has_the_same_hash() {
        let secret = Secret::generate();
        assert_eq!(Secret::from_encoder(secret.expose()).hash(), secret.hash());
        assert_eq!(
            Secret::from_encoder("abc").hash(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
