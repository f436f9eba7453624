//! The key that playback tokens are signed with; one for all replicas.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

/// The id of the key in use.
pub(crate) const CURRENT: &str = "current";

/// A private key. The store is as secret as it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    /// PKCS#8 (DER) in base64.
    pub(crate) pkcs8: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) create_time: Timestamp,
}

impl Document for SigningKey {
    const COLLECTION: &'static str = "playback_keys";
    const INDEXES: &'static [Index] = &[];

    fn id(&self) -> &str {
        &self.id
    }
}
