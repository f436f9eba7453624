//! The outbox, in order of commits for each key, and relayed by one process at a time.
//!
//! **Order.** A row's place is the server's cluster time, which it fills in when the row is inserted (it does so where it
//! finds a timestamp of zero), and rows are relayed in the order of their places. Let T1 be committed before T2, and let
//! T2 follow T1: because both write a document (an aggregate's, with an etag or without), or because T2 was begun after
//! T1 was acknowledged or read. Then every place of T1 is below every place of T2:
//!
//! 1. T2's snapshot is from after T1's commit. If T2 was begun after it, that is so anyway. If both write a document, the
//!    server lets T2 write it only if nobody has changed it since T2's snapshot; else T2 is tried again with a new one.
//! 2. T1's rows were inserted before T1's commit. T2's are inserted after its snapshot: they are the last command of a
//!    transaction, and the first one takes the snapshot. A transaction of messages alone shares no document with any.
//! 3. Cluster time grows with every place and with every commit, also over elections: a new primary knows the commit of
//!    T1, or T1 was not acknowledged and not read, and is undone with all that followed it.
//!
//! A relay that sees T2's rows sees T1's, or they were relayed: it reads a snapshot of what the majority has, in which no
//! commit is without those before it. So of each key it has the oldest rows, and relays them in the order of commits. Two
//! transactions of which neither follows the other are in no order that anybody could tell.
//!
//! That takes no counter which all commits of all processes would wait for. But a transaction with a lower place may be
//! committed later (of another key), so that exactly the rows that were relayed are deleted, and not all up to a place.
//!
//! **One at a time.** Whoever has the lease relays; others see an empty outbox. The lease is a document that says until
//! when, in the server's time. A relay that stood still past its lease may publish once more what another one has
//! published since: a second delivery, which consumers know by its id. The first deliveries stay in order, since each
//! relay begins with the oldest.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use marquee_bus::outbox::Outbox;
use marquee_bus::{Message, Outgoing};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::failure::{Failure, OPERATION, within};
use super::schema;
use super::server::Server;

/// How long the lease holds.
const LEASE: Duration = Duration::from_secs(5);
/// It is renewed when less than this is left.
const RENEW: Duration = Duration::from_secs(3);
/// Whoever has the lease looks after so long for what other processes have committed.
const LOOK: Duration = Duration::from_millis(50);
/// Whoever does not have it looks after so long whether it is free.
const STAND_BY: Duration = Duration::from_millis(500);

pub(super) struct MongoOutbox {
    server: Arc<Server>,
    holder: String,
    /// Until when the lease is held, if it is; a little less than the server has it.
    held: Mutex<Option<Instant>>,
    /// The commits that the last look has seen.
    seen: AtomicU64,
    /// The last place that was given out.
    place: AtomicI64,
    /// What was given out last, and is not published yet.
    given: Mutex<VecDeque<(i64, ObjectId)>>,
    /// What was deleted and may be read for a moment longer, until the majority has deleted it too.
    deleted: Mutex<HashSet<ObjectId>>,
}

impl MongoOutbox {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            holder: uuid::Uuid::new_v4().simple().to_string(),
            held: Mutex::new(None),
            seen: AtomicU64::new(0),
            place: AtomicI64::new(0),
            given: Mutex::default(),
            deleted: Mutex::default(),
        }
    }

    fn rows(&self) -> mongodb::Collection<Document> {
        self.server.database.collection(schema::OUTBOX)
    }

    fn left(&self) -> Duration {
        self.held.lock().map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Whether this process is the one that relays.
    async fn take(&self) -> Result<bool, Failure> {
        if self.left() > RENEW {
            return Ok(true);
        }
        let leases = self.server.database.collection::<Document>(schema::LEASES);
        let asked = Instant::now();
        let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let free = doc! { "_id": schema::OUTBOX_LEASE, "$or": [
            { "holder": &self.holder },
            { "$expr": { "$lte": ["$until", "$$NOW"] } },
        ] };
        let take = vec![doc! { "$set": {
            "holder": &self.holder,
            "until": { "$add": ["$$NOW", lease] },
        } }];
        let taken = within(OPERATION, async {
            leases
                .update_one(free, take)
                .await
                .map(|taken| taken.matched_count > 0)
        });
        let held = taken.await?;
        let had = self.left() > Duration::ZERO;
        *self.held.lock() = held.then(|| asked + LEASE);
        if held && !had {
            tracing::info!(store = self.name(), "relaying the outbox");
        }
        Ok(held)
    }
}

fn unavailable(failure: Failure) -> marquee_bus::Error {
    unreadable(crate::Error::from(failure))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: crate::Error) -> marquee_bus::Error {
    marquee_bus::Error::Unavailable(format!("its outbox cannot be read: {error}"))
}

