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
//! A relay that sees T2's rows sees T1's, or they were relayed: it reads with read concern snapshot, so that the whole find
//! is of one point in time of what the majority has, in which no commit is without those before it. (Read concern majority
//! would not do: such a find goes on with a newer view each time that it has yielded, and can be past T1's place when T1
//! is committed, but not yet at T2's.) So of each key it has the oldest rows, and relays them in the order of commits. Two
//! transactions of which neither follows the other are in no order that anybody could tell.
//!
//! That takes no counter which all commits of all processes would wait for. But a transaction with a lower place may be
//! committed later (of another key), so that exactly the rows that were relayed are deleted, and not all up to a place.
//!
//! **One at a time.** The lease ([`leased`](marquee_bus::outbox::leased)) is a document that says until when, in the
//! server's time.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use marquee_bus::outbox::leased::{LEASE, Leased, Rows};
use marquee_bus::{Message, Outgoing};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};

use super::failure::{Failure, OPERATION, within};
use super::schema;
use super::server::Server;

/// The outbox of one database, as one process sees it.
pub(super) type MongoOutbox = Leased<MongoRows>;

pub(super) struct MongoRows {
    server: Arc<Server>,
}

pub(super) fn open(server: Arc<Server>) -> MongoOutbox {
    let commits = server.publishes();
    Leased::new(MongoRows { server }, commits)
}

impl MongoRows {
    fn rows(&self) -> mongodb::Collection<Document> {
        self.server.database.collection(schema::OUTBOX)
    }

    fn leases(&self) -> mongodb::Collection<Document> {
        self.server.database.collection(schema::LEASES)
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
impl Rows for MongoRows {
    type Id = ObjectId;

    async fn take(&self, holder: &str, lease: Duration) -> Result<bool, marquee_bus::Error> {
        self.server.declared().await.map_err(unreadable)?;
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let free = doc! { "_id": schema::OUTBOX_LEASE, "$or": [
            { "holder": holder },
            { "$expr": { "$lte": ["$until", "$$NOW"] } },
        ] };
        let take = vec![doc! { "$set": {
            "holder": holder,
            "until": { "$add": ["$$NOW", lease] },
        } }];
        let taken = within(OPERATION, async { self.leases().update_one(free, take).await });
        let taken = taken.await.map_err(unavailable)?;
        Ok(taken.matched_count > 0)
    }

    async fn read(&self, limit: usize) -> Result<Vec<(ObjectId, Outgoing)>, marquee_bus::Error> {
        let batch = u32::try_from(limit + 1).unwrap_or(u32::MAX);
        let found: Vec<Document> = within(OPERATION, async {
            self.rows()
                .find(doc! {})
                .sort(doc! { "at": 1 })
                .read_concern(ReadConcern::snapshot())
                .limit(i64::try_from(limit).unwrap_or(i64::MAX))
                .batch_size(batch)
                .await?
                .try_collect()
                .await
        })
        .await
        .map_err(unavailable)?;
        let damaged = || unreadable(crate::Error::other("a row is damaged"));
        found
            .into_iter()
            .map(|row| message(row).ok_or_else(damaged))
            .collect()
    }

    async fn forget(&self, ids: &[ObjectId]) -> Result<(), marquee_bus::Error> {
        // Needs no majority: a deletion that is lost is a message that is published twice.
        let one = WriteConcern::builder()
            .w(Acknowledgment::Nodes(1))
            .journal(false)
            .build();
        within(OPERATION, async {
            self.rows()
                .delete_many(doc! { "_id": { "$in": ids } })
                .write_concern(one)
                .await
        })
        .await
        .map(drop)
        .map_err(unavailable)
    }

    async fn release(&self, holder: &str) -> Result<(), marquee_bus::Error> {
        let own = doc! { "_id": schema::OUTBOX_LEASE, "holder": holder };
        let free = doc! { "$set": { "until": DateTime::from_millis(0) } };
        within(LEASE, async { self.leases().update_one(own, free).await })
            .await
            .map(drop)
            .map_err(unavailable)
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
