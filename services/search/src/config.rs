//! What can be set.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The service's own folder; the index is in `index/` below it.
    pub data: PathBuf,
    /// The longest that a document waits for others to share a commit with.
    pub commit_every: Duration,
}

impl Config {
    /// The defaults, in this folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data/search"),
            commit_every: Duration::from_millis(100),
        }
    }
}
