//! Folds the playback topic, exactly once: a batch's sums and the partition's next offset are one transaction, which holds
//! only where the store expects the batch. A killed process goes on where the store is; what it had folded but not
//! stored is folded again from the bus.

mod batch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use marquee_bus::{EventBus, Polled, Record, Subscription, TopicPartition, dead_letters};
use marquee_error::{ErrorExt as _, ErrorKind};
use marquee_proto::analytics::v1::PlaybackReported;
use marquee_proto::topic::PLAYBACK;
use prost::Message as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::app::Board;
use crate::beacon;
use crate::store::{Partition, Position, Store};

pub(crate) use self::batch::Trouble;
use self::batch::{Batch, Item};

/// The consumer group.
const GROUP: &str = "analytics.playback";

/// Messages of one transaction at most.
const BATCH: usize = 1_000;

/// The wait before asking the bus or the store again that failed, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long the bus has nothing for a partition that is behind until it is believed to have nothing at all: what was there
/// has expired.
const QUIET: Duration = Duration::from_secs(1);

/// Sessions that are read from the store at most when partitions are taken over; the latest ones.
const RESTORED: u32 = 500_000;

/// Folds what the players said.
pub(crate) struct Folder {
    bus: Arc<dyn EventBus>,
    store: Arc<dyn Store>,
    board: Arc<Board>,
    trouble: Trouble,
}

/// The partitions that are this process'.
#[derive(Default)]
struct Owned {
    /// Their next offsets as the store has them.
    next: HashMap<TopicPartition, u64>,
    /// Those that have records from before they were assigned, and where these end.
    behind: HashMap<TopicPartition, u64>,
}

impl Owned {
    fn numbers(&self) -> BTreeSet<u32> {
        self.next.keys().map(|partition| partition.partition).collect()
    }
}

impl Folder {
    pub(crate) fn new(bus: Arc<dyn EventBus>, store: Arc<dyn Store>, board: Arc<Board>) -> Self {
        Self {
            bus,
            store,
            board,
            trouble: Trouble::default(),
        }
    }

