//! What the log knows in memory: topics, where each partition begins and ends, the tail, the groups.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use marquee_proto::topic::Topic;
use marquee_sqlite::Database;
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, params};
use tokio::sync::Semaphore;

use super::Options;
use super::group::{Group, PartitionId};
use super::publish::Pending;
use crate::Error;

/// Bits of a row's place that are the offset.
const OFFSET_BITS: u32 = 40;

/// The row id of the batch that begins at the offset.
pub(super) fn place(partition: PartitionId, offset: u64) -> i64 {
    (i64::from(partition) << OFFSET_BITS)
        | i64::try_from(offset)
            .unwrap_or(i64::MAX)
            .min((1 << OFFSET_BITS) - 1)
}

/// The offset in a row id.
pub(super) fn offset_of(place: i64) -> u64 {
    place.unsigned_abs() & ((1 << OFFSET_BITS) - 1)
}

/// Offsets go into SQLite's signed integers.
pub(super) fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

pub(super) struct Log {
    pub(super) database: Database,
    pub(super) shared: Arc<Shared>,
    topics: RwLock<HashMap<Arc<str>, Arc<TopicState>>>,
    /// Bytes that may wait to be written.
    pub(super) room: Semaphore,
    pub(super) swept: Mutex<Instant>,
}

/// What queued writes need beside the database. They hold no part of the database itself, so that it closes when its
/// users are gone, and not when its queue is.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) state: Mutex<State>,
    pub(super) pending: Mutex<Pending>,
}

pub(super) struct TopicState {
    pub(super) name: Arc<str>,
    /// By number.
    pub(super) partitions: Arc<[PartitionId]>,
    /// `None` until this process declared the topic.
    pub(super) retention: Option<Duration>,
}

pub(super) struct State {
    pub(super) partitions: HashMap<PartitionId, Partition>,
    pub(super) groups: HashMap<String, Group>,
    /// Which partition each batch of the tail is of, oldest first.
    tail: VecDeque<PartitionId>,
    tail_bytes: usize,
    pub(super) next_member: u64,
    /// Commits that are not in the database yet, and whether a write of them is queued.
    pub(super) dirty: HashMap<(String, PartitionId), u64>,
    pub(super) flushing: bool,
}

pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) number: u32,
    pub(super) start: u64,
    pub(super) next: u64,
    pub(super) bytes: u64,
    /// The newest batches, without gaps up to `next`.
    tail: VecDeque<Batch>,
}

/// Records that were written together.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) base: u64,
    pub(super) records: u64,
    pub(super) blob: Bytes,
}

impl Batch {
    pub(super) fn end(&self) -> u64 {
        self.base + self.records
    }

    /// What it costs to keep it in memory.
    fn weight(&self) -> usize {
        self.blob.len() + 128
    }
}

/// Where the records at a position are.
pub(super) enum Found {
    /// Nothing there yet.
    End,
    Tail(Vec<Batch>),
    /// In the database; from this offset on, which is later than asked for when older records were removed.
    Stored(u64),
}

pub(super) const MAX_PENDING_BYTES: usize = 32 << 20;

