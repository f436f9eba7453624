//! The digests of the complex handshake.

use sha2::{Digest, Sha256};

use super::{Nonce, PACKET};

/// Where the digest lies: both halves of the packet can hold it, and clients of different age use either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Digest block in bytes 8..772.
    DigestFirst,
    /// Digest block in bytes 772..1536.
    DigestLast,
}

pub(super) type Key = &'static [u8];

const LENGTH: usize = 32;

/// The half of a side's key that signs its hello is text; the whole one that signs its echo goes on with this.
const TAIL: [u8; 32] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57, 0x6E,
    0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];

pub(super) const CLIENT_KEY_PUBLIC: Key = b"Genuine Adobe Flash Player 001";
pub(super) const SERVER_KEY_PUBLIC: Key = b"Genuine Adobe Flash Media Server 001";
pub(super) const CLIENT_KEY: Key = &joined::<62>(CLIENT_KEY_PUBLIC);
pub(super) const SERVER_KEY: Key = &joined::<68>(SERVER_KEY_PUBLIC);

const fn joined<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    let mut index = 0;
    while index < N {
        key[index] = if index < text.len() {
            text[index]
        } else {
            TAIL[index - text.len()]
        };
        index += 1;
    }
    key
}

/// Offset of the digest in a packet.
fn offset(packet: &[u8], scheme: Scheme) -> usize {
    let pointer = match scheme {
        Scheme::DigestFirst => 8,
        Scheme::DigestLast => 772,
    };
    let sum: usize = packet[pointer..pointer + 4]
        .iter()
        .map(|byte| usize::from(*byte))
        .sum();
    pointer + 4 + sum % 728
}

/// The digest of a hello (C1, S1), if it holds a valid one under either scheme.
pub(super) fn find(packet: &[u8], key: Key) -> Option<(Scheme, [u8; LENGTH])> {
    [Scheme::DigestLast, Scheme::DigestFirst]
        .into_iter()
        .find_map(|scheme| {
            let at = offset(packet, scheme);
            let expected = hmac(key, &[&packet[..at], &packet[at + LENGTH..]]);
            (packet[at..at + LENGTH] == expected).then_some((scheme, expected))
        })
}

/// Puts the digest into a hello.
pub(super) fn sign_hello(packet: &mut Nonce, scheme: Scheme, key: Key) {
    let at = offset(packet, scheme);
    let digest = hmac(key, &[&packet[..at], &packet[at + LENGTH..]]);
    packet[at..at + LENGTH].copy_from_slice(&digest);
}

/// Signs an echo (C2, S2) with a key made from the digest of the other side's hello.
pub(super) fn sign_echo(packet: &mut Nonce, peer_digest: &[u8; LENGTH], key: Key) {
    let derived = hmac(key, &[peer_digest]);
    let signature = hmac(&derived, &[&packet[..PACKET - LENGTH]]);
    packet[PACKET - LENGTH..].copy_from_slice(&signature);
}

/// HMAC-SHA256 (RFC 2104) of `parts` one after the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..LENGTH].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5C));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        assert_eq!(
            hex(&hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(
                &[0xAA; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"]
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_signed_hello_is_found_under_both_schemes_and_not_when_altered() {
        for scheme in [Scheme::DigestFirst, Scheme::DigestLast] {
            let mut packet: Nonce = [0xA7; PACKET];
            sign_hello(&mut packet, scheme, CLIENT_KEY_PUBLIC);
            assert_eq!(
                find(&packet, CLIENT_KEY_PUBLIC).map(|found| found.0),
                Some(scheme)
            );
            packet[PACKET - 1] ^= 1;
            packet[4] ^= 1;
            assert_eq!(find(&packet, CLIENT_KEY_PUBLIC), None);
        }
    }
}
