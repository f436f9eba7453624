//! What a subscription's thread does with its consumer: it reads ahead, and does what may block.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::cloudevents::{self, Raw};
use super::events::{Events, Rebalance, report};
use super::shared::Shared;
use super::thread::Membership;
use crate::{Record, TopicPartition, measure};

/// The member has so long to say where to begin, after it was told of new partitions.
const BEGIN: Duration = Duration::from_secs(10);

/// And so long to finish what it has in hand of partitions that go to somebody else. A member that does not poll for
/// longer must not keep the whole group waiting; what it had comes again elsewhere.
const FINISH: Duration = Duration::from_secs(30);

/// Records that are handed over in one go.
const HAND_OVER: usize = 500;

/// The thread looks around so often when nothing wakes it.
const TICK: Duration = Duration::from_millis(500);

const SEEK: Duration = Duration::from_secs(5);

/// The last commits of partitions that go are tried for so long, so often.
const COMMIT: Duration = Duration::from_secs(3);
const COMMIT_AGAIN: Duration = Duration::from_millis(20);

/// Whether a commit may succeed a moment later: the group is between two generations, or its coordinator is moving.
fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::RebalanceInProgress
                | Code::IllegalGeneration
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::WaitingForCoordinator
                | Code::BrokerTransportFailure
                | Code::RequestTimedOut
        )
    )
}

/// One consumer, as long as it works.
pub(super) struct Poller<'a> {
    consumer: BaseConsumer<Events>,
    of: &'a Membership,
    shared: &'a Shared,
    /// The rebalance under way: the news that tells the member, and when it is done without its answer.
    asked: Option<Asked>,
    /// What the consumer commits by itself, and commits again until the server has it.
    stored: HashMap<TopicPartition, u64>,
    /// No commit before; after one that was refused.
    commit_after: Instant,
    /// Why the consumer is of no use any more.
    failed: Option<String>,
    /// It was given partitions, or told that there are none for it.
    joined: bool,
}

struct Asked {
    rebalance: Rebalance,
    news: u64,
    until: Instant,
}

/// How a poller ended.
pub(super) enum End {
    /// The member left its group.
    Left,
    /// The consumer does nothing any more, and why.
    Failed(String),
}

impl<'a> Poller<'a> {
    pub(super) fn new(of: &'a Membership, consumer: BaseConsumer<Events>) -> Self {
        Self {
            consumer,
            of,
            shared: &of.shared,
            asked: None,
            stored: HashMap::new(),
            commit_after: Instant::now(),
            failed: None,
            joined: false,
        }
    }

    pub(super) fn run(mut self) -> End {
        let end = loop {
            let more = self.read();
            if let Some(reason) = self.failed.take() {
                break End::Failed(reason);
            }
            self.join();
            self.rebalance();
            self.work();
            self.commit();
            self.tell_lag();
            if self.shared.state.lock().leaving {
                break End::Left;
            }
            if !more {
                self.shared.wake.wait(TICK);
            }
        };
        // One that failed has nothing that it could commit.
        if matches!(end, End::Left) {
            self.commit_now(None);
        }
        self.consumer.context().leaving.store(true, Ordering::Relaxed);
        // The answer that the consumer waits for, so that it can leave.
        for rebalance in self
            .asked
            .take()
            .map(|asked| asked.rebalance)
            .into_iter()
            .chain(self.next_rebalance())
        {
            match rebalance {
                Rebalance::Assign(partitions) => {
                    report(self.consumer.incremental_assign(&partitions), "assign")
                }
                Rebalance::Revoke { partitions, .. } => {
                    report(self.consumer.incremental_unassign(&partitions), "unassign");
                }
            }
        }
        // Dropping the consumer leaves the group and waits for that.
        end
    }

    /// Whether a consumer that replaced another one is at work.
    fn join(&mut self) {
        if !self.joined && self.consumer.context().joined.load(Ordering::Relaxed) {
            self.joined = true;
            self.shared.place.recovered();
        }
    }

