//! What a member of a group has: its partitions, what was read of them and not delivered yet, and what happens to them.
//! Pure state, between the member (the async side) and its poller (the thread that owns the consumer).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::{Polled, Record, TopicPartition};

/// A partition that has so much waiting is not read further,
const FULL_BYTES: usize = 1 << 20;
const FULL_RECORDS: usize = 4_000;
/// until it has only so much.
const LOW_BYTES: usize = FULL_BYTES / 4;
const LOW_RECORDS: usize = FULL_RECORDS / 4;

#[derive(Default)]
pub(super) struct Group {
    slots: BTreeMap<TopicPartition, Slot>,
    /// The order in which partitions take turns.
    turns: VecDeque<TopicPartition>,
    /// What the member is to be told, with its number.
    news: VecDeque<(u64, News)>,
    last_news: u64,
    /// The last that it was told, and the last after which it polled again: it has done what they ask for.
    told: u64,
    heeded: u64,
    commits: HashMap<TopicPartition, u64>,
}

enum News {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// Where a partition stands, as the server told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where the group goes on, if it has ever committed.
    pub(super) committed: Option<u64>,
}

#[derive(Default)]
struct Slot {
    stage: Stage,
    buffer: VecDeque<(usize, Record)>,
    bytes: usize,
    /// By the member.
    paused: bool,
    /// By us, since it is full.
    held: bool,
    /// Where the member wants to go on; the poller has not gone there yet.
    seek: Option<u64>,
    /// The next offset to come from the server.
    next: Option<u64>,
    /// The next offset to be delivered.
    position: u64,
    committed: Option<u64>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Assigned, and not read yet: the member may still say where to begin.
    #[default]
    New,
    Read,
    /// To be given up; the member was or will be told by the news of this number.
    Going(u64),
    /// Given up by the member.
    Gone,
}

/// What the poller is to do.
#[derive(Default)]
pub(super) struct Work {
    pub(super) seeks: Vec<(TopicPartition, u64)>,
    pub(super) hold: Vec<TopicPartition>,
    pub(super) release: Vec<TopicPartition>,
}

