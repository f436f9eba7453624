//! An outbox in the SQLite file of its store.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use marquee_sqlite::Database;
use rusqlite::{OptionalExtension, Transaction, params};

use super::Outbox;
use crate::embedded::codec;
use crate::{Error, Outgoing};

/// Makes the table; one of the migrations of the store's file. `AUTOINCREMENT`, since a place must not come again
/// after its row was deleted.
pub const MIGRATION: &str = "CREATE TABLE outbox(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    message BLOB NOT NULL
)";

/// Adds a message to the transaction: it is published if and only if the transaction commits.
///
/// # Errors
/// Refuses what no bus would take ([`Outgoing::check`]): it would keep everything behind it waiting for ever.
pub fn insert(tx: &Transaction<'_>, message: &Outgoing) -> Result<(), marquee_sqlite::Error> {
    message
        .check()
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut bytes = Vec::new();
    codec::encode(&message.message, &mut bytes);
    tx.prepare_cached("INSERT INTO outbox(topic, message) VALUES (?, ?)")?
        .execute(params![message.topic, bytes])?;
    Ok(())
}

/// The outbox of one file.
pub struct SqliteOutbox {
    database: Database,
    /// The commits that the last look at the table has seen.
    seen: AtomicU64,
    name: String,
}

impl SqliteOutbox {
    /// The outbox of a file that has had [`MIGRATION`].
    pub fn new(database: Database) -> Self {
        let name = database
            .path()
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Self {
            database,
            seen: AtomicU64::new(0),
            name,
        }
    }
}

/// A relay looks by itself after so long, in case that a commit went unnoticed.
const FALLBACK: Duration = Duration::from_secs(1);

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, Error> {
        self.seen
            .store(*self.database.committed().borrow(), Ordering::SeqCst);
        self.database.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT position, topic, message FROM outbox ORDER BY position LIMIT ?")?;
            let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut pending = Vec::new();
            while let Some(row) = rows.next()? {
                let (position, topic, bytes): (i64, String, Vec<u8>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let Some(message) = codec::decode(&mut bytes.into()) else {
                    let offset = u64::try_from(position).unwrap_or_default();
                    return Err(Error::Damaged {
                        topic,
                        partition: 0,
                        offset,
                    });
                };
                pending.push((
                    position,
                    Outgoing {
                        topic: Cow::Owned(topic),
                        message,
                    },
                ));
            }
            Ok(pending)
        })
    }

    async fn published(&self, up_to: i64) -> Result<(), Error> {
        self.database
            .write(move |tx| {
                tx.prepare_cached("DELETE FROM outbox WHERE position <= ?")?
                    .execute([up_to])?;
                Ok(())
            })
            .await
    }

    async fn wait(&self) {
        let seen = self.seen.load(Ordering::SeqCst);
        let mut committed = self.database.committed();
        // Both a timeout and a closed database let the relay look, which tells it what is the matter.
        drop(tokio::time::timeout(FALLBACK, committed.wait_for(|commits| *commits != seen)).await);
    }

    async fn depth(&self) -> Result<u64, Error> {
        self.database.read(|connection| {
            // Rows go in order of their places, so that the ends tell the number without a scan.
            let depth: Option<i64> = connection
                .prepare_cached("SELECT max(position) - (SELECT min(position) FROM outbox) + 1 FROM outbox")?
                .query_row([], |row| row.get(0))
                .optional()?
                .flatten();
            Ok(depth.and_then(|depth| u64::try_from(depth).ok()).unwrap_or(0))
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}
