//! What can be set.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the index is.
    pub store: Location,
    /// The longest that a document waits for others to share a commit with.
    pub commit_every: Duration,
}

/// Where the index is kept.
#[derive(Debug, Clone)]
pub enum Location {
    /// In this folder, by this process.
    Tantivy(PathBuf),
    /// On a server, shared with other processes.
    #[cfg(feature = "elasticsearch")]
    Elasticsearch(crate::store::elasticsearch::Settings),
}

impl Config {
    /// The defaults, with the index embedded in `index/` of this folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self::at(Location::Tantivy(data.into().join("index")))
    }

    /// The defaults, with the index there.
    pub fn at(store: Location) -> Self {
        Self {
            store,
            commit_every: Duration::from_millis(100),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new("data/search")
    }
}
