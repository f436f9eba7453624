//! The database that the store is in, and what is asked of it beside documents.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::failure::{Failure, OPERATION, within};
use super::schema;
use crate::{Collection, Error};

/// How long making the indexes may take until somebody asks again. The server goes on with it meanwhile.
const DECLARING: Duration = Duration::from_secs(8);
/// How long a declaration that failed for good is not tried again.
const REFUSED: Duration = Duration::from_secs(5);
/// A transaction that nobody has gone on with for so long is of a process that is dead, or that stands still.
const ABANDONED: Duration = Duration::from_secs(3);
/// Connections that callers leave to the commits of groups, the outbox and the look whether the server is there.
const OWN: u32 = 8;
/// Before the name that processes of the project tell the server.
const APPLICATION: &str = "marquee-";

pub(super) struct Server {
    pub(super) database: Database,
    collections: Vec<Collection>,
    declared: OnceCell<()>,
    refused: Mutex<Option<(Instant, Error)>>,
    /// Connections that callers may have; see [`ask`](Self::ask).
    places: Arc<Semaphore>,
    /// Counts commits that publish.
    publishes: watch::Sender<u64>,
    /// When abandoned transactions were last looked for.
    looked: Mutex<Option<Instant>>,
}

/// What the process calls itself.
pub(super) fn application(database: &str) -> String {
    format!("{APPLICATION}{database}")
}

