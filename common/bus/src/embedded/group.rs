//! Who in a group has which partitions: pure state, changed under the log's lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

/// The row id of a partition, over all topics.
pub(super) type PartitionId = u32;

/// The members of one group in this process, and where the group stands.
///
/// A partition goes from one member to another in three steps: its owner is told ([`Step::Revoked`]), gives it up with its
/// next poll, and only then is it assigned anew, so that it never has two owners.
#[derive(Default)]
pub(super) struct Group {
    pub(super) committed: HashMap<PartitionId, u64>,
    members: BTreeMap<u64, Member>,
    owners: HashMap<PartitionId, u64>,
}

struct Member {
    /// The partitions of each topic that it subscribed to.
    topics: Vec<Arc<[PartitionId]>>,
    notify: Arc<Notify>,
    owned: Vec<Owned>,
}

#[derive(Clone, Copy)]
struct Owned {
    partition: PartitionId,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The member has not been told yet that the partition is its own.
    New,
    Held,
    /// The member is to be told that the partition goes.
    Unwanted,
    /// It was told, and gives the partition up with its next poll.
    Told,
}

/// News for a member.
pub(super) enum Step {
    Assigned(Vec<PartitionId>),
    Revoked(Vec<PartitionId>),
}

impl Group {
    pub(super) fn join(&mut self, id: u64, topics: Vec<Arc<[PartitionId]>>, notify: Arc<Notify>) {
        self.members.insert(
            id,
            Member {
                topics,
                notify,
                owned: Vec::new(),
            },
        );
        self.rebalance();
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.members.remove(&id);
        self.owners.retain(|_, owner| *owner != id);
        self.rebalance();
    }

    pub(super) fn is_owner(&self, id: u64, partition: PartitionId) -> bool {
        self.owners.get(&partition) == Some(&id)
    }

    /// Wakes whoever reads the partition.
    pub(super) fn wake(&self, partition: PartitionId) {
        if let Some(member) = self
            .owners
            .get(&partition)
            .and_then(|owner| self.members.get(owner))
        {
            member.notify.notify_one();
        }
    }

    /// A member polls: what it was told to give up goes on, and it gets its news.
    pub(super) fn poll(&mut self, id: u64) -> Option<Step> {
        let member = self.members.get_mut(&id)?;
        if member.owned.iter().any(|owned| owned.stage == Stage::Told) {
            for owned in member.owned.extract_if(.., |owned| owned.stage == Stage::Told) {
                self.owners.remove(&owned.partition);
            }
            self.rebalance();
        }
        let member = self.members.get_mut(&id)?;
        let mut tell = |from: Stage, to: Stage| {
            let mut partitions = Vec::new();
            for owned in member.owned.iter_mut().filter(|owned| owned.stage == from) {
                owned.stage = to;
                partitions.push(owned.partition);
            }
            Some(partitions).filter(|partitions| !partitions.is_empty())
        };
        if let Some(partitions) = tell(Stage::Unwanted, Stage::Told) {
            return Some(Step::Revoked(partitions));
        }
        tell(Stage::New, Stage::Held).map(Step::Assigned)
    }

    /// Shares each topic's partitions evenly among its subscribers, moving as few as that takes.
    fn rebalance(&mut self) {
        let mut topics: Vec<Arc<[PartitionId]>> = self
            .members
            .values()
            .flat_map(|member| member.topics.iter().cloned())
            .collect();
        topics.sort();
        topics.dedup();
        for topic in topics {
            self.rebalance_topic(&topic);
        }
    }

    fn rebalance_topic(&mut self, topic: &Arc<[PartitionId]>) {
        // Those who have most already may keep the odd ones; of equals, those who have least of other topics get them.
        let mut subscribers: Vec<(usize, usize, u64)> = self
            .members
            .iter()
            .filter(|(_, member)| member.topics.contains(topic))
            .map(|(id, member)| (usize::MAX - member.kept(topic).count(), member.owned.len(), *id))
            .collect();
        subscribers.sort_unstable();
        let (share, odd) = (
            topic.len() / subscribers.len().max(1),
            topic.len() % subscribers.len().max(1),
        );
        let quotas: Vec<(u64, usize)> = subscribers
            .into_iter()
            .enumerate()
            .map(|(place, (_, _, id))| (id, share + usize::from(place < odd)))
            .collect();
        for (id, quota) in &quotas {
            self.give_up(*id, topic, *quota);
        }
        let mut free: Vec<PartitionId> = topic
            .iter()
            .rev()
            .copied()
            .filter(|partition| !self.owners.contains_key(partition))
            .collect();
        for (id, quota) in quotas {
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            let missing = quota.saturating_sub(member.kept(topic).count()).min(free.len());
            for partition in free.drain(free.len() - missing..).rev() {
                member.owned.push(Owned {
                    partition,
                    stage: Stage::New,
                });
                self.owners.insert(partition, id);
            }
            if missing > 0 {
                member.notify.notify_one();
            }
        }
    }