    /// What keeps it from going on, for readiness.
    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Folds until the token is cancelled.
    ///
    /// # Errors
    /// What waiting does not mend. The bus or the store being away for a while is waited for.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let work = self.work();
        shutdown.run_until_cancelled(work).await.unwrap_or(Ok(()))
    }

    /// May be dropped at any point: what was not stored is read again.
    async fn work(&self) -> Result<(), Error> {
        let mut failures = 0;
        while let Err(error) = self.bus.declare(&[PLAYBACK, dead_letters(&PLAYBACK)]).await {
            if error.kind() != ErrorKind::Unavailable {
                return Err(error.into());
            }
            tracing::warn!(%error, "cannot reach the bus, trying again");
            wait(&mut failures).await;
        }
        self.report().await;
        let mut subscription = loop {
            match self.bus.subscribe(GROUP, &[PLAYBACK]).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%error, "cannot join the group, trying again");
                    wait(&mut failures).await;
                }
                result => break result?,
            }
        };
        let mut owned = Owned::default();
        let mut failures = 0;
        loop {
            let patience = if owned.behind.is_empty() {
                Duration::MAX
            } else {
                QUIET
            };
            let Ok(polled) = timeout(patience, subscription.poll(BATCH)).await else {
                owned.behind.clear();
                self.settle().await;
                continue;
            };
            match polled {
                Ok(Polled::Assigned(partitions)) => {
                    let mut failures = 0;
                    while let Err(error) = self.take_on(&mut *subscription, &mut owned, &partitions).await {
                        if error.kind() != ErrorKind::Unavailable && error.kind() != ErrorKind::Aborted {
                            return Err(error);
                        }
                        tracing::warn!(%error, "cannot take partitions on, trying again");
                        wait(&mut failures).await;
                    }
                }
                // Nothing of them is in hand: every batch is stored before the next poll.
                Ok(Polled::Revoked(partitions)) => {
                    owned.next.retain(|partition, _| !partitions.contains(partition));
                    owned
                        .behind
                        .retain(|partition, _| !partitions.contains(partition));
                    self.board.set_owned(owned.numbers());
                    self.board.set_behind(!owned.behind.is_empty());
                }
                Ok(Polled::Records(records)) => self.take(&mut *subscription, &mut owned, &records).await?,
                Err(error @ (marquee_bus::Error::Damaged { .. } | marquee_bus::Error::UnknownTopic(_))) => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot read from the bus, trying again");
                    wait(&mut failures).await;
                    continue;
                }
            }
            failures = 0;
        }
    }

    /// Notes the peaks that were waiting for partitions that turn out to have nothing.
    async fn settle(&self) {
        let peaks = self.board.settle();
        let mut failures = 0;
        while let Err(error) = self.store.raise_peaks(peaks.clone()).await {
            tracing::warn!(%error, "cannot store the most viewers, trying again");
            wait(&mut failures).await;
        }
        self.board.publish(peaks.keys(), &peaks);
    }

    /// Takes partitions on where the store says, with the sessions that their beacons may meet.
    async fn take_on(
        &self,
        subscription: &mut dyn Subscription,
        owned: &mut Owned,
        partitions: &[TopicPartition],
    ) -> Result<(), Error> {
        let mut since_ms = self.board.now_ms();
        for partition in partitions {
            let (position, end) = self.position(partition).await?;
            subscription.seek(partition, position.next);
            if position.next < end {
                owned.behind.insert(partition.clone(), end);
                // What comes next arrived after this; a partition that was never folded may hold what is very old.
                since_ms = since_ms.min(position.received_ms.unwrap_or(0));
            }
            owned.next.insert(partition.clone(), position.next);
        }
        self.board.set_owned(owned.numbers());
        self.board.set_behind(!owned.behind.is_empty());
        let since_ms = self.board.since(since_ms);
        let heard = self.store.heard_since(since_ms, RESTORED).await?;
        self.board.restore(&heard, since_ms);
        let events: BTreeSet<_> = heard.into_iter().map(|heard| heard.key.event).collect();
        self.board.publish(&events, &BTreeMap::new());
        Ok(())
    }

    /// Where a partition goes on, and where it ends.
    async fn position(&self, partition: &TopicPartition) -> Result<(Position, u64), Error> {
        let stored = self.store.positions().await?;
        let place = place(partition);
        let position = stored.get(&place).copied().unwrap_or_default();
        let ends = self.bus.end_offsets(&PLAYBACK).await?;
        let end = usize::try_from(partition.partition)
            .ok()
            .and_then(|number| ends.get(number))
            .copied();
        let next = position.next;
        match end {
            Some(end) if next > end => {
                tracing::warn!(
                    topic = place.topic,
                    partition = place.number,
                    next,
                    end,
                    "the topic was made anew: it is folded from its beginning, what was counted stays"
                );
                self.store.restart(place, next).await?;
                Ok((Position { next: 0, ..position }, end))
            }
            _ => Ok((position, end.unwrap_or(next))),
        }
    }

    /// Folds a batch of one partition and stores it, however long that takes.
    async fn take(
        &self,
        subscription: &mut dyn Subscription,
        owned: &mut Owned,
        records: &[Record],
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(());
        };
        let partition = first.topic_partition();
        let Some(expected) = owned.next.get(&partition).copied() else {
            return Ok(());
        };
        let next = last.offset + 1;
        let skipped = first.offset.saturating_sub(expected);
        if skipped > 0 {
            tracing::error!(
                partition = partition.partition,
                expected,
                found = first.offset,
                "beacons expired on the bus before they were folded"
            );
        }

        let mut items = Vec::with_capacity(records.len());
        for record in records.iter().filter(|record| record.offset >= expected) {
            let decoded = PlaybackReported::decode(record.message.value.clone());
            let received = decoded
                .map_err(|error| error.to_string())
                .and_then(|reported| beacon::received(&reported));
            if let Err(reason) = &received {
                self.bury(record, reason).await;
            }
            items.push(Item {
                record,
                received: received.ok(),
            });
        }

        if owned.behind.get(&partition).is_some_and(|end| *end <= next) {
            owned.behind.remove(&partition);
        }
        self.board.set_behind(!owned.behind.is_empty());

        let batch = Batch {
            partition: partition.clone(),
            expected,
            items,
        };
        let found = self.store(batch).await;
        owned.next.insert(partition.clone(), found);
        if found != next {
            subscription.seek(&partition, found);
            return Ok(());
        }
        if let Err(error) = subscription.commit(&partition, next).await {
            tracing::debug!(%error, "the bus does not take the offset; the store has it");
        }
        self.report().await;
        Ok(())
    }

    /// Shows what became of all messages.
    async fn report(&self) {
        let Ok((ledger, produced)) = self.store.ledger().await else {
            return;
        };
        let results = [
            ("counted", ledger.counted),
            ("late", ledger.late),
            ("malformed", ledger.malformed),
            ("duplicate", ledger.duplicate),
        ];
        for (result, count) in results {
            metrics::counter!("analytics_playback_messages_total", "result" => result).absolute(count);
        }
        metrics::counter!("analytics_playback_produced_total").absolute(produced);
    }
}

fn place(partition: &TopicPartition) -> Partition {
    Partition {
        topic: partition.topic.to_string(),
        number: partition.partition,
    }
}

async fn wait(failures: &mut u32) {
    let (first, most) = RETRY;
    let pause = first.saturating_mul(2_u32.saturating_pow(*failures)).min(most);
    *failures = failures.saturating_add(1);
    sleep(pause).await;
}
