//! Where documents are kept and found. [`Tantivy`] is the embedded adapter; a server's comes beside it and passes the same
//! suite.

#[cfg(test)]
mod suite;
mod tantivy;

use std::collections::BTreeMap;

use async_trait::async_trait;
use marquee_error::{ErrorExt, ErrorKind};

use crate::domain::{Cursor, Document, Kind, Prefix, Query};

pub use self::tantivy::Tantivy;

/// How far the bus was read: the next offset of each partition, by topic and partition.
pub type Positions = BTreeMap<(String, u32), u64>;

/// Documents to take over, and how far the bus was read by that.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// New versions, in the order they came. Each takes its document's place unless a newer version is there already. A
    /// channel's new version also reaches the documents of its events.
    pub documents: Vec<Document>,
    /// Positions that changed.
    pub positions: Positions,
}

/// One document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The document.
    pub document: Document,
    /// How well it fits. Depends on the document and the query, not on what else is in the index.
    pub score: f32,
    /// The piece of text that matched, escaped for HTML, matches in `<em>`.
    pub snippet: String,
}

/// One page of hits.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The hits, by score and then name.
    pub hits: Vec<Hit>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
    /// How many match in all.
    pub total: u64,
}

/// A completion of what somebody types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The whole text.
    pub text: String,
    /// The resource it belongs to.
    pub name: String,
    /// What that is.
    pub kind: Kind,
}

/// Keeps documents and finds them.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes a batch over, all of it or nothing. It is durable and found when this returns.
    async fn apply(&self, batch: Batch) -> Result<(), Error>;

    /// The positions of all the batches that were taken over.
    async fn positions(&self) -> Result<Positions, Error>;

    /// Forgets every document and position.
    async fn clear(&self) -> Result<(), Error>;

    /// A page of what matches, after `cursor`.
    async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Error>;

    /// Up to `limit` different texts that begin as typed: the well-typed first, of them what is live, then what is
    /// announced, then channels, then what is over.
    async fn suggest(&self, prefix: &Prefix, limit: usize) -> Result<Vec<Suggestion>, Error>;
}

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses the folder.
    #[error("the search index in `{0}` is in use by another process")]
    Locked(String),
    /// The disk is full, the folder is not writable and the like.
    #[error("the search index cannot be used: {0}")]
    Unavailable(String),
    /// Anything else of the adapter.
    #[error("the search index failed: {0}")]
    Other(String),
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked(_) => ErrorKind::FailedPrecondition,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Other(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Locked(_) => "INDEX_LOCKED",
            Self::Unavailable(_) => "INDEX_UNAVAILABLE",
            Self::Other(_) => "INDEX_FAILED",
        }
    }
}
