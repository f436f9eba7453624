//! A member of a group: what it owns, where it stands, and reading on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use marquee_proto::topic::Topic;
use rusqlite::params;
use tokio::sync::Notify;

use super::codec;
use super::group::{PartitionId, Step};
use super::log::{Batch, Found, Log, TopicState, signed};
use crate::measure::{self, LAG_EVERY};
use crate::message::{MAX_MESSAGE_BYTES, damaged};
use crate::{Error, Message, Polled, Record, Subscription, TopicPartition};

/// Bytes that are read from the database in one go, for one partition.
const READ_AHEAD: usize = 512 << 10;

pub(super) struct Member {
    log: Arc<Log>,
    group: String,
    id: u64,
    notify: Arc<Notify>,
    topics: Vec<Arc<TopicState>>,
    /// Those it owns, in the order in which they take turns.
    turns: VecDeque<PartitionId>,
    positions: HashMap<PartitionId, Position>,
    told_lag: Option<Instant>,
}

struct Position {
    partition: TopicPartition,
    offset: u64,
    paused: bool,
    /// Read from the database and not delivered yet.
    ahead: VecDeque<Batch>,
}

/// What the lock is needed for, so that it is not held across anything slow.
enum Look {
    News(Polled),
    Batches(PartitionId, Vec<Batch>),
    Stored(PartitionId, u64),
    Nothing,
}

impl Member {
    pub(super) fn join(log: Arc<Log>, group: &str, topics: &[Topic]) -> Result<Self, Error> {
        let topics = topics
            .iter()
            .map(|topic| log.topic(topic.name))
            .collect::<Result<Vec<_>, _>>()?;
        let notify = Arc::new(Notify::new());
        let id = {
            let mut state = log.shared.state.lock();
            state.next_member += 1;
            let id = state.next_member;
            let partitions = topics.iter().map(|topic| topic.partitions.clone()).collect();
            state
                .groups
                .entry(group.to_owned())
                .or_default()
                .join(id, partitions, notify.clone());
            id
        };
        Ok(Self {
            log,
            group: group.to_owned(),
            id,
            notify,
            topics,
            turns: VecDeque::new(),
            positions: HashMap::new(),
            told_lag: None,
        })
    }

    fn look(&mut self, max: usize) -> Look {
        let shared = self.log.shared.clone();
        let mut state = shared.state.lock();
        let state = &mut *state;
        let Some(group) = state.groups.get_mut(&self.group) else {
            return Look::Nothing;
        };
        match group.poll(self.id) {
            Some(Step::Revoked(partitions)) => {
                self.turns.retain(|turn| !partitions.contains(turn));
                let revoked = partitions.iter().filter_map(|id| self.positions.remove(id));
                return Look::News(Polled::Revoked(
                    revoked.map(|position| position.partition).collect(),
                ));
            }
            Some(Step::Assigned(partitions)) => {
                let mut assigned = Vec::new();
                for id in partitions {
                    let Some(partition) = state.partitions.get(&id) else {
                        continue;
                    };
                    let name = TopicPartition {
                        topic: partition.topic.clone(),
                        partition: partition.number,
                    };
                    let offset = group.committed.get(&id).copied().unwrap_or(partition.start);
                    assigned.push(name.clone());
                    self.turns.push_back(id);
                    let position = Position {
                        partition: name,
                        offset,
                        paused: false,
                        ahead: VecDeque::new(),
                    };
                    self.positions.insert(id, position);
                }
                return Look::News(Polled::Assigned(assigned));
            }
            None => {}
        }
        for _ in 0..self.turns.len() {
            // Everybody gets a turn, so that a busy partition does not keep the others waiting.
            self.turns.rotate_left(1);
            let Some(id) = self.turns.back().copied() else {
                break;
            };
            let Some(position) = self.positions.get_mut(&id).filter(|position| !position.paused) else {
                continue;
            };
            if position
                .ahead
                .front()
                .is_some_and(|batch| batch.base <= position.offset)
            {
                return Look::Batches(id, position.take_ahead(max));
            }
            match state.find(id, position.offset, max) {
                Found::End => {}
                Found::Tail(batches) => return Look::Batches(id, batches),
                Found::Stored(offset) => return Look::Stored(id, offset),
            }
        }
        Look::Nothing
    }

    /// Decodes up to so many records and moves the position behind them.
    fn deliver(&mut self, id: PartitionId, batches: Vec<Batch>, max: usize) -> Option<Polled> {
        let position = self.positions.get_mut(&id)?;
        let mut records = Vec::new();
        let mut next = position.offset;
        for batch in batches {
            // Records before the position are stepped over; records that were removed meanwhile leave a gap.
            let mut offset = batch.base;
            let end = batch.end();
            let mut blob = batch.blob;
            while offset < end && records.len() < max {
                // Without the length of one, none after it can be found.
                let (mut bytes, behind) = match codec::next_record(&mut blob) {
                    Some(bytes) => (bytes, offset + 1),
                    None => (std::mem::take(&mut blob), end),
                };
                if behind > position.offset {
                    let TopicPartition { topic, partition } = &position.partition;
                    let stored = bytes.clone();
                    let message = match codec::decode(&mut bytes) {
                        Some(message) if behind == offset + 1 => message,
                        _ => unreadable(&position.partition, offset, behind, stored),
                    };
                    records.push(Record {
                        topic: topic.clone(),
                        partition: *partition,
                        offset: offset.max(position.offset),
                        message,
                    });
                    next = behind;
                }
                offset = behind;
            }
        }
        position.offset = next;
        while position
            .ahead
            .front()
            .is_some_and(|batch| batch.end() <= position.offset)
        {
            position.ahead.pop_front();
        }
        (!records.is_empty()).then_some(Polled::Records(records))
    }