    /// Takes what the consumer has. True when there may be more.
    fn read(&mut self) -> bool {
        let mut records = Vec::new();
        let mut more = true;
        while records.len() < HAND_OVER {
            let before = self.consumer.context().count.load(Ordering::Relaxed);
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => records.extend(self.record(&message)),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let told = self.consumer.client().fatal_error();
                    self.failed = Some(told.map_or_else(|| code.to_string(), |(_, reason)| reason));
                    more = false;
                    break;
                }
                // It goes on by itself.
                Some(Err(error)) => tracing::debug!(group = self.of.group, %error, "reading from kafka"),
                None if self.consumer.context().count.load(Ordering::Relaxed) == before => {
                    more = false;
                    break;
                }
                None => {}
            }
            if self.asked.is_none() && !self.consumer.context().rebalances.lock().is_empty() {
                break;
            }
        }
        if !records.is_empty() {
            let mut state = self.shared.state.lock();
            let mut news = false;
            for (bytes, record) in records {
                news |= state.group.arrived(bytes, record);
            }
            drop(state);
            if news {
                self.shared.arrived.notify_one();
            }
        }
        more
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Option<(usize, Record)> {
        let topic = self.of.topics.get(message.topic())?.clone();
        let partition = u32::try_from(message.partition()).ok()?;
        let offset = u64::try_from(message.offset()).ok()?;
        // The binding panics at a header's name that is no UTF-8, which anybody may have written.
        let headers = catch_unwind(AssertUnwindSafe(|| {
            message.headers().map_or_else(Vec::new, |headers| {
                headers.iter().map(|header| (header.key, header.value)).collect()
            })
        }));
        let raw = Raw {
            key: message.key(),
            value: message.payload(),
            timestamp: message.timestamp().to_millis(),
            headers: headers.ok(),
        };
        let message = cloudevents::decode(raw, || format!("{topic}/{partition}/{offset}"));
        let bytes = message.size();
        let record = Record {
            topic,
            partition,
            offset,
            message,
        };
        Some((bytes, record))
    }

    fn next_rebalance(&self) -> Option<Rebalance> {
        self.consumer.context().rebalances.lock().pop_front()
    }

    /// Asks the member about partitions that come and go, and does it when it has answered by polling again.
    fn rebalance(&mut self) {
        if self.asked.is_none()
            && let Some(rebalance) = self.next_rebalance()
        {
            let mut state = self.shared.state.lock();
            let (news, limit) = match &rebalance {
                Rebalance::Assign(partitions) => (state.group.assigned(self.ours(partitions)), BEGIN),
                Rebalance::Revoke { partitions, lost } => {
                    // What is lost belongs to somebody else by now.
                    (
                        state.group.revoked(self.ours(partitions)),
                        if *lost { Duration::ZERO } else { FINISH },
                    )
                }
            };
            drop(state);
            self.shared.arrived.notify_one();
            let until = Instant::now() + limit;
            self.asked = Some(Asked {
                rebalance,
                news,
                until,
            });
        }
        let answered = self.asked.as_ref().is_some_and(|asked| {
            self.shared.state.lock().group.heeded(asked.news) || Instant::now() >= asked.until
        });
        if !answered {
            return;
        }
        match self.asked.take().map(|asked| asked.rebalance) {
            Some(Rebalance::Assign(partitions)) => self.assign(&partitions),
            Some(Rebalance::Revoke { partitions, lost }) => {
                let ours = self.ours(&partitions);
                if !lost {
                    self.commit_now(Some(&ours));
                }
                self.stored.retain(|partition, _| !ours.contains(partition));
                self.shared.state.lock().group.forget(&ours);
                // It keeps what was stopped stopped, also when the partition comes back.
                report(self.consumer.resume(&partitions), "resume");
                report(self.consumer.incremental_unassign(&partitions), "unassign");
            }
            None => {}
        }
    }

    fn assign(&self, partitions: &TopicPartitionList) {
        let ours = self.ours(partitions);
        let mut from = TopicPartitionList::with_capacity(ours.len());
        {
            let mut state = self.shared.state.lock();
            for partition in &ours {
                // Without a place of the member's, where the group committed.
                let offset = state
                    .group
                    .begin(partition)
                    .and_then(|offset| i64::try_from(offset).ok())
                    .map_or(Offset::Invalid, Offset::Offset);
                self.add(&mut from, partition, offset);
            }
        }
        report(self.consumer.incremental_assign(&from), "assign");
    }

    /// Seeks, and stops or resumes partitions as there is room for them.
    fn work(&mut self) {
        let work = self.shared.state.lock().group.work();
        if !work.hold.is_empty() {
            report(self.consumer.pause(&self.list(&work.hold)), "pause");
        }
        if !work.release.is_empty() {
            report(self.consumer.resume(&self.list(&work.release)), "resume");
        }
        if work.seeks.is_empty() {
            return;
        }
        let mut places = TopicPartitionList::with_capacity(work.seeks.len());
        for (partition, offset) in &work.seeks {
            self.add(
                &mut places,
                partition,
                Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX)),
            );
        }
        match self.consumer.seek_partitions(places, SEEK) {
            Ok(places) => {
                let mut state = self.shared.state.lock();
                for (partition, offset) in &work.seeks {
                    let number = i32::try_from(partition.partition).unwrap_or(i32::MAX);
                    let sought = places
                        .find_partition(&self.full_name(&partition.topic), number)
                        .is_some_and(|place| place.error().is_ok());
                    // Otherwise it has not begun yet, and is tried again.
                    if sought {
                        state.group.sought(partition, *offset);
                    }
                }
            }
            Err(error) => tracing::debug!(group = self.of.group, %error, "cannot seek yet"),
        }
        if self.shared.state.lock().group.has_work() {
            std::thread::sleep(Duration::from_millis(5));
            self.shared.wake.wake();
        }
    }

    /// Hands over what was committed since.
    fn commit(&mut self) {
        if Instant::now() < self.commit_after || !self.shared.state.lock().group.has_commits() {
            return;
        }
        let commits = self.shared.state.lock().group.take_commits(None);
        let offsets = self.offsets(&commits);
        // What was refused of some partitions is told in the list.
        let outcome = self.consumer.store_offsets(&offsets);
        for (partition, next) in commits {
            let number = i32::try_from(partition.partition).unwrap_or(i32::MAX);
            let place = offsets.find_partition(&self.full_name(&partition.topic), number);
            let refused = place.and_then(|place| place.error().err());
            match refused.or_else(|| outcome.as_ref().err().cloned()) {
                None => {
                    self.stored.insert(partition, next);
                }
                Some(error) => self.commit_refused(partition, next, &error),
            }
        }
    }

    /// Commits and waits for the answer: of partitions that somebody else goes on with.
    fn commit_now(&mut self, only: Option<&[TopicPartition]>) {
        let mut commits = self.shared.state.lock().group.take_commits(only);
        // Of what the consumer commits by itself, the last may not have arrived.
        let stored = self
            .stored
            .extract_if(|partition, _| only.is_none_or(|only| only.contains(partition)));
        for (partition, next) in stored {
            if !commits.iter().any(|(known, _)| *known == partition) {
                commits.push((partition, next));
            }
        }
        if commits.is_empty() {
            return;
        }
        let offsets = self.offsets(&commits);
        let until = Instant::now() + COMMIT;
        loop {
            match self.consumer.commit(&offsets, CommitMode::Sync) {
                Ok(()) => return,
                Err(error) if passes(&error) && Instant::now() < until => std::thread::sleep(COMMIT_AGAIN),
                Err(error) => {
                    tracing::warn!(group = self.of.group, %error, "cannot commit: these records come again");
                    return;
                }
            }
        }
    }

    /// The partition is not assigned yet, or no more.
    fn commit_refused(&mut self, partition: TopicPartition, next: u64, error: &KafkaError) {
        tracing::debug!(group = self.of.group, %error, "cannot commit, trying again");
        self.shared.state.lock().group.commit_failed(partition, next);
        self.commit_after = Instant::now() + TICK;
    }

    fn tell_lag(&self) {
        let Some(places) = self.consumer.context().places.lock().take() else {
            return;
        };
        let lag = self
            .shared
            .state
            .lock()
            .group
            .lag(&places, |name| self.full_name(name));
        for topic in self.of.topics.values() {
            measure::lag(&self.of.group, topic, lag.get(topic).copied().unwrap_or(0));
        }
    }

    fn full_name(&self, topic: &str) -> String {
        format!("{}{topic}", self.of.prefix)
    }

    fn ours(&self, partitions: &TopicPartitionList) -> Vec<TopicPartition> {
        let known = partitions.elements().into_iter().filter_map(|place| {
            Some(TopicPartition {
                topic: self.of.topics.get(place.topic())?.clone(),
                partition: u32::try_from(place.partition()).ok()?,
            })
        });
        known.collect()
    }

    fn add(&self, list: &mut TopicPartitionList, partition: &TopicPartition, offset: Offset) {
        let number = i32::try_from(partition.partition).unwrap_or(i32::MAX);
        // Only an offset that cannot be written is refused, and all of ours can.
        report(
            list.add_partition_offset(&self.full_name(&partition.topic), number, offset),
            "offset",
        );
    }

    fn list(&self, partitions: &[TopicPartition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            self.add(&mut list, partition, Offset::Invalid);
        }
        list
    }

    fn offsets(&self, commits: &[(TopicPartition, u64)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for (partition, next) in commits {
            self.add(
                &mut list,
                partition,
                Offset::Offset(i64::try_from(*next).unwrap_or(i64::MAX)),
            );
        }
        list
    }
}
