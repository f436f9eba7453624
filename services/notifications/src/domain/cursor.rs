//! Cursors of WatchNotifications: opaque to callers, bound to the account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const LENGTH: usize = 13;

/// The cursor after the notification with this sequence.
pub(crate) fn encode(account: &str, sequence: u64) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend_from_slice(&tag(account));
    bytes.extend_from_slice(&sequence.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The sequence that the cursor says; `None` when it is ill formed or another account's.
pub(crate) fn decode(account: &str, cursor: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (head, sequence) = bytes.split_at_checked(LENGTH - 8)?;
    let (version, tag_found) = head.split_first()?;
    if *version != VERSION || tag_found != tag(account) {
        return None;
    }
    Some(u64::from_be_bytes(sequence.try_into().ok()?))
}

fn tag(account: &str) -> [u8; 4] {
    let digest = Sha256::digest(account.as_bytes());
    std::array::from_fn(|n| digest[n])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_is_of_one_account() {
        let cursor = encode("accounts/a", 7);
        assert_eq!(decode("accounts/a", &cursor), Some(7));
        assert_eq!(decode("accounts/b", &cursor), None);
    }

    proptest! {
        #[test]
        fn every_sequence_survives(sequence: u64) {
            prop_assert_eq!(decode("accounts/a", &encode("accounts/a", sequence)), Some(sequence));
        }

        #[test]
        fn what_is_no_cursor_is_refused(text in "[A-Za-z0-9_=%-]{0,17}") {
            prop_assert_eq!(decode("accounts/a", &text), None);
        }
    }
}