    /// Tells now and then how far behind this member is.
    fn tell_lag(&mut self) {
        if self.told_lag.is_some_and(|told| told.elapsed() < LAG_EVERY) {
            return;
        }
        self.told_lag = Some(Instant::now());
        let state = self.log.shared.state.lock();
        let committed = state.groups.get(&self.group).map(|group| &group.committed);
        for topic in &self.topics {
            let behind = topic.partitions.iter().filter_map(|id| {
                let position = self.positions.get(id)?;
                // Who keeps its offsets elsewhere does not commit.
                let handled = committed.and_then(|committed| committed.get(id).copied());
                let partition = state.partitions.get(id)?;
                Some(
                    partition
                        .next
                        .saturating_sub(handled.unwrap_or(position.offset).max(partition.start)),
                )
            });
            measure::lag(&self.group, &topic.name, behind.sum());
        }
    }

    fn find(&self, partition: &TopicPartition) -> Option<PartitionId> {
        let topic = self.topics.iter().find(|topic| topic.name == partition.topic)?;
        topic.partitions.get(partition.partition as usize).copied()
    }

    fn position(&mut self, partition: &TopicPartition) -> Option<&mut Position> {
        let id = self.find(partition)?;
        self.positions.get_mut(&id)
    }
}

/// What stands for records whose bytes say nothing, so that somebody hears of them and the partition goes on.
fn unreadable(partition: &TopicPartition, offset: u64, behind: u64, stored: Bytes) -> Message {
    let mut message = Message {
        id: format!("{}/{}/{offset}", partition.topic, partition.partition),
        value: stored.slice(..stored.len().min(MAX_MESSAGE_BYTES)),
        ..Message::default()
    };
    let records = behind - offset;
    damaged(
        &mut message,
        &format!("{records} stored record(s) cannot be read"),
    );
    message
}

impl Position {
    fn take_ahead(&self, max: usize) -> Vec<Batch> {
        let mut records = 0;
        let mut taken = Vec::new();
        for batch in &self.ahead {
            records += batch.end() - batch.base.max(self.offset);
            taken.push(batch.clone());
            if records >= max as u64 {
                break;
            }
        }
        taken
    }
}

#[async_trait]
impl Subscription for Member {
    async fn poll(&mut self, max: usize) -> Result<Polled, Error> {
        loop {
            self.tell_lag();
            match self.look(max.max(1)) {
                Look::News(polled) => return Ok(polled),
                Look::Batches(id, batches) => {
                    if let Some(polled) = self.deliver(id, batches, max.max(1)) {
                        measure::consumed(&self.group, &polled);
                        return Ok(polled);
                    }
                }
                Look::Stored(id, offset) => {
                    let read = move |connection: &rusqlite::Connection| {
                        Log::stored(connection, id, offset, READ_AHEAD)
                    };
                    let batches = self.log.database.read_blocking(read).await?;
                    if let Some(position) = self.positions.get_mut(&id) {
                        // Retention may have been faster than the reader.
                        position.offset = batches.front().map_or(offset, |batch| batch.base.max(offset));
                        position.ahead = batches;
                    }
                }
                Look::Nothing => self.notify.notified().await,
            }
        }
    }

    async fn commit(&mut self, partition: &TopicPartition, next_offset: u64) -> Result<(), Error> {
        let not_assigned = || Error::NotAssigned {
            topic: partition.topic.to_string(),
            partition: partition.partition,
        };
        let id = self.find(partition).ok_or_else(not_assigned)?;
        let place_in_queue = self.log.database.reserve().await?;
        let mut state = self.log.shared.state.lock();
        let group = state
            .groups
            .get_mut(&self.group)
            .filter(|group| group.is_owner(self.id, id));
        group.ok_or_else(not_assigned)?.committed.insert(id, next_offset);
        state.dirty.insert((self.group.clone(), id), next_offset);
        if !state.flushing {
            state.flushing = true;
            let (run, done) = (self.log.shared.clone(), self.log.shared.clone());
            place_in_queue.send(
                move |tx| {
                    let dirty = {
                        let mut state = run.state.lock();
                        state.flushing = false;
                        std::mem::take(&mut state.dirty)
                    };
                    write_commits(tx, dirty)
                },
                move |result: Result<(), Error>| {
                    if let Err(error) = result {
                        // The group may not even have begun, so that the flag is still up. The next commit of the
                        // partition says it again.
                        done.state.lock().flushing = false;
                        tracing::warn!(%error, "cannot store committed offsets; after a crash those records come again");
                    }
                },
            );
        }
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) {
        if let Some(position) = self.position(partition) {
            position.offset = offset;
            position.ahead.clear();
        }
    }

    fn pause(&mut self, partition: &TopicPartition) {
        if let Some(position) = self.position(partition) {
            position.paused = true;
        }
    }

    fn resume(&mut self, partition: &TopicPartition) {
        if let Some(position) = self.position(partition) {
            position.paused = false;
        }
    }
}

fn write_commits(
    tx: &rusqlite::Transaction<'_>,
    dirty: HashMap<(String, PartitionId), u64>,
) -> Result<(), Error> {
    let mut upsert = tx.prepare_cached(
        "INSERT INTO commits(consumer, partition, next) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET next = excluded.next",
    )?;
    for ((group, partition), next) in dirty {
        upsert.execute(params![group, partition, signed(next)])?;
    }
    Ok(())
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.log.shared.state.lock();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.leave(self.id);
        }
    }
}
