use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use marquee_bus::outbox::Outbox;

use crate::backend::{Backend, Raw};
use crate::sqlite::Sqlite;
use crate::{
    Changes, Collection, Committed, Document, Error, Location, Page, Query, RequestKey, Stored, Transaction,
};

/// A service's documents. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// The store at its place. Does not wait for a server: where that cannot be reached, operations fail with
    /// [`Error::Unavailable`] until it can.
    ///
    /// # Errors
    /// Those of [`open_sqlite`](Self::open_sqlite); [`Error::Other`] for an address that is none.
    #[cfg_attr(
        not(feature = "mongodb"),
        expect(clippy::unused_async, reason = "only a server's address is resolved")
    )]
    pub async fn open(location: &Location, collections: &[Collection]) -> Result<Self, Error> {
        match location {
            Location::Sqlite(file) => Self::open_sqlite(file, collections),
            #[cfg(feature = "mongodb")]
            Location::MongoDb(settings) => Ok(Self {
                backend: Arc::new(crate::mongodb::MongoDb::open(settings, collections).await?),
            }),
        }
    }

    /// Whether operations can be expected to succeed, for readiness.
    ///
    /// # Errors
    /// What is missing, by the name of what it is missing from.
    pub async fn ready(&self) -> Result<(), String> {
        self.backend.ready().await
    }

    /// The store in a SQLite file, which is made when it is not there; so are indexes that are declared and missing.
    ///
    /// # Errors
    /// Those of [`marquee_sqlite::Database::open`] as [`Error::Other`], or [`Error::AlreadyExists`] when a new unique
    /// index finds values that are not.
    pub fn open_sqlite(path: &Path, collections: &[Collection]) -> Result<Self, Error> {
        Ok(Self {
            backend: Arc::new(Sqlite::open(path, collections)?),
        })
    }

    /// The document of this id.
    pub async fn get<T: Document>(&self, id: &str) -> Result<Option<Stored<T>>, Error> {
        self.backend
            .get(Collection::of::<T>(), id)
            .await?
            .map(typed)
            .transpose()
    }

    /// The documents of these ids that there are, by their ids; asked for in one go.
    pub async fn get_many<T: Document>(&self, ids: Vec<String>) -> Result<HashMap<String, Stored<T>>, Error> {
        let found = self.backend.get_many(Collection::of::<T>(), ids).await?;
        found.into_iter().map(|(id, raw)| Ok((id, typed(raw)?))).collect()
    }

    /// A page of documents.
    ///
    /// # Errors
    /// [`Error::InvalidPageToken`] when the token is of another query.
    pub async fn query<T: Document>(&self, query: Query) -> Result<Page<T>, Error> {
        let page = self.backend.query(Collection::of::<T>(), query).await?;
        let items = page.items.into_iter().map(typed).collect::<Result<_, _>>()?;
        Ok(Page {
            items,
            next_page_token: page.next_page_token,
        })
    }

    /// How the backend would find the query's documents, in its own words; for tests and for whoever tunes an index.
    pub async fn explain<T: Document>(&self, query: Query) -> Result<String, Error> {
        self.backend.explain(Collection::of::<T>(), query).await
    }

    /// How many documents the query has over all pages.
    pub async fn count<T: Document>(&self, query: Query) -> Result<u64, Error> {
        self.backend.count(Collection::of::<T>(), query).await
    }

    /// The counter's value; 0 when it was never incremented.
    pub async fn counter(&self, name: &str) -> Result<i64, Error> {
        self.backend.counter(name).await
    }

    /// Commits all writes of the transaction or none; durable when this returns.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, Error> {
        self.backend.commit(transaction).await
    }

    /// The first answer to this request, if it was handled before.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`] when another request had the same id.
    pub async fn replay<M: prost::Message + Default>(&self, key: &RequestKey) -> Result<Option<M>, Error> {
        let Some(key) = &key.key else { return Ok(None) };
        let response = self.backend.replay(key).await?;
        response
            .map(|bytes| M::decode(bytes.as_slice()).map_err(Error::other))
            .transpose()
    }

    /// What is committed to a collection from now on, by whatever process. Nothing is asked of a server before it is read.
    pub fn changes<T: Document>(&self) -> Changes<T> {
        Changes::new(self.backend.changes(Collection::of::<T>()))
    }

    /// What was published in transactions, for [`marquee_bus::outbox::relay`].
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        self.backend.outbox()
    }
}

pub(crate) fn typed<T: Document>(raw: Raw) -> Result<Stored<T>, Error> {
    let value = raw.value.downcast().map_err(|_| {
        Error::other(format!(
            "two kinds of documents are kept in the collection `{}`",
            T::COLLECTION
        ))
    })?;
    Ok(Stored {
        value,
        etag: raw.etag,
    })
}
