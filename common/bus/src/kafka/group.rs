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
mod tests {
    use super::*;
    use crate::Message;

    fn partition(number: u32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: number,
        }
    }

    fn record(number: u32, offset: u64) -> Record {
        Record {
            topic: "t".into(),
            partition: number,
            offset,
            message: Message::default(),
        }
    }

    /// A member that reads partitions 0 and 1.
    fn reading() -> Group {
        let mut group = Group::default();
        let news = group.assigned(vec![partition(0), partition(1)]);
        assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
        assert!(!group.heeded(news), "it may still say where to begin");
        group.polled();
        assert!(group.heeded(news));
        group.begin(&partition(0));
        group.begin(&partition(1));
        group
    }

    fn offsets(polled: Option<Polled>) -> Vec<u64> {
        match polled {
            Some(Polled::Records(records)) => records.iter().map(|record| record.offset).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reading_begins_where_the_member_says_right_after_it_was_told() {
        let mut group = Group::default();
        group.assigned(vec![partition(0), partition(1)]);
        group.next(9);
        group.seek(&partition(0), 7);
        group.polled();
        assert_eq!(group.begin(&partition(0)), Some(7));
        assert_eq!(group.begin(&partition(1)), None, "where the group committed");
    }

    #[test]
    fn partitions_take_turns() {
        let mut group = reading();
        for offset in 0..4 {
            group.arrived(1, record(0, offset));
            group.arrived(1, record(1, offset + 100));
        }
        let order: Vec<_> = (0..4).map(|_| offsets(group.next(2))).collect();
        assert_eq!(order, [[0, 1], [100, 101], [2, 3], [102, 103]]);
    }

    #[test]
    fn a_partition_is_the_members_until_it_was_told_and_polled_again() {
        let mut group = reading();
        let news = group.revoked(vec![partition(0)]);
        group.polled();
        assert!(
            !group.heeded(news) && group.commit(&partition(0), 1),
            "it does not know yet"
        );
        assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
        assert!(
            !group.heeded(news) && group.commit(&partition(0), 2),
            "it may be busy with it"
        );
        group.polled();
        assert!(group.heeded(news) && !group.commit(&partition(0), 3));
        assert!(group.commit(&partition(1), 1), "the other is still its own");
        assert_eq!(group.take_commits(Some(&[partition(0)])), [(partition(0), 2)]);
    }

    #[test]
    fn nothing_is_delivered_of_a_partition_that_goes() {
        let mut group = reading();
        group.arrived(1, record(0, 0));
        group.revoked(vec![partition(0)]);
        assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
        assert!(!group.arrived(1, record(0, 1)));
        assert!(group.next(9).is_none());
    }

    #[test]
    fn what_came_after_a_partition_came_back_is_delivered_though_its_loss_is_told_late() {
        let mut group = reading();
        group.revoked(vec![partition(0)]);
        group.forget(&[partition(0)]);
        group.assigned(vec![partition(0)]);
        // The member is too busy to say where to begin: reading begins without it.
        group.begin(&partition(0));
        assert!(group.arrived(1, record(0, 5)));
        assert!(matches!(group.next(9), Some(Polled::Revoked(_))));
        assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
        assert_eq!(offsets(group.next(9)), [5]);
    }

    #[test]
    fn the_lag_of_a_partition_of_which_nothing_came_is_told_by_the_groups_place() {
        let mut group = reading();
        let place = |committed| Place {
            start: 2,
            end: 10,
            committed,
        };
        let places = HashMap::from([
            (("t".to_owned(), 0), place(Some(7))),
            (("t".to_owned(), 1), place(None)),
        ]);
        let lag = |group: &Group| group.lag(&places, str::to_owned)["t"];
        assert_eq!(lag(&group), 3 + 8);
        group.arrived(1, record(0, 8));
        group.next(9);
        assert_eq!(
            lag(&group),
            1 + 8,
            "what was delivered counts before it is committed"
        );
    }

    #[test]
    fn what_is_lost_is_told_once_and_cannot_be_committed() {
        let mut group = reading();
        group.arrived(1, record(0, 0));
        group.revoked(vec![partition(1)]);
        group.lost();
        assert!(!group.commit(&partition(0), 1) && !group.commit(&partition(1), 1));
        let told: Vec<_> = std::iter::from_fn(|| group.next(9)).collect();
        assert!(
            matches!(&told[..], [Polled::Revoked(first), Polled::Revoked(second)]
                if *first == [partition(1)] && *second == [partition(0)]),
            "{told:?}"
        );
        group.assigned(vec![partition(0)]);
        assert!(matches!(group.next(9), Some(Polled::Assigned(_))));
        group.polled();
        group.begin(&partition(0));
        assert!(group.arrived(1, record(0, 0)), "it begins anew");
    }

    #[test]
    fn after_a_seek_nothing_of_the_old_place_is_delivered() {
        let mut group = reading();
        group.arrived(1, record(0, 5));
        group.seek(&partition(0), 2);
        assert!(
            !group.arrived(1, record(0, 6)),
            "the consumer has not gone there yet"
        );
        assert_eq!(group.work().seeks, [(partition(0), 2)]);
        group.sought(&partition(0), 2);
        assert!(group.arrived(1, record(0, 2)));
        assert_eq!(offsets(group.next(9)), [2]);
    }

    #[test]
    fn a_full_partition_is_held_until_most_of_it_was_delivered() {
        let mut group = reading();
        for offset in 0..=FULL_RECORDS as u64 {
            group.arrived(1, record(0, offset));
        }
        assert_eq!(group.work().hold, [partition(0)]);
        assert!(!group.has_work());
        group.next(FULL_RECORDS / 2);
        assert!(!group.has_work(), "not for every batch");
        group.next(FULL_RECORDS / 3);
        assert!(group.has_work());
        assert_eq!(group.work().release, [partition(0)]);
    }

    #[test]
    fn a_record_that_comes_again_from_the_server_is_delivered_once() {
        let mut group = reading();
        for offset in [3, 4, 3, 4, 5] {
            group.arrived(1, record(0, offset));
        }
        assert_eq!(offsets(group.next(9)), [3, 4, 5]);
    }

    #[test]
    fn a_failed_commit_is_tried_again_unless_there_is_a_later_one() {
        let mut group = reading();
        group.commit(&partition(0), 1);
        group.commit(&partition(1), 1);
        assert_eq!(group.take_commits(None).len(), 2);
        group.commit(&partition(0), 5);
        group.commit_failed(partition(0), 1);
        group.commit_failed(partition(1), 1);
        let mut again = group.take_commits(None);
        again.sort();
        assert_eq!(again, [(partition(0), 5), (partition(1), 1)]);
    }
}
