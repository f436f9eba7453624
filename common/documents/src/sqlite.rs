//! Documents as JSON rows of a SQLite file: a table per collection, an expression index per declared index.

mod cache;
mod feed;
mod schema;
mod select;
mod write;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_bus::outbox::Outbox;
use marquee_bus::outbox::sqlite::SqliteOutbox;
use marquee_sqlite::Database;
use marquee_telemetry::db::Operation;
use rusqlite::{OptionalExtension, params};
use tokio::sync::oneshot;

use crate::backend::{Backend, Feed, Raw, RawPage};
use crate::request::Key;
use crate::{Collection, Committed, Error, Etag, Query, Transaction};
use cache::Cache;
use feed::Followers;

pub(crate) struct Sqlite {
    database: Database,
    collections: HashMap<&'static str, Collection>,
    cache: Arc<Cache>,
    followers: Arc<Followers>,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, collections: &[Collection]) -> Result<Self, Error> {
        let database = Database::open(path, &[schema::MIGRATION, marquee_bus::outbox::sqlite::MIGRATION])?;
        schema::declare(&database, collections)?;
        let collections = collections
            .iter()
            .map(|collection| (collection.name, *collection))
            .collect();
        Ok(Self {
            database,
            collections,
            cache: Arc::default(),
            followers: Arc::default(),
        })
    }

    fn known(&self, name: &str) -> Result<(), Error> {
        if self.collections.contains_key(name) {
            return Ok(());
        }
        Err(Error::other(format!(
            "the collection `{name}` was not declared when the store was opened"
        )))
    }
}

/// Measured until it is dropped.
fn timing(operation: &'static str, collection: &'static str) -> Operation {
    Operation::begin("sqlite", operation, collection)
}

#[async_trait]
impl Backend for Sqlite {
    async fn get(&self, collection: Collection, id: &str) -> Result<Option<Raw>, Error> {
        self.cache.get_or_read((collection.name, id), || {
            self.known(collection.name)?;
            let _timing = timing("get", collection.name);
            self.database.read(|connection| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT etag, body FROM {} WHERE id = ?",
                    schema::table(collection.name)
                ))?;
                let mut rows = statement.query([id])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                let (etag, body) = (row.get_ref(0)?.as_str(), row.get_ref(1)?.as_str());
                let (Ok(etag), Ok(body)) = (etag, body) else {
                    return Err(Error::other("a damaged row"));
                };
                let Ok(etag) = Etag::from_str(etag);
                let value = (collection.decode)(body).map_err(Error::other)?;
                Ok(Some((Raw { value, etag }, body.len())))
            })
        })
    }

    async fn query(&self, collection: Collection, query: Query) -> Result<RawPage, Error> {
        self.known(collection.name)?;
        let _timing = timing("query", collection.name);
        self.database
            .read(|connection| select::page(connection, &self.cache, collection, &query))
    }

    async fn explain(&self, collection: Collection, query: Query) -> Result<String, Error> {
        self.known(collection.name)?;
        self.database
            .read(|connection| select::explain(connection, collection, &query))
    }

    async fn count(&self, collection: Collection, query: Query) -> Result<u64, Error> {
        self.known(collection.name)?;
        let _timing = timing("count", collection.name);
        self.database
            .read_blocking(move |connection| select::count(connection, collection, &query))
            .await
    }

    async fn counter(&self, name: &str) -> Result<i64, Error> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM counters WHERE name = ?")?;
            Ok(statement
                .query_row([name], |row| row.get(0))
                .optional()?
                .unwrap_or(0))
        })
    }

    async fn commit(&self, transaction: Transaction) -> Result<Committed, Error> {
        let now = Timestamp::now().as_millisecond();
        for name in transaction.collections() {
            self.known(name)?;
        }
        let _timing = timing("commit", transaction.collection());
        let changed = Arc::new(write::changed(&transaction));
        let (cache, begins) = (self.cache.clone(), (self.cache.clone(), changed.clone()));
        let written = feed::written(&transaction);
        let followers = self.followers.clone();
        let (answer, answered) = oneshot::channel();
        self.database.reserve().await?.send(
            move |tx| {
                begins.0.begin(&begins.1);
                write::apply(tx, transaction, now)
            },
            // On the writer thread, so that it happens for every commit, in order, before the next: a caller that
            // goes away meanwhile leaves no stale document in the cache.
            move |result| {
                cache.end(&changed);
                if result.is_ok() {
                    followers.tell(written);
                }
                drop(answer.send(result));
            },
        );
        answered
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("closed".to_owned())))
    }

    async fn replay(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body, response FROM requests WHERE caller = ? AND rpc = ? AND request_id = ? AND made_ms > ?",
            )?;
            let oldest = Timestamp::now().as_millisecond() - write::REMEMBERED_MS;
            let row = statement.query_row(params![key.caller, key.rpc, key.request_id, oldest], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
            });
            Ok::<_, Error>(row.optional()?)
        })?;
        match kept {
            Some((body, _)) if body != key.body => Err(Error::RequestIdReused),
            kept => Ok(kept.map(|(_, response)| response)),
        }
    }

    async fn ready(&self) -> Result<(), String> {
        self.counter("ready")
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox::new(self.database.clone()))
    }

    fn changes(&self, collection: Collection) -> Box<dyn Feed> {
        Box::new(self.followers.follow(collection))
    }
}