impl Group {
    /// The group gave these partitions to this member. Says which news will tell it.
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>) -> u64 {
        for partition in &partitions {
            self.slots.insert(partition.clone(), Slot::default());
            self.turns.push_back(partition.clone());
        }
        self.tell(News::Assigned(partitions))
    }

    /// The group takes these partitions away. Says which news will tell it.
    pub(super) fn revoked(&mut self, partitions: Vec<TopicPartition>) -> u64 {
        let news = self.last_news + 1;
        for partition in &partitions {
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.stage = Stage::Going(news);
            }
        }
        self.tell(News::Revoked(partitions))
    }

    /// The consumer is gone, and its partitions with it: nothing of them can be committed any more.
    pub(super) fn lost(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        let untold = slots
            .into_iter()
            .filter(|(_, slot)| matches!(slot.stage, Stage::New | Stage::Read))
            .map(|(partition, _)| partition);
        let partitions: Vec<_> = untold.collect();
        self.turns.clear();
        self.commits.clear();
        if !partitions.is_empty() {
            self.tell(News::Revoked(partitions));
        }
    }

    fn tell(&mut self, news: News) -> u64 {
        self.last_news += 1;
        self.news.push_back((self.last_news, news));
        self.last_news
    }

    /// Whether the member has been told, and has polled since.
    pub(super) fn heeded(&self, news: u64) -> bool {
        self.heeded >= news
    }

    /// Reading begins: where, if not where the group committed.
    pub(super) fn begin(&mut self, partition: &TopicPartition) -> Option<u64> {
        let slot = self.slots.get_mut(partition)?;
        slot.stage = Stage::Read;
        slot.seek.take()
    }

    /// The partitions are no longer this member's; their last commits.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.slots.remove(partition);
            self.commits.remove(partition);
        }
        self.turns.retain(|turn| !partitions.contains(turn));
    }

    /// A record came. True when it is for somebody.
    pub(super) fn arrived(&mut self, bytes: usize, record: Record) -> bool {
        let Some(slot) = self.slots.get_mut(&record.topic_partition()) else {
            return false;
        };
        // Before a seek is done, what comes is of the old place.
        if slot.stage != Stage::Read
            || slot.seek.is_some()
            || slot.next.is_some_and(|next| record.offset < next)
        {
            return false;
        }
        slot.next = Some(record.offset + 1);
        if slot.buffer.is_empty() {
            slot.position = record.offset;
        }
        slot.bytes += bytes;
        slot.buffer.push_back((bytes, record));
        true
    }

    /// The member polls: it has done what it was told.
    pub(super) fn polled(&mut self) {
        self.heeded = self.told;
        for slot in self.slots.values_mut() {
            if matches!(slot.stage, Stage::Going(news) if news <= self.heeded) {
                slot.stage = Stage::Gone;
            }
        }
    }

    /// What there is for the member: news before records, partitions in turns.
    pub(super) fn next(&mut self, max: usize) -> Option<Polled> {
        if let Some((number, news)) = self.news.pop_front() {
            self.told = number;
            return Some(match news {
                News::Assigned(partitions) => Polled::Assigned(partitions),
                News::Revoked(partitions) => {
                    for partition in &partitions {
                        // Unless it has come back meanwhile, for a new life.
                        if let Some(slot) = self.slots.get_mut(partition)
                            && slot.stage == Stage::Going(number)
                        {
                            slot.clear();
                        }
                    }
                    Polled::Revoked(partitions)
                }
            });
        }
        for _ in 0..self.turns.len() {
            self.turns.rotate_left(1);
            let Some(slot) = self.turns.back().and_then(|turn| self.slots.get_mut(turn)) else {
                continue;
            };
            if slot.paused || slot.buffer.is_empty() || slot.stage != Stage::Read {
                continue;
            }
            let taken = slot.buffer.len().min(max);
            let records: Vec<Record> = slot
                .buffer
                .drain(..taken)
                .map(|(bytes, record)| {
                    slot.bytes -= bytes;
                    record
                })
                .collect();
            slot.position = records.last().map_or(slot.position, |last| last.offset + 1);
            return Some(Polled::Records(records));
        }
        None
    }

    /// False when the partition is not this member's.
    pub(super) fn commit(&mut self, partition: &TopicPartition, next: u64) -> bool {
        match self.slots.get_mut(partition) {
            Some(slot) if slot.stage != Stage::Gone => {
                slot.committed = Some(next);
                self.commits.insert(partition.clone(), next);
                true
            }
            _ => false,
        }
    }

    /// What is to be committed; all of it, or of some partitions.
    pub(super) fn take_commits(&mut self, only: Option<&[TopicPartition]>) -> Vec<(TopicPartition, u64)> {
        match only {
            None => self.commits.drain().collect(),
            Some(partitions) => partitions
                .iter()
                .filter_map(|partition| self.commits.remove_entry(partition))
                .collect(),
        }
    }

    /// A commit failed: it is tried again, unless there is a later one or the partition is gone.
    pub(super) fn commit_failed(&mut self, partition: TopicPartition, next: u64) {
        if self.slots.contains_key(&partition) {
            self.commits.entry(partition).or_insert(next);
        }
    }

    pub(super) fn has_commits(&self) -> bool {
        !self.commits.is_empty()
    }

    pub(super) fn seek(&mut self, partition: &TopicPartition, offset: u64) {
        if let Some(slot) = self.slots.get_mut(partition) {
            slot.clear();
            slot.seek = Some(offset);
            slot.position = offset;
        }
    }

    /// The poller has gone there; unless the member has changed its mind, what comes now is for it.
    pub(super) fn sought(&mut self, partition: &TopicPartition, offset: u64) {
        if let Some(slot) = self.slots.get_mut(partition)
            && slot.seek == Some(offset)
        {
            slot.seek = None;
            slot.next = None;
        }
    }

    pub(super) fn pause(&mut self, partition: &TopicPartition, paused: bool) {
        if let Some(slot) = self.slots.get_mut(partition) {
            slot.paused = paused;
        }
    }

    /// What the poller is to do; it is noted as done but for seeks.
    pub(super) fn work(&mut self) -> Work {
        let mut work = Work::default();
        for (partition, slot) in self
            .slots
            .iter_mut()
            .filter(|(_, slot)| slot.stage == Stage::Read)
        {
            if let Some(offset) = slot.seek {
                work.seeks.push((partition.clone(), offset));
            }
            if !slot.held && (slot.bytes > FULL_BYTES || slot.buffer.len() > FULL_RECORDS) {
                slot.held = true;
                work.hold.push(partition.clone());
            } else if slot.wants_more() {
                slot.held = false;
                work.release.push(partition.clone());
            }
        }
        work
    }

    /// Whether the poller has something to do at once.
    pub(super) fn has_work(&self) -> bool {
        self.slots
            .values()
            .any(|slot| slot.stage == Stage::Read && (slot.seek.is_some() || slot.wants_more()))
    }

    /// How far the member is behind, by topic, given where the partitions stand.
    pub(super) fn lag(
        &self,
        places: &HashMap<(String, i32), Place>,
        full_name: impl Fn(&str) -> String,
    ) -> BTreeMap<Arc<str>, u64> {
        let mut lag = BTreeMap::new();
        for (TopicPartition { topic, partition }, slot) in &self.slots {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            let Some(place) = places.get(&(full_name(topic), number)) else {
                continue;
            };
            let read = slot.next.is_some().then_some(slot.position);
            // Where nothing came since it was assigned, the group's place tells; without one, it reads all that there is.
            let at = slot.committed.or(read).or(place.committed).unwrap_or(place.start);
            *lag.entry(topic.clone()).or_default() += place.end.saturating_sub(at);
        }
        lag
    }
}

impl Slot {
    fn wants_more(&self) -> bool {
        self.held && self.bytes < LOW_BYTES && self.buffer.len() < LOW_RECORDS
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests;
