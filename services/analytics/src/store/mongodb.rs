//! The store of a fleet: a MongoDB replica set. Sums are kept per event and partition, and added up when they are read, so
//! that flushes of different partitions never meet in a document.

mod changes;
mod documents;
mod failure;
mod flush;
mod owner;
mod server;
mod sweep;
mod transaction;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use marquee_config::Secret;
use marquee_proto::name::{AccountName, ChannelName, EventName};
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};

use self::documents::{
    event_range, heard, ledger_of, partition_id, partition_of, position_of, session_id, summed, unsigned,
};
use self::failure::{Failure, is_duplicate};
use self::owner::Sessions;
use self::server::Server;
use super::{Changes, Error, Flush, Heard, Partition, Position, Store, Summary};
use crate::domain::{Ledger, Session, SessionKey};

/// How long one operation may take. A transaction with its retries has the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long readiness waits: less than who asks for it.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Keys of one query.
const KEYS: usize = 1_000;

/// Where the server is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connection string; it may hold a password.
    pub uri: Secret,
    /// The database.
    pub database: String,
}

/// The store of a fleet.
#[derive(Debug, Clone)]
pub struct MongoDb {
    server: Server,
    sessions: Sessions,
}

impl MongoDb {
    /// Takes the settings. The server is not waited for; collections and indexes are made once it answers.
    ///
    /// # Errors
    /// [`Error::Settings`] when the connection string cannot be one, or the database's name.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            server: Server::new(settings).await?,
            sessions: Sessions::default(),
        })
    }

    /// Runs one operation, with a limit.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mongodb::Database) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let work = async {
            let database = self.server.database().await?;
            work(database).await
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(Error::Unavailable(format!(
                "no answer within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    /// Where a partition is, and which flush brought it there.
    async fn position(&self, partition: &Partition) -> Result<(u64, Option<String>), Error> {
        self.with(async |database| {
            let found = database
                .collection::<Document>(server::PARTITIONS)
                .find_one(doc! { "_id": partition_id(partition) })
                .await?;
            Ok(found.map_or((0, None), |found| {
                let flush = found.get_str("flush").ok().map(str::to_owned);
                (unsigned(&found, "next_offset"), flush)
            }))
        })
        .await
    }
}

fn collection(database: &mongodb::Database, name: &str) -> Collection<Document> {
    database.collection(name)
}

#[async_trait]
impl Store for MongoDb {
    async fn ready(&self) -> Result<(), Error> {
        let ping = self.with(async |database| {
            database.run_command(doc! { "ping": 1 }).await?;
            Ok(())
        });
        tokio::time::timeout(READY_WITHIN, ping)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("no server answers".to_owned())))
    }

    async fn positions(&self) -> Result<HashMap<Partition, Position>, Error> {
        self.with(async |database| {
            let found: Vec<Document> = collection(database, server::PARTITIONS)
                .find(doc! {})
                .await?
                .try_collect()
                .await?;
            found
                .iter()
                .map(|found| Ok((partition_of(found)?, position_of(found))))
                .collect()
        })
        .await
    }

    async fn sessions(&self, keys: Vec<SessionKey>) -> Result<HashMap<SessionKey, Session>, Error> {
        self.with(async |database| {
            let mut sessions = HashMap::with_capacity(keys.len());
            for keys in keys.chunks(KEYS) {
                let ids: Vec<_> = keys.iter().map(session_id).collect();
                let mut found = collection(database, server::SESSIONS)
                    .find(doc! { "_id": { "$in": ids } })
                    .projection(doc! { "state": 1, "partition": 1 })
                    .await?;
                while let Some(found) = found.try_next().await? {
                    let heard = heard(&found)?;
                    sessions.insert(heard.key, heard.session);
                }
            }
            Ok(sessions)
        })
        .await
    }

    async fn flush(&self, partition: Partition, expected: u64, next: u64, flush: Flush) -> Result<(), Error> {
        flush.check(expected, next)?;
        self.take_over(&partition, expected, next, &flush).await
    }

    async fn restart(&self, partition: Partition, expected: u64) -> Result<(), Error> {
        let id = partition_id(&partition);
        let moved = self
            .with(async |database| {
                let at = doc! { "_id": id, "next_offset": signed(expected) };
                let produced = doc! { "$add": ["$earlier", "$next_offset"] };
                let earlier = doc! { "$subtract": [produced, "$skipped"] };
                let anew = doc! { "$set": { "earlier": earlier, "next_offset": 0_i64, "skipped": 0_i64 } };
                let result = collection(database, server::PARTITIONS)
                    .update_one(at, vec![anew])
                    .await?;
                Ok(result.matched_count > 0)
            })
            .await?;
        if moved {
            return Ok(());
        }
        match self.position(&partition).await? {
            // Nobody folded it yet, or the answer to the first attempt was lost.
            (0, _) => Ok(()),
            (found, _) => Err(Error::Conflict { expected, found }),
        }
    }

    async fn ledger(&self) -> Result<(Ledger, u64), Error> {
        self.with(async |database| {
            let mut found = collection(database, server::PARTITIONS).find(doc! {}).await?;
            let (mut ledger, mut produced) = (Ledger::default(), 0);
            while let Some(found) = found.try_next().await? {
                ledger += ledger_of(&found);
                produced += unsigned(&found, "earlier") + unsigned(&found, "next_offset");
                produced -= unsigned(&found, "skipped").min(produced);
            }
            Ok((ledger, produced))
        })
        .await
    }

    async fn heard_since(&self, received_ms: i64, most: u32) -> Result<Vec<Heard>, Error> {
        self.with(async |database| {
            let since = doc! { "last_received_ms": { "$gte": received_ms } };
            let found = collection(database, server::SESSIONS)
                .find(since)
                .sort(doc! { "last_received_ms": -1 })
                .limit(i64::from(most))
                .projection(doc! { "state": 1, "partition": 1 })
                .await?;
            let found: Vec<Document> = found.try_collect().await?;
            found.iter().map(|found| Ok(heard(found)?)).collect()
        })
        .await
    }

    async fn changes(&self) -> Result<Option<Changes>, Error> {
        self.with(async |database| Ok(Some(changes::changes(database).await?)))
            .await
    }

    async fn sweep(&self, partitions: Vec<u32>, silent_before_ms: i64, most: u32) -> Result<usize, Error> {
        self.sweep_some(&partitions, silent_before_ms, most).await
    }

    async fn summary(&self, event: &EventName, closed_before_ms: i64) -> Result<Summary, Error> {
        self.with(async |database| {
            // One moment for both: a sweep makes of one what is no longer the other.
            let mut session = database.client().start_session().snapshot(true).await?;
            let mut found = collection(database, server::TOTALS)
                .find(doc! { "_id": event_range(event) })
                .session(&mut session)
                .await?;
            let mut summary = Summary::default();
            while let Some(found) = found.next(&mut session).await.transpose()? {
                summed(&found, &mut summary);
            }
            let silent = doc! {
                "event": event.to_string(), "over": false, "started": false,
                "last_received_ms": { "$lt": closed_before_ms },
            };
            let silent = collection(database, server::SESSIONS)
                .count_documents(silent)
                .session(&mut session)
                .await?;
            summary.totals.exits_before_start += i64::try_from(silent).unwrap_or(i64::MAX);
            Ok(summary)
        })
        .await
    }

    async fn peak(&self, event: &EventName) -> Result<u64, Error> {
        self.with(async |database| {
            let mut found = collection(database, server::TOTALS)
                .find(doc! { "_id": event_range(event) })
                .projection(doc! { "peak": 1 })
                .await?;
            let mut peak = 0;
            while let Some(found) = found.try_next().await? {
                peak = peak.max(unsigned(&found, "peak"));
            }
            Ok(peak)
        })
        .await
    }

    async fn raise_peaks(&self, peaks: BTreeMap<EventName, u64>) -> Result<(), Error> {
        self.with(async |database| {
            for (event, peak) in &peaks {
                let id = doc! { "_id": documents::totals_id(event, documents::ALL_PARTITIONS) };
                let raise = doc! { "$max": { "peak": signed(*peak) } };
                // Two that make the document at once: the second attempt finds it.
                for last in [false, true] {
                    let totals = collection(database, server::TOTALS);
                    match totals.update_one(id.clone(), raise.clone()).upsert(true).await {
                        Ok(_) => break,
                        Err(error) if !last && is_duplicate(&error) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn put_channel(
        &self,
        channel: ChannelName,
        owner: AccountName,
        version_ns: i64,
    ) -> Result<(), Error> {
        self.with(async |database| {
            let older = doc! { "_id": channel.to_string(), "version_ns": { "$lte": version_ns } };
            let newer = doc! { "$set": { "owner": owner.to_string(), "version_ns": version_ns } };
            let channels = collection(database, server::CHANNELS);
            match channels.update_one(older, newer).upsert(true).await {
                // A newer one is there.
                Err(error) if is_duplicate(&error) => Ok(()),
                result => Ok(result.map(drop)?),
            }
        })
        .await
    }

    async fn put_event(&self, event: EventName) -> Result<(), Error> {
        self.with(async |database| {
            let events = collection(database, server::EVENTS);
            match events.insert_one(doc! { "_id": event.to_string() }).await {
                Err(error) if is_duplicate(&error) => Ok(()),
                result => Ok(result.map(drop)?),
            }
        })
        .await
    }

    async fn channel_owner(&self, channel: &ChannelName) -> Result<Option<AccountName>, Error> {
        self.with(async |database| {
            let channel = doc! { "_id": channel.to_string() };
            let Some(found) = collection(database, server::CHANNELS).find_one(channel).await? else {
                return Ok(None);
            };
            let owner = found.get_str("owner").ok().and_then(|owner| owner.parse().ok());
            owner
                .map(Some)
                .ok_or(Failure::from(Error::Damaged("account name")))
        })
        .await
    }

    async fn has_event(&self, event: &EventName) -> Result<bool, Error> {
        self.with(async |database| {
            let event = doc! { "_id": event.to_string() };
            let found = collection(database, server::EVENTS).find_one(event).await?;
            Ok(found.is_some())
        })
        .await
    }
}

/// BSON's integers have a sign; offsets and counts stay far below the difference.
fn signed(value: u64) -> Bson {
    Bson::Int64(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
