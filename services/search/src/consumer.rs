//! From the bus into the index, exactly once.
//!
//! Documents are gathered until the bus is quiet for a moment, or 100 ms have passed, or there are many; then one commit
//! of the index takes them and the positions after them. The group's offsets on the bus are committed after that and
//! only tell how far the index is; where to go on is what the index itself says.

mod decode;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_bus::{EventBus, Polled, Record, Subscription, TopicPartition, dead_letter, dead_letters};
use marquee_proto::topic::{self, Topic};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::store::{Batch, Store};

/// The consumer group.
const GROUP: &str = "search.index";

/// What is indexed.
const TOPICS: [Topic; 2] = [topic::CHANNEL, topic::EVENT];

/// Records of one commit at most.
const FULL: usize = 2_000;

/// How long the bus has to be quiet for a commit before its time.
const QUIET: Duration = Duration::from_millis(5);

/// The wait before asking the bus or the index again that failed, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Reads the bus and keeps the index up to date.
pub(crate) struct Indexer {
    bus: Arc<dyn EventBus>,
    store: Arc<dyn Store>,
    commit_every: Duration,
}

/// What waits for the next commit.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    records: usize,
    oldest: Option<Timestamp>,
    /// When to commit: at the latest, and when nothing more comes.
    due: Option<(Instant, Instant)>,
}

impl Indexer {
    pub(crate) fn new(bus: Arc<dyn EventBus>, store: Arc<dyn Store>, commit_every: Duration) -> Self {
        Self {
            bus,
            store,
            commit_every,
        }
    }

    /// Makes sure of the topics, and that the index is of this bus. To be done before anything is published by this process:
    /// a bus that was made anew shows by being shorter than the index remembers it.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        let declared: Vec<Topic> = TOPICS
            .iter()
            .flat_map(|topic| [*topic, dead_letters(topic)])
            .collect();
        self.bus.declare(&declared).await?;
        self.forget_another_bus().await
    }

    /// Indexes until the token is cancelled.
    ///
    /// # Errors
    /// What waiting does not mend. The bus or the index being away for a while is waited for.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let work = self.work(&shutdown);
        shutdown.run_until_cancelled(work).await.unwrap_or(Ok(()))
    }

    /// May be dropped at any point: what was not committed is read again.
    async fn work(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut subscription = self.bus.subscribe(GROUP, &TOPICS).await?;
        let mut gathered = Gathered::default();
        let mut failures = 0;
        loop {
            let due = gathered.due.map(|(latest, quiet)| latest.min(quiet));
            let polled = tokio::select! {
                biased;
                polled = subscription.poll(FULL) => polled,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.commit(&mut *subscription, &mut gathered).await?;
                    continue;
                }
            };
            match polled {
                Ok(Polled::Assigned(partitions)) => self.assigned(&mut *subscription, &partitions).await?,
                // They go with the next poll: what was read of them has to be in the index by then.
                Ok(Polled::Revoked(_)) => self.commit(&mut *subscription, &mut gathered).await?,
                Ok(Polled::Records(records)) => {
                    self.gather(&mut gathered, records).await;
                    let late = gathered.due.is_some_and(|(latest, _)| latest <= Instant::now());
                    if late || gathered.records >= FULL {
                        self.commit(&mut *subscription, &mut gathered).await?;
                    }
                }
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
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// An index that is further than the bus was filled from another one: what it has may be anything.
    async fn forget_another_bus(&self) -> Result<(), Error> {
        let positions = self.store.positions().await?;
        for topic in &TOPICS {
            let ends = self.bus.end_offsets(topic).await?;
            let ahead = ends.iter().zip(0..).find_map(|(end, partition)| {
                let next = *positions.get(&(topic.name.to_owned(), partition))?;
                (next > *end).then_some((partition, next, *end))
            });
            if let Some((partition, next, end)) = ahead {
                tracing::warn!(
                    topic = topic.name,
                    partition,
                    index = next,
                    bus = end,
                    "the search index is of another bus: it is built anew from the earliest record"
                );
                return Ok(self.store.clear().await?);
            }
        }
        Ok(())
    }

    async fn assigned(
        &self,
        subscription: &mut dyn Subscription,
        partitions: &[TopicPartition],
    ) -> Result<(), Error> {
        let positions = self.store.positions().await?;
        for partition in partitions {
            let next = positions
                .get(&(partition.topic.to_string(), partition.partition))
                .copied()
                .unwrap_or(0);
            tracing::debug!(topic = %partition.topic, partition = partition.partition, next, "indexing");
            subscription.seek(partition, next);
        }
        Ok(())
    }

    async fn gather(&self, gathered: &mut Gathered, records: Vec<Record>) {
        let now = Instant::now();
        for record in records {
            match decode::document(&record) {
                Ok(document) => gathered.batch.documents.push(document),
                Err(reason) => self.bury(&record, &reason).await,
            }
            let place = (record.topic.to_string(), record.partition);
            gathered.batch.positions.insert(place, record.offset + 1);
            gathered.records += 1;
            gathered.oldest = Some(
                gathered
                    .oldest
                    .map_or(record.message.time, |at| at.min(record.message.time)),
            );
        }
        let latest = gathered.due.map_or(now + self.commit_every, |(latest, _)| latest);
        gathered.due = Some((latest, now + QUIET));
    }

    /// Puts what was gathered into the index, however long that takes, and then tells the bus.
    async fn commit(
        &self,
        subscription: &mut dyn Subscription,
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        let Gathered {
            batch,
            records,
            oldest,
            ..
        } = std::mem::take(gathered);
        if records == 0 {
            return Ok(());
        }
        let mut failures = 0;
        while let Err(error) = self.store.apply(batch.clone()).await {
            tracing::warn!(%error, records, "cannot write to the search index, trying again");
            wait(&mut failures).await;
        }
        metrics::counter!("search_indexed_records_total").increment(records as u64);
        if let Some(oldest) = oldest {
            let delay = Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0);
            metrics::histogram!("search_index_delay_seconds").record(delay);
        }
        for ((topic, partition), next) in batch.positions {
            let partition = TopicPartition {
                topic: topic.into(),
                partition,
            };
            if let Err(error) = subscription.commit(&partition, next).await {
                tracing::debug!(%error, "the bus does not take the offset; the index has it");
            }
        }
        Ok(())
    }

    /// Publishes a record that cannot be indexed among the dead letters of its topic.
    async fn bury(&self, record: &Record, reason: &str) {
        let Record {
            topic,
            partition,
            offset,
            message,
        } = record;
        tracing::error!(%topic, partition, offset, id = message.id, reason, "to the dead letters");
        metrics::counter!("search_dead_letters_total").increment(1);
        let letter = dead_letter(record, GROUP, reason);
        let mut failures = 0;
        while let Err(error) = self.bus.publish(vec![letter.clone()]).await {
            tracing::warn!(%error, "cannot publish a dead letter, trying again");
            wait(&mut failures).await;
        }
    }
}

async fn wait(failures: &mut u32) {
    let (first, most) = RETRY;
    let pause = first.saturating_mul(2_u32.saturating_pow(*failures)).min(most);
    *failures = failures.saturating_add(1);
    sleep(pause).await;
}
