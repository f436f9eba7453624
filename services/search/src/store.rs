//! Where documents are kept and found: [`Tantivy`] in a folder, [`Elasticsearch`] on a server. Both pass the same suite.

#[cfg(feature = "elasticsearch")]
pub mod elasticsearch;
mod measured;
mod showing;
mod stems;
#[cfg(test)]
mod suite;
mod tantivy;

use std::collections::BTreeMap;

use async_trait::async_trait;
use marquee_error::{ErrorExt, ErrorKind};

use crate::domain::{Cursor, Document, Kind, Prefix, Query};

#[cfg(feature = "elasticsearch")]
pub use self::elasticsearch::Elasticsearch;
pub(crate) use self::measured::Measured;
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

/// What [`Store::follow`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// From now on another index is written than before: where to read on is what its [`Store::positions`] say.
    pub is_another: bool,
    /// Searches are answered by another index than the one that is written, until [`Store::promote`].
    pub is_filling: bool,
}

/// Keeps documents and finds them.
///
/// What is searched and what is written may be two: a new index is filled while the present one answers, as
/// [`Store::rebuild`] asks for it, or as a change of the schema does. Writers turn to it with [`Store::follow`], between two
/// batches and never within one, since a batch belongs to the positions of one index.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What keeps the index, by OpenTelemetry's `db.system.name`.
    fn system(&self) -> &'static str;

    /// Takes a batch over. It is durable and found when this returns. After an error some of its documents may be there,
    /// but none of its positions: apply it again, which changes nothing that is there.
    async fn apply(&self, batch: Batch) -> Result<(), Error>;

    /// The positions of all the batches that were taken over.
    async fn positions(&self) -> Result<Positions, Error>;

    /// Forgets every document and position, also of an index that is being filled.
    async fn clear(&self) -> Result<(), Error>;

    /// Has a new index filled beside the one that is searched. Nothing changes when one is being filled already.
    async fn rebuild(&self) -> Result<(), Error>;

    /// Turns to the index that is to be written. Cheap; called often.
    async fn follow(&self) -> Result<Followed, Error>;

    /// Has searches answered by the index that is written, at once and for all, and removes the other.
    async fn promote(&self) -> Result<(), Error>;

    /// Whether searches can be answered. Cheap; called often.
    async fn ready(&self) -> Result<(), Error>;

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
    /// For now: the disk is full, the folder is not writable, the server is down and the like.
    #[error("the search index cannot be used: {0}")]
    Unavailable(String),
    /// The index cannot take these documents, however often it is asked: their names, and why.
    #[error("the search index refuses documents: {}", told(.0))]
    Refused(BTreeMap<String, String>),
    /// Anything else of the adapter.
    #[error("the search index failed: {0}")]
    Other(String),
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked(_) => ErrorKind::FailedPrecondition,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Refused(_) | Self::Other(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Locked(_) => "INDEX_LOCKED",
            Self::Unavailable(_) => "INDEX_UNAVAILABLE",
            Self::Refused(_) | Self::Other(_) => "INDEX_FAILED",
        }
    }
}

fn told(refused: &BTreeMap<String, String>) -> String {
    let mut shown: Vec<_> = refused
        .iter()
        .take(3)
        .map(|(name, why)| format!("`{name}`: {why}"))
        .collect();
    if refused.len() > shown.len() {
        shown.push(format!("and {} more", refused.len() - shown.len()));
    }
    shown.join("; ")
}