impl Server {
    /// `connections`: the most that the driver has.
    pub(super) fn new(database: Database, collections: &[Collection], connections: u32) -> Arc<Self> {
        let places = connections.saturating_sub(OWN).max(1);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(usize::try_from(places).unwrap_or(1))),
            database,
            collections: collections.to_vec(),
            declared: OnceCell::new(),
            refused: Mutex::new(None),
            publishes: watch::Sender::new(0),
            looked: Mutex::new(None),
        })
    }

    /// Makes what is declared, once. Whoever is first does it; nothing is read or written before.
    pub(super) async fn declared(&self) -> Result<(), Error> {
        if self.declared.initialized() {
            return Ok(());
        }
        if let Some((at, error)) = &*self.refused.lock()
            && at.elapsed() < REFUSED
        {
            return Err(error.again());
        }
        let declaring = self.declared.get_or_try_init(|| async {
            let declared = schema::declare(&self.database, &self.collections).await;
            if let Err(error) = &declared
                && !matches!(error, Error::Unavailable(_))
            {
                tracing::error!(%error, "the database cannot be laid out as declared");
                *self.refused.lock() = Some((Instant::now(), error.again()));
            }
            declared
        });
        match tokio::time::timeout(DECLARING, declaring).await {
            Ok(declared) => declared.map(drop),
            Err(_) => Err(Error::Unavailable(
                "mongodb: the indexes are still being made".to_owned(),
            )),
        }
    }

    /// A place among those that have a connection.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        match tokio::time::timeout(OPERATION, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Failure::Again {
                why: format!("no connection was free within {} s", OPERATION.as_secs()),
                conflict: false,
            }),
        }
    }

    /// What a caller asks, who may go away any moment. Callers wait here for a connection, not in the driver's queue: that
    /// lets one waiter go for each that comes, whether it still waits or not, so that after a few hundred have left
    /// together (their streams ended) those who come next all wait too long, for ever. For the same reason an answer is
    /// waited for, for its 5 s at most, when the caller has left.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        operation: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.place().await?;
        let asking = tokio::spawn(async move {
            let _place = place;
            within(OPERATION, operation).await
        });
        asking.await.unwrap_or_else(|error| {
            Err(Failure::Again {
                why: error.to_string(),
                conflict: false,
            })
        })
    }

    pub(super) async fn ping(&self) -> Result<(), Failure> {
        within(OPERATION, async {
            self.database.run_command(doc! { "ping": 1 }).await
        })
        .await
        .map(drop)
    }

    /// Something was published.
    pub(super) fn published(&self) {
        self.publishes.send_modify(|commits| *commits += 1);
    }

    pub(super) fn publishes(&self) -> watch::Sender<u64> {
        self.publishes.clone()
    }

    /// What it means that there is a row for a request already; `None` when it was too old and is gone now.
    pub(super) async fn remembered(&self, row: &Document) -> Option<Error> {
        let requests = self.database.collection::<Document>(schema::REQUESTS);
        let id = row.get("_id").cloned().unwrap_or(Bson::Null);
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            let found = within(OPERATION, async {
                requests.find_one(doc! { "_id": id.clone() }).await
            })
            .await;
            match found {
                Ok(Some(known)) if is_old(&known) => {
                    let old = doc! { "_id": id, "made": known.get("made").cloned() };
                    let gone = within(OPERATION, async { requests.delete_one(old).await }).await;
                    return gone.err().map(Error::from);
                }
                Ok(Some(known)) if known.get("body") != row.get("body") => {
                    return Some(Error::RequestIdReused);
                }
                Ok(Some(_)) => return Some(Error::RequestInProgress),
                // The other transaction is committed, but the majority does not have it yet.
                Ok(None) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(2)).await,
                Ok(None) => return Some(Error::RequestInProgress),
                Err(failure) => return Some(failure.into()),
            }
        }
    }

    /// Ends transactions that a process left open when it was killed. The server would hold their documents for a
    /// minute, in which whoever writes the same ones meets a conflict. To a process that only stood still it is as if
    /// the server had ended the transaction: it tries again.
    pub(super) async fn end_abandoned(&self, conflicting_since: Instant) {
        if conflicting_since.elapsed() < ABANDONED / 3 {
            return;
        }
        {
            let mut looked = self.looked.lock();
            if looked.is_some_and(|at| at.elapsed() < ABANDONED / 3) {
                return;
            }
            *looked = Some(Instant::now());
        }
        match self.abandoned().await {
            Ok(sessions) if sessions.is_empty() => {}
            Ok(sessions) => {
                tracing::info!(
                    sessions = sessions.len(),
                    "ending transactions that a dead process left open"
                );
                let end = doc! { "killSessions": sessions };
                let ended = within(OPERATION, async { self.database.run_command(end).await }).await;
                if let Err(failure) = ended {
                    tracing::warn!(?failure, "cannot end abandoned transactions");
                }
            }
            Err(failure) => tracing::warn!(?failure, "cannot look for abandoned transactions"),
        }
    }

    async fn abandoned(&self) -> Result<Vec<Bson>, Failure> {
        let idle = i64::try_from(ABANDONED.as_micros()).unwrap_or(i64::MAX);
        let pipeline = vec![
            doc! { "$currentOp": { "idleSessions": true, "allUsers": false } },
            doc! { "$match": {
                "type": "idleSession",
                "appName": application(self.database.name()),
                "transaction.timeInactiveMicros": { "$gt": idle },
            } },
            doc! { "$project": { "lsid": 1 } },
        ];
        let admin = self.database.client().database("admin");
        // As a command, since the driver's aggregation asks for a read concern, which this has not.
        let look = doc! { "aggregate": 1, "pipeline": pipeline, "cursor": { "batchSize": 1_000 } };
        let reply = within(OPERATION, async { admin.run_command(look).await }).await?;
        let sessions = reply
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"));
        Ok(sessions
            .into_iter()
            .flatten()
            .filter_map(|session| {
                let id = session.as_document()?.get_document("lsid").ok()?.get("id")?;
                Some(Bson::from(doc! { "id": id }))
            })
            .collect())
    }
}

/// Whether the answer is too old to be given out; the server deletes such rows, but not at once.
pub(super) fn is_old(row: &Document) -> bool {
    let made = row.get_datetime("made").map_or(0, |made| made.timestamp_millis());
    let kept = i64::try_from(schema::REMEMBERED.as_millis()).unwrap_or(i64::MAX);
    DateTime::now().timestamp_millis() - made >= kept
}
