//! The bus in a folder: a durable log of our own on SQLite, for one process (docs/adr/0003).
//!
//! ```text
//!  publish ─► encode per partition ─► pending ─┐ one job of the writer thread takes all that is pending:
//!  publish ─► encode per partition ─► pending ─┴► one blob row per partition ─► COMMIT (fsync) ─► tail, wake, answer
//!                                                                                               │
//!  poll ◄── recent batches in memory (the tail, bounded) ◄──────────────────────────────────────┘
//!      ◄── rows of the database, for who is behind the tail
//! ```

pub(crate) mod codec;
mod group;
mod log;
mod publish;
mod retention;
mod subscription;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use marquee_proto::topic::Topic;
use marquee_sqlite::Database;

use crate::measure::Publishing;
use crate::message::MAX_MESSAGE_BYTES;
use crate::{Error, EventBus, Outgoing, Subscription as SubscriptionTrait};
use log::Log;
use subscription::Member;

/// Bounds of the embedded bus.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of recent batches that are kept in memory, over all partitions.
    pub tail_bytes: usize,
    /// Bytes that a partition keeps on disk; its oldest batches go beyond that, whatever their age.
    pub partition_bytes: u64,
    /// Bytes of one message at most.
    pub message_bytes: usize,
    /// Bytes of a page of the file; counts when it is made.
    pub page_size: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tail_bytes: 16 << 20,
            partition_bytes: 1 << 30,
            message_bytes: MAX_MESSAGE_BYTES,
            page_size: 4 << 10,
        }
    }
}

/// The embedded bus. Dropping it writes what is queued and frees the folder.
pub struct Embedded {
    log: Arc<Log>,
}

const MIGRATION: &str = "
CREATE TABLE partitions(
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    start INTEGER NOT NULL DEFAULT 0,  -- the earliest offset that is kept
    next INTEGER NOT NULL DEFAULT 0,   -- the offset that the next record gets
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
);
CREATE TABLE batches(
    place INTEGER PRIMARY KEY,         -- partition << 40 | offset of the first record
    records INTEGER NOT NULL,
    appended_ms INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE TABLE commits(
    consumer TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (consumer, partition)
) WITHOUT ROWID;
";

impl Embedded {
    /// Opens or makes the bus in a folder.
    ///
    /// # Errors
    /// Those of [`Database::open`], which name the folder.
    pub fn open(folder: &Path, options: Options) -> Result<Arc<Self>, Error> {
        let layout = marquee_sqlite::Options {
            page_size: options.page_size,
            // 16 MiB, as the log grows by a few pages with each commit, however small.
            wal_pages: (16 << 20) / options.page_size.max(512),
            cache_kib: 8 << 10,
            ..marquee_sqlite::Options::default()
        };
        let database = Database::open_with(&folder.join("bus.sqlite"), &[MIGRATION], layout)?;
        Ok(Arc::new(Self {
            log: Arc::new(Log::load(database, options)?),
        }))
    }

    /// Removes what is older than its topic keeps it, and what a partition has beyond its bytes. Publishing does this
    /// about once a minute by itself.
    pub async fn retain(&self, now: jiff::Timestamp) -> Result<(), Error> {
        while retention::sweep(&self.log, now).await? {}
        Ok(())
    }
}

#[async_trait]
impl EventBus for Embedded {
    async fn declare(&self, topics: &[Topic]) -> Result<(), Error> {
        self.log.declare(topics).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error> {
        let publishing = Publishing::begin(&messages);
        let result = publish::publish(&self.log, messages).await;
        publishing.end(result.is_ok());
        result
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn SubscriptionTrait>, Error> {
        Ok(Box::new(Member::join(self.log.clone(), group, topics)?))
    }

    async fn start_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.offsets(topic, |partition| partition.start)
    }

    async fn end_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.offsets(topic, |partition| partition.next)
    }

    async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error> {
        let topic = self.log.topic(topic.name)?;
        let state = self.log.shared.state.lock();
        let group = state.groups.get(group);
        Ok(topic
            .partitions
            .iter()
            .map(|id| group.and_then(|group| group.committed.get(id).copied()))
            .collect())
    }
}

impl Embedded {
    fn offsets(&self, topic: &Topic, of: impl Fn(&log::Partition) -> u64) -> Result<Vec<u64>, Error> {
        let topic = self.log.topic(topic.name)?;
        let state = self.log.shared.state.lock();
        Ok(topic
            .partitions
            .iter()
            .filter_map(|id| state.partitions.get(id))
            .map(of)
            .collect())
    }
}
