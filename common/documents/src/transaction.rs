use std::sync::Arc;

use marquee_bus::Outgoing;
use prost::Message;

use crate::request::Key;
use crate::{Document, Error, Etag, RequestKey};

/// Writes that happen together or not at all, in order.
#[derive(Debug, Default)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction {
    pub(crate) writes: Vec<Write>,
}

#[derive(Debug)]
pub(crate) enum Write {
    Insert(Row),
    Replace(Row, Etag),
    Put(Row),
    Delete {
        collection: &'static str,
        id: String,
        etag: Option<Etag>,
    },
    Increment {
        counter: String,
        delta: i64,
    },
    Publish(Outgoing),
    Remember {
        key: Key,
        response: Vec<u8>,
    },
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) collection: &'static str,
    pub(crate) id: String,
    pub(crate) body: Arc<str>,
    pub(crate) etag: Etag,
}

impl Row {
    fn of<T: Document>(document: &T) -> Result<Self, Error> {
        Ok(Self {
            collection: T::COLLECTION,
            id: document.id().to_owned(),
            body: serde_json::to_string(document).map_err(Error::other)?.into(),
            etag: Etag::new(),
        })
    }
}

impl Write {
    fn collection(&self) -> Option<&'static str> {
        match self {
            Self::Insert(row) | Self::Replace(row, _) | Self::Put(row) => Some(row.collection),
            Self::Delete { collection, .. } => Some(collection),
            Self::Increment { .. } | Self::Publish(_) | Self::Remember { .. } => None,
        }
    }
}

impl Transaction {
    /// The collections that it writes, as often as it does.
    pub(crate) fn collections(&self) -> impl Iterator<Item = &'static str> {
        self.writes.iter().filter_map(Write::collection)
    }

    /// The collection that it writes; empty when there are several or none.
    pub(crate) fn collection(&self) -> &'static str {
        let mut collections = self.collections();
        let first = collections.next().unwrap_or_default();
        if collections.all(|other| other == first) {
            first
        } else {
            ""
        }
    }

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// A new document; [`Error::AlreadyExists`] at commit when its id is taken.
    pub fn insert<T: Document>(self, document: &T) -> Result<Self, Error> {
        Ok(self.with(Write::Insert(Row::of(document)?)))
    }

    /// The document's next state; [`Error::Conflict`] at commit when it has changed since the etag was read,
    /// [`Error::NotFound`] when it is gone.
    pub fn replace<T: Document>(self, document: &T, etag: &Etag) -> Result<Self, Error> {
        Ok(self.with(Write::Replace(Row::of(document)?, etag.clone())))
    }

    /// The document, whatever was there before.
    pub fn put<T: Document>(self, document: &T) -> Result<Self, Error> {
        Ok(self.with(Write::Put(Row::of(document)?)))
    }

    /// Deletes, if the etag is still the one given. [`Error::NotFound`] or [`Error::Conflict`] at commit.
    pub fn delete<T: Document>(self, id: &str, etag: Option<&Etag>) -> Self {
        self.with(Write::Delete {
            collection: T::COLLECTION,
            id: id.to_owned(),
            etag: etag.cloned(),
        })
    }

    /// Adds to a counter, which begins at 0.
    pub fn increment(self, counter: &str, delta: i64) -> Self {
        self.with(Write::Increment {
            counter: counter.to_owned(),
            delta,
        })
    }

    /// Publishes the message if and only if the transaction commits, in the order of commits.
    pub fn publish(self, message: Outgoing) -> Self {
        self.with(Write::Publish(message))
    }

    /// Keeps the answer for replays of the request; does nothing when the key has no request id.
    pub fn remember(self, key: RequestKey, response: &impl Message) -> Self {
        match key.key {
            Some(key) => self.with(Write::Remember {
                key,
                response: response.encode_to_vec(),
            }),
            None => self,
        }
    }
}

/// What a commit came to.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The new etags of the inserted, replaced and put documents, in the order of those writes.
    pub etags: Vec<Etag>,
    /// The new values of the incremented counters, in the order of those writes.
    pub counters: Vec<i64>,
}
