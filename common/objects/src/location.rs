//! Where objects are kept.

use std::path::PathBuf;

/// A folder or a bucket.
#[derive(Debug, Clone)]
pub enum Location {
    /// Files in a folder of this machine, or one that is mounted there.
    Folder(PathBuf),
    /// A bucket behind the S3 protocol.
    #[cfg(feature = "s3")]
    S3(crate::s3::Settings),
}

impl Location {
    /// What it is, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            #[cfg(feature = "s3")]
            Self::S3(_) => "s3",
        }
    }
}
