//! What can go wrong.

/// A failure of an object store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key has characters that not every backend takes.
    #[error("{key:?} is no key of an object")]
    Key {
        /// The key.
        key: String,
    },
    /// The object ends before the range begins, or the range is empty.
    #[error("the range is not within the {size} bytes of the object")]
    Range {
        /// Bytes of the object.
        size: u64,
    },
    /// No answer, or one that says to try again.
    #[error("the object store does not answer: {0}")]
    Unavailable(String),
    /// No room for the object now.
    #[error("the object store is full: {0}")]
    Full(String),
    /// The credentials are wrong, or may not do that.
    #[error("the object store refuses: {0}")]
    Denied(String),
    /// The settings can never work.
    #[error("the object store's settings: {0}")]
    Settings(String),
    /// Something else.
    #[error("the object store failed: {0}")]
    Other(String),
}

impl Error {
    /// Whether the same may succeed later. Somebody may mend a bucket's policy, so a refusal is one of these.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Full(_) | Self::Denied(_) | Self::Other(_)
        )
    }

    pub(crate) fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let said = format!("cannot {action} {}: {error}", path.display());
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full(said),
            PermissionDenied | ReadOnlyFilesystem => Self::Denied(said),
            _ => Self::Unavailable(said),
        }
    }
}
