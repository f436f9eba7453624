//! HMAC-SHA256 (RFC 2104), so that a receiver knows whose call it is.

use sha2::{Digest as _, Sha256};

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The authentication code of a message.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// The value of `X-Marquee-Signature`.
pub(super) fn signature(secret: &str, time: i64, body: &str) -> String {
    use std::fmt::Write as _;
    let code = hmac(secret.as_bytes(), format!("{time}.{body}").as_bytes());
    code.iter().fold(format!("t={time},v1="), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn it_is_the_code_of_rfc_4231() {
        // Test cases 1, 2 and 6.
        assert_eq!(
            hex(&hmac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn the_signature_covers_time_and_body() {
        let signed = signature("secret", 1, "a=b");
        assert!(signed.starts_with("t=1,v1=") && signed.len() == 7 + 64);
        for other in [
            signature("other", 1, "a=b"),
            signature("secret", 2, "a=b"),
            signature("secret", 1, "a=c"),
        ] {
            assert_ne!(signed, other);
        }
    }
}
