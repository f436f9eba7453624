//! Telling a replay from another request under the same id.

use prost::Message;
use sha2::{Digest as _, Sha256};

/// Digest of what was asked for. Callers leave out what is secret or no part of the question.
pub(super) fn fingerprint(request: &impl Message) -> [u8; 32] {
    Sha256::digest(request.encode_to_vec()).into()
}