impl Log {
    pub(super) fn load(database: Database, options: Options) -> Result<Self, Error> {
        let mut partitions = HashMap::new();
        let mut topics: HashMap<Arc<str>, Vec<PartitionId>> = HashMap::new();
        let mut groups: HashMap<String, Group> = HashMap::new();
        database.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, topic, number, start, next, bytes FROM partitions ORDER BY topic, number",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, topic, number): (PartitionId, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let topic: Arc<str> = topic.into();
                let partition = Partition {
                    topic: topic.clone(),
                    number,
                    start: row.get::<_, i64>(3)?.unsigned_abs(),
                    next: row.get::<_, i64>(4)?.unsigned_abs(),
                    bytes: row.get::<_, i64>(5)?.unsigned_abs(),
                    tail: VecDeque::new(),
                };
                topics.entry(topic).or_default().push(id);
                partitions.insert(id, partition);
            }
            let mut statement = connection.prepare("SELECT consumer, partition, next FROM commits")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let next = row.get::<_, i64>(2)?.unsigned_abs();
                groups
                    .entry(row.get(0)?)
                    .or_default()
                    .committed
                    .insert(row.get(1)?, next);
            }
            Ok::<_, Error>(())
        })?;
        let topics = topics.into_iter().map(|(name, ids)| {
            (
                name.clone(),
                Arc::new(TopicState {
                    name,
                    partitions: ids.into(),
                    retention: None,
                }),
            )
        });
        let state = State {
            partitions,
            groups,
            tail: VecDeque::new(),
            tail_bytes: 0,
            next_member: 0,
            dirty: HashMap::new(),
            flushing: false,
        };
        Ok(Self {
            database,
            shared: Arc::new(Shared {
                options,
                state: Mutex::new(state),
                pending: Mutex::default(),
            }),
            topics: RwLock::new(topics.collect()),
            room: Semaphore::new(MAX_PENDING_BYTES),
            swept: Mutex::new(Instant::now()),
        })
    }

    pub(super) fn topic(&self, name: &str) -> Result<Arc<TopicState>, Error> {
        self.topics
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::UnknownTopic(name.to_owned()))
    }

    /// Every topic that this process declared, with how long it is kept.
    pub(super) fn retentions(&self) -> Vec<(Arc<[PartitionId]>, Duration)> {
        let topics = self.topics.read();
        topics
            .values()
            .filter_map(|topic| Some((topic.partitions.clone(), topic.retention?)))
            .collect()
    }

    pub(super) async fn declare(&self, declared: &[Topic]) -> Result<(), Error> {
        for topic in declared {
            let known = self.topics.read().get(topic.name).cloned();
            let partitions = match known {
                Some(known) => known.partitions.clone(),
                None => self.create(topic).await?,
            };
            let found = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
            if found != topic.partitions {
                let (topic, declared) = (topic.name.to_owned(), topic.partitions);
                return Err(Error::TopicMismatch {
                    topic,
                    property: "partitions",
                    found: found.into(),
                    declared: declared.into(),
                });
            }
            let name: Arc<str> = topic.name.into();
            let state = TopicState {
                name: name.clone(),
                partitions,
                retention: Some(topic.retention),
            };
            self.topics.write().insert(name, Arc::new(state));
        }
        Ok(())
    }

    /// Makes the topic's partitions, unless somebody else has just done so.
    async fn create(&self, topic: &Topic) -> Result<Arc<[PartitionId]>, Error> {
        let Topic {
            name,
            partitions: count,
            ..
        } = *topic;
        let ids = self
            .database
            .write(move |tx| {
                let known: Vec<PartitionId> = tx
                    .prepare_cached("SELECT id FROM partitions WHERE topic = ? ORDER BY number")?
                    .query_map([name], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                if !known.is_empty() {
                    return Ok::<_, Error>(known);
                }
                let mut insert =
                    tx.prepare_cached("INSERT INTO partitions(topic, number) VALUES (?, ?) RETURNING id")?;
                Ok((0..count)
                    .map(|number| insert.query_row(params![name, number], |row| row.get(0)))
                    .collect::<Result<Vec<PartitionId>, _>>()?)
            })
            .await?;
        let mut state = self.shared.state.lock();
        for (number, id) in (0..).zip(&ids) {
            state.partitions.entry(*id).or_insert_with(|| Partition {
                topic: name.into(),
                number,
                start: 0,
                next: 0,
                bytes: 0,
                tail: VecDeque::new(),
            });
        }
        Ok(ids.into())
    }

    /// Reads the batches from the one that holds the offset (or the next after it), up to about so many bytes.
    pub(super) fn stored(
        connection: &Connection,
        partition: PartitionId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<VecDeque<Batch>, Error> {
        let (first, last) = (place(partition, 0), place(partition, u64::MAX));
        let from: Option<i64> = connection
            .prepare_cached("SELECT max(place) FROM batches WHERE place BETWEEN ? AND ?")?
            .query_row(params![first, place(partition, offset)], |row| row.get(0))?;
        let mut statement = connection.prepare_cached(
            "SELECT place, records, blob FROM batches WHERE place BETWEEN ? AND ? ORDER BY place",
        )?;
        let mut rows = statement.query(params![from.unwrap_or(first), last])?;
        let (mut batches, mut bytes) = (VecDeque::new(), 0);
        while bytes < max_bytes
            && let Some(row) = rows.next()?
        {
            let blob: Vec<u8> = row.get(2)?;
            bytes += blob.len();
            let records = row.get::<_, i64>(1)?.unsigned_abs();
            batches.push_back(Batch {
                base: offset_of(row.get(0)?),
                records,
                blob: blob.into(),
            });
        }
        while batches.front().is_some_and(|batch| batch.end() <= offset) {
            batches.pop_front();
        }
        Ok(batches)
    }
}

impl State {
    /// Takes a committed batch over and wakes who waits for it.
    pub(super) fn append(&mut self, id: PartitionId, batch: Batch, tail_limit: usize) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        partition.next = batch.end();
        partition.bytes += batch.blob.len() as u64;
        self.tail_bytes += batch.weight();
        partition.tail.push_back(batch);
        self.tail.push_back(id);
        while self.tail_bytes > tail_limit
            && let Some(oldest) = self.tail.pop_front()
        {
            let batch = self
                .partitions
                .get_mut(&oldest)
                .and_then(|partition| partition.tail.pop_front());
            self.tail_bytes -= batch.map_or(0, |batch| batch.weight());
        }
        for group in self.groups.values() {
            group.wake(id);
        }
    }

    /// Forgets what was removed from the database.
    pub(super) fn removed(&mut self, id: PartitionId, start: u64, bytes: u64) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.start = start;
            partition.bytes = partition.bytes.saturating_sub(bytes);
        }
    }

    /// Finds up to so many records from the offset on.
    pub(super) fn find(&self, id: PartitionId, offset: u64, max: usize) -> Found {
        let Some(partition) = self.partitions.get(&id) else {
            return Found::End;
        };
        let offset = offset.max(partition.start);
        if offset >= partition.next {
            return Found::End;
        }
        if partition.tail.front().is_none_or(|batch| batch.base > offset) {
            return Found::Stored(offset);
        }
        let mut found = Vec::new();
        let mut records = 0;
        for batch in partition
            .tail
            .range(partition.tail.partition_point(|batch| batch.end() <= offset)..)
        {
            records += batch.end() - batch.base.max(offset);
            found.push(batch.clone());
            if records >= max as u64 {
                break;
            }
        }
        Found::Tail(found)
    }
}
