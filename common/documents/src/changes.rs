use std::marker::PhantomData;

use crate::backend::{Fed, Feed};
use crate::store::typed;
use crate::{Document, Stored};

/// What happened in a collection.
#[derive(Debug)]
pub enum Change<T> {
    /// What was committed until now may not have been told: whoever knows something of the collection reads it anew. Always
    /// the first of all; comes again when changes were lost, since this was too slow or the server forgot them.
    Anew,
    /// The document was inserted, replaced or put, and this is what it was then, or has become since.
    Written(Stored<T>),
    /// The document of this id was deleted.
    Deleted(String),
}

/// Changes of one collection, of whatever process, each told once it is committed. Those of one document come in the order
/// of their commits, and so do those of two transactions that wrote one document both.
///
/// On MongoDB each of these is a change stream; so a process has one for a collection and gives out what it tells.
pub struct Changes<T> {
    feed: Box<dyn Feed>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Document> Changes<T> {
    pub(crate) fn new(feed: Box<dyn Feed>) -> Self {
        Self {
            feed,
            kind: PhantomData,
        }
    }

    /// Waits for the next change of a document that is `wanted` by its id; others are not even decoded. A server that is
    /// away is waited for. `None` when the store is closed.
    ///
    /// A change is lost when this is dropped while it waits.
    pub async fn next(&mut self, wanted: impl Fn(&str) -> bool + Send + Sync) -> Option<Change<T>> {
        loop {
            match self.feed.next(&wanted).await? {
                Fed::Anew => return Some(Change::Anew),
                Fed::Deleted(id) => return Some(Change::Deleted(id)),
                Fed::Written(Ok(raw)) => match typed(raw) {
                    Ok(stored) => return Some(Change::Written(stored)),
                    Err(error) => unreadable(T::COLLECTION, &error),
                },
                Fed::Written(Err(error)) => unreadable(T::COLLECTION, &error),
            }
        }
    }
}

/// Whoever reads it is told the same.
fn unreadable(collection: &str, error: &crate::Error) {
    tracing::error!(collection, %error, "a document was changed that cannot be read");
}