    /// Takes from a member what it has of the topic beyond its quota.
    fn give_up(&mut self, id: u64, topic: &[PartitionId], quota: usize) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let excess: Vec<PartitionId> = member.kept(topic).skip(quota).collect();
        for owned in member
            .owned
            .iter_mut()
            .filter(|owned| excess.contains(&owned.partition))
        {
            if owned.stage == Stage::New {
                // It never knew, so the partition is free at once.
                self.owners.remove(&owned.partition);
            } else {
                owned.stage = Stage::Unwanted;
            }
        }
        member
            .owned
            .retain(|owned| owned.stage != Stage::New || !excess.contains(&owned.partition));
        if !excess.is_empty() {
            member.notify.notify_one();
        }
    }
}

impl Member {
    fn kept(&self, topic: &[PartitionId]) -> impl Iterator<Item = PartitionId> {
        self.owned
            .iter()
            .filter(|owned| {
                matches!(owned.stage, Stage::New | Stage::Held) && topic.contains(&owned.partition)
            })
            .map(|owned| owned.partition)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(partitions: std::ops::Range<u32>) -> Arc<[PartitionId]> {
        partitions.collect::<Vec<_>>().into()
    }

    fn join(group: &mut Group, id: u64) {
        group.join(id, vec![topic(0..6), topic(6..12)], Arc::default());
    }

    fn settle(group: &mut Group) {
        for _ in 0..6 {
            for id in group.members.keys().copied().collect::<Vec<_>>() {
                while group.poll(id).is_some() {}
            }
        }
    }

    #[test]
    fn a_partition_has_no_new_owner_before_the_old_one_polled_again() {
        let mut group = Group::default();
        join(&mut group, 1);
        settle(&mut group);
        join(&mut group, 2);
        assert!(group.poll(2).is_none(), "everything is still with member 1");
        let Some(Step::Revoked(gone)) = group.poll(1) else {
            panic!("member 1 gives up half")
        };
        assert_eq!(gone.len(), 6);
        assert!(
            group.poll(2).is_none(),
            "member 1 has been told and may be busy yet"
        );
        assert!(
            gone.iter().all(|partition| group.is_owner(1, *partition)),
            "it can still commit"
        );
        assert!(group.poll(1).is_none());
        let Some(Step::Assigned(got)) = group.poll(2) else {
            panic!("member 2 gets them")
        };
        assert_eq!(got, gone);
    }

    #[test]
    fn a_member_that_leaves_gives_up_everything_at_once() {
        let mut group = Group::default();
        join(&mut group, 1);
        join(&mut group, 2);
        settle(&mut group);
        group.leave(1);
        settle(&mut group);
        assert!((0..12).all(|partition| group.is_owner(2, partition)));
    }

    proptest! {
        #[test]
        fn whoever_joins_and_leaves_the_partitions_end_up_shared_evenly(
            steps in proptest::collection::vec((1u64..6, any::<bool>(), any::<bool>()), 1..40)
        ) {
            let mut group = Group::default();
            for (id, joins, polls) in steps {
                if joins && !group.members.contains_key(&id) {
                    join(&mut group, id);
                } else if !joins {
                    group.leave(id);
                }
                if polls {
                    group.poll(id);
                }
                for (partition, owner) in &group.owners {
                    prop_assert!(group.members[owner].owned.iter().any(|owned| owned.partition == *partition));
                }
            }
            settle(&mut group);
            if !group.members.is_empty() {
                prop_assert_eq!(group.owners.len(), 12);
                let counts: Vec<_> = group.members.values().map(|member| member.kept(&topic(0..6)).count()).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            }
        }
    }
}