#[async_trait]
impl Outbox for MongoOutbox {
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, marquee_bus::Error> {
        self.seen
            .store(*self.server.publishes().borrow(), Ordering::SeqCst);
        self.server.declared().await.map_err(unreadable)?;
        if !self.take().await.map_err(unavailable)? {
            self.given.lock().clear();
            return Ok(Vec::new());
        }
        let rows = limit + self.deleted.lock().len();
        let batch = u32::try_from(rows + 1).unwrap_or(u32::MAX);
        let found: Vec<Document> = within(OPERATION, async {
            self.rows()
                .find(doc! {})
                .sort(doc! { "at": 1 })
                .limit(i64::try_from(rows).unwrap_or(i64::MAX))
                .batch_size(batch)
                .await?
                .try_collect()
                .await
        })
        .await
        .map_err(unavailable)?;
        if self.left() == Duration::ZERO {
            // Reading took so long that somebody else may have begun.
            return Ok(Vec::new());
        }
        // They are the oldest, so that those which are not among what was found are gone for good.
        let (deleted, mut still) = (std::mem::take(&mut *self.deleted.lock()), HashSet::new());
        let mut given = VecDeque::with_capacity(found.len());
        let mut pending = Vec::with_capacity(found.len());
        for row in found {
            let Some((id, outgoing)) = message(row) else {
                return Err(unreadable(crate::Error::other("a row is damaged")));
            };
            if deleted.contains(&id) {
                still.insert(id);
                continue;
            }
            if pending.len() == limit {
                break;
            }
            let place = self.place.fetch_add(1, Ordering::Relaxed) + 1;
            given.push_back((place, id));
            pending.push((place, outgoing));
        }
        *self.given.lock() = given;
        *self.deleted.lock() = still;
        Ok(pending)
    }

    async fn published(&self, up_to: i64) -> Result<(), marquee_bus::Error> {
        let ids: Vec<ObjectId> = {
            let given = self.given.lock();
            given
                .iter()
                .take_while(|(place, _)| *place <= up_to)
                .map(|(_, id)| *id)
                .collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        // Needs no majority: a deletion that is lost is a message that is published twice.
        let one = WriteConcern::builder()
            .w(Acknowledgment::Nodes(1))
            .journal(false)
            .build();
        within(OPERATION, async {
            self.rows()
                .delete_many(doc! { "_id": { "$in": &ids } })
                .write_concern(one)
                .await
        })
        .await
        .map_err(unavailable)?;
        self.given.lock().retain(|(place, _)| *place > up_to);
        self.deleted.lock().extend(ids);
        Ok(())
    }

    async fn wait(&self) {
        let seen = self.seen.load(Ordering::SeqCst);
        let held = self.left() > Duration::ZERO;
        let mut commits = self.server.publishes();
        let committed = async {
            if held {
                drop(commits.wait_for(|commits| *commits != seen).await);
            } else {
                std::future::pending::<()>().await;
            }
        };
        drop(tokio::time::timeout(if held { LOOK } else { STAND_BY }, committed).await);
    }

    async fn hold(&self) {
        loop {
            tokio::time::sleep(RENEW / 3).await;
            if self.left() > Duration::ZERO
                && let Err(failure) = self.take().await
            {
                tracing::warn!(
                    store = self.name(),
                    ?failure,
                    "cannot renew the lease of the outbox"
                );
            }
        }
    }

    async fn release(&self) {
        if self.held.lock().take().is_none() {
            return;
        }
        let leases = self.server.database.collection::<Document>(schema::LEASES);
        let own = doc! { "_id": schema::OUTBOX_LEASE, "holder": &self.holder };
        let free = doc! { "$set": { "until": DateTime::from_millis(0) } };
        let released = within(LEASE, async { leases.update_one(own, free).await }).await;
        if let Err(failure) = released {
            tracing::warn!(
                store = self.name(),
                ?failure,
                "cannot give the lease of the outbox back: it runs out"
            );
        }
    }

    async fn depth(&self) -> Result<u64, marquee_bus::Error> {
        within(OPERATION, async { self.rows().estimated_document_count().await })
            .await
            .map_err(unavailable)
    }

    fn name(&self) -> &str {
        self.server.database.name()
    }
}

fn message(row: Document) -> Option<(ObjectId, Outgoing)> {
    let text = |name: &str| row.get_str(name).ok().map(str::to_owned);
    let attributes = row
        .get_array("attributes")
        .ok()?
        .iter()
        .map(|pair| match pair.as_array()?.as_slice() {
            [name, value] => Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let message = Message {
        id: text("id")?,
        key: text("key")?,
        event_type: text("type")?,
        source: text("source")?,
        time: Timestamp::from_str(row.get_str("time").ok()?).ok()?,
        traceparent: text("traceparent"),
        attributes,
        value: row.get_binary_generic("value").ok()?.clone().into(),
    };
    let topic = Cow::Owned(text("topic")?);
    match row.get("_id") {
        Some(Bson::ObjectId(id)) => Some((*id, Outgoing { topic, message })),
        _ => None,
    }
}
