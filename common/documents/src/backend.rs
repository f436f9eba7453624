use std::sync::Arc;

use async_trait::async_trait;
use marquee_bus::outbox::Outbox;

use crate::document::AnyValue;
use crate::request::Key;
use crate::{Collection, Committed, Error, Etag, Query, Transaction};

/// What a store is made on. Types are known to [`Store`](crate::Store) alone.
#[async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    async fn get(&self, collection: Collection, id: &str) -> Result<Option<Raw>, Error>;
    /// Those that there are, in any order.
    async fn get_many(&self, collection: Collection, ids: Vec<String>) -> Result<Vec<(String, Raw)>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(raw) = self.get(collection, &id).await? {
                found.push((id, raw));
            }
        }
        Ok(found)
    }
    async fn query(&self, collection: Collection, query: Query) -> Result<RawPage, Error>;
    async fn explain(&self, collection: Collection, query: Query) -> Result<String, Error>;
    async fn count(&self, collection: Collection, query: Query) -> Result<u64, Error>;
    async fn counter(&self, name: &str) -> Result<i64, Error>;
    async fn commit(&self, transaction: Transaction) -> Result<Committed, Error>;
    /// The answer that is kept for the request; [`Error::RequestIdReused`] when it was another request.
    async fn replay(&self, key: &Key) -> Result<Option<Vec<u8>>, Error>;
    /// What is missing, if anything.
    async fn ready(&self) -> Result<(), String>;
    fn outbox(&self) -> Arc<dyn Outbox>;
    /// What is committed to the collection from now on.
    fn changes(&self, collection: Collection) -> Box<dyn Feed>;
}

/// Changes of one collection.
#[async_trait]
pub(crate) trait Feed: Send {
    /// See [`Changes::next`](crate::Changes::next).
    async fn next(&mut self, wanted: Wanted<'_>) -> Option<Fed>;
}

/// Whether anybody wants the document of this id.
pub(crate) type Wanted<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

pub(crate) enum Fed {
    Anew,
    /// An error when the document cannot be decoded.
    Written(Result<Raw, Error>),
    Deleted(String),
}

/// A document with its value decoded.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) value: AnyValue,
    pub(crate) etag: Etag,
}

pub(crate) struct RawPage {
    pub(crate) items: Vec<Raw>,
    pub(crate) next_page_token: Option<String>,
}
