//! A member of the group: what it has of the bus, what it has gathered, and what is due.
//!
//! While the index is away its partitions are paused, what was gathered is kept, and both are tried again with growing
//! pauses. A batch is waited for with the bus unpolled: the subscription keeps the group's word meanwhile (its thread polls on
//! Kafka), but partitions that are to go elsewhere wait for the batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_bus::{EventBus, Polled, Record, Retries, Subscription, TopicPartition, processing};
use marquee_telemetry::Span;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{GROUP, TOPICS, decode, is_lasting, is_of_another_bus, pause};
use crate::Error;
use crate::domain::Document;
use crate::store::{self, Batch, Positions, Store};

/// Records of one batch at most.
const FULL: usize = 2_000;

/// How long the bus has to be quiet for a batch before its time.
const QUIET: Duration = Duration::from_millis(5);

/// How often to look whether another index is to be written, and whether one that is filled is full.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_FILLING: Duration = Duration::from_millis(200);

/// What metrics of consuming are labelled with.
const DESTINATION: &str = "messaging_destination_name";
const CONSUMER: &str = "messaging_consumer_group_name";

/// An index that is filled answers searches when no more records than these are missing, and none of those that the bus had
/// when it was begun.
const NEARLY: u64 = 200;

pub(super) struct Reader {
    subscription: Box<dyn Subscription>,
    bus: Arc<dyn EventBus>,
    store: Arc<dyn Store>,
    commit_every: Duration,
    /// The partitions that are this member's.
    owned: BTreeSet<TopicPartition>,
    /// Those of them of which the index has not been asked yet where to go on.
    unplaced: BTreeSet<TopicPartition>,
    /// Where they were read to.
    read: BTreeMap<TopicPartition, u64>,
    gathered: Gathered,
    /// When to look at the indices again.
    look: Instant,
    /// How far the bus was when the index that is filled was seen first.
    goal: Option<Vec<Vec<u64>>>,
    /// Until when the index is left alone after it failed, and how often it did.
    blocked: Option<Instant>,
    failures: u32,
}

/// What waits for the next batch.
#[derive(Default)]
struct Gathered {
    documents: Vec<(Document, Record)>,
    positions: Positions,
    records: usize,
    oldest: Option<Timestamp>,
    /// The steps of their traces, until they are in the index.
    spans: Vec<Span>,
    /// When to apply: at the latest, and when nothing more comes.
    due: Option<(Instant, Instant)>,
}

impl Gathered {
    fn due(&self) -> Option<Instant> {
        self.due.map(|(latest, quiet)| latest.min(quiet))
    }

    fn batch(&self) -> Batch {
        Batch {
            documents: self
                .documents
                .iter()
                .map(|(document, _)| document.clone())
                .collect(),
            positions: self.positions.clone(),
        }
    }
}

impl Reader {
    pub(super) fn new(
        subscription: Box<dyn Subscription>,
        bus: Arc<dyn EventBus>,
        store: Arc<dyn Store>,
        commit_every: Duration,
    ) -> Self {
        Self {
            subscription,
            bus,
            store,
            commit_every,
            owned: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            read: BTreeMap::new(),
            gathered: Gathered::default(),
            look: Instant::now(),
            goal: None,
            blocked: None,
            failures: 0,
        }
    }

    /// Reads and indexes. May be dropped at any point: what is not in the index is read again.
    pub(super) async fn read(&mut self) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            self.attend().await?;
            let next = self.next();
            let polled = tokio::select! {
                biased;
                polled = self.subscription.poll(FULL) => polled,
                () = sleep_until(next) => continue,
            };
            match polled {
                Ok(Polled::Assigned(partitions)) => {
                    self.unplaced.extend(partitions.iter().cloned());
                    self.owned.extend(partitions);
                }
                Ok(Polled::Revoked(partitions)) => self.revoked(&partitions).await,
                Ok(Polled::Records(records)) => self.gather(records).await,
                Err(error) => {
                    let error = error.into();
                    if is_lasting(&error) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "cannot read from the bus, trying again");
                    sleep(pause(&mut failures)).await;
                    continue;
                }
            }
            failures = 0;
        }
    }

    /// Gives back what it has.
    pub(super) async fn leave(self) {
        let mut reader = self;
        if let Err(error) = reader.apply().await {
            tracing::debug!(%error, "the last records are read again by whoever is next");
        }
        reader.subscription.close().await;
    }

    /// When something is due.
    fn next(&self) -> Instant {
        match self.blocked {
            Some(until) => until,
            None => self.gathered.due().map_or(self.look, |due| due.min(self.look)),
        }
    }

    /// Does what is due with the index. Partitions are paused while it is away.
    async fn attend(&mut self) -> Result<(), Error> {
        if self.blocked.is_some_and(|until| until > Instant::now()) {
            self.pause_all();
            return Ok(());
        }
        match self.try_attend().await {
            Ok(()) => {
                if self.blocked.take().is_some() {
                    tracing::info!("the search index is written again");
                    for partition in &self.owned {
                        self.subscription.resume(partition);
                    }
                }
                self.failures = 0;
                Ok(())
            }
            Err(error) if is_lasting(&error) => Err(error),
            Err(error) => {
                tracing::warn!(%error, records = self.gathered.records, "cannot write to the search index, trying again");
                self.blocked = Some(Instant::now() + pause(&mut self.failures));
                // It may be another index by then.
                self.look = Instant::now();
                self.pause_all();
                Ok(())
            }
        }
    }

    async fn try_attend(&mut self) -> Result<(), Error> {
        if self.look <= Instant::now() {
            self.look().await?;
        }
        if !self.unplaced.is_empty() {
            self.place().await?;
        }
        let full = self.gathered.records >= FULL;
        if full || self.gathered.due().is_some_and(|due| due <= Instant::now()) {
            self.apply().await?;
        }
        Ok(())
    }

    /// Turns to another index if one is to be written, and has it searched when it is full.
    async fn look(&mut self) -> Result<(), Error> {
        let followed = self.store.follow().await?;
        if followed.is_another {
            // What was gathered belongs to the positions of the index before.
            self.gathered = Gathered::default();
            self.unplaced = self.owned.clone();
            self.goal = None;
        }
        self.look = Instant::now() + LOOK;
        if !followed.is_filling {
            self.goal = None;
        } else if self.is_full().await? {
            self.store.promote().await?;
            self.goal = None;
        } else {
            self.look = Instant::now() + LOOK_FILLING;
        }
        Ok(())
    }

    /// Whether the index that is filled has what the bus had when that began, and nearly all that came since. It does not matter
    /// which process filled it.
    async fn is_full(&mut self) -> Result<bool, Error> {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for topic in &TOPICS {
            starts.push(self.bus.start_offsets(topic).await?);
            ends.push(self.bus.end_offsets(topic).await?);
        }
        let positions = self.store.positions().await?;
        let missing = |ends: &[Vec<u64>]| -> u64 {
            let mut missing = 0;
            for ((topic, starts), ends) in TOPICS.iter().zip(&starts).zip(ends) {
                for ((partition, start), end) in (0..).zip(starts).zip(ends) {
                    let next = positions.get(&(topic.name.to_owned(), partition));
                    // What the bus has forgotten is not missing.
                    missing += end.saturating_sub(next.copied().unwrap_or(0).max(*start));
                }
            }
            missing
        };
        let now = missing(&ends);
        let goal = self.goal.get_or_insert(ends);
        Ok(missing(goal) == 0 && now <= NEARLY)
    }

    /// Asks the index where to go on, and goes there.
    async fn place(&mut self) -> Result<(), Error> {
        let positions = self.store.positions().await?;
        if is_of_another_bus(&*self.bus, &positions).await? {
            // An index that is only filled so far may go at once.
            if self.store.follow().await?.is_filling {
                self.store.clear().await?;
            } else {
                self.store.rebuild().await?;
            }
            self.look = Instant::now();
            self.gathered = Gathered::default();
            self.unplaced = self.owned.clone();
            return Ok(());
        }
        for partition in std::mem::take(&mut self.unplaced) {
            let place = (partition.topic.to_string(), partition.partition);
            let next = positions.get(&place).copied().unwrap_or(0);
            tracing::debug!(topic = %partition.topic, partition = partition.partition, next, "indexing");
            self.subscription.seek(&partition, next);
            self.subscription.resume(&partition);
            self.read.insert(partition, next);
        }
        Ok(())
    }

    /// They go with the next poll: what was read of them has to be in the index by then, or is read again by who has them
    /// next, and what was gathered with it by us.
    async fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.owned.remove(partition);
            self.unplaced.remove(partition);
            self.read.remove(partition);
        }
        if let Err(error) = self.apply().await {
            tracing::warn!(%error, "partitions go to another process before their records are in the search index");
            self.gathered = Gathered::default();
            self.unplaced = self.owned.clone();
        }
    }

    async fn gather(&mut self, records: Vec<Record>) {
        let now = Instant::now();
        for record in records {
            let partition = record.topic_partition();
            // Of before it was paused or moved.
            if !self.owned.contains(&partition) || self.unplaced.contains(&partition) {
                continue;
            }
            let place = (record.topic.to_string(), record.partition);
            self.gathered.positions.insert(place, record.offset + 1);
            self.read.insert(partition, record.offset + 1);
            self.gathered.records += 1;
            self.gathered.spans.extend(processing(&record, GROUP));
            let oldest = self.gathered.oldest.get_or_insert(record.message.time);
            *oldest = record.message.time.min(*oldest);
            match decode::document(&record) {
                Ok(document) => {
                    self.gathered.documents.push((document, record));
                }
                Err(reason) => bury(&*self.bus, &record, &reason).await,
            }
        }
        if self.gathered.records > 0 {
            let latest = self
                .gathered
                .due
                .map_or(now + self.commit_every, |(latest, _)| latest);
            self.gathered.due = Some((latest, now + QUIET));
        }
    }

    /// Puts what was gathered into the index and then tells the bus.
    async fn apply(&mut self) -> Result<(), Error> {
        if self.gathered.records == 0 {
            return Ok(());
        }
        let began = Instant::now();
        while let Err(error) = self.store.apply(self.gathered.batch()).await {
            let store::Error::Refused(refused) = error else {
                return Err(error.into());
            };
            let before = self.gathered.documents.len();
            let mut kept = Vec::new();
            for (document, record) in std::mem::take(&mut self.gathered.documents) {
                match refused.get(document.name()) {
                    Some(reason) => bury(&*self.bus, &record, reason).await,
                    None => kept.push((document, record)),
                }
            }
            self.gathered.documents = kept;
            if self.gathered.documents.len() == before {
                return Err(store::Error::Refused(refused).into());
            }
        }
        let Gathered {
            positions,
            records,
            oldest,
            ..
        } = std::mem::take(&mut self.gathered);
        for topic in TOPICS
            .iter()
            .filter(|topic| positions.keys().any(|(name, _)| name == topic.name))
        {
            metrics::histogram!("messaging_process_duration_seconds", DESTINATION => topic.name, CONSUMER => GROUP)
                .record(began.elapsed());
        }
        metrics::counter!("search_indexed_records_total").increment(records as u64);
        if let Some(oldest) = oldest {
            let delay = Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0);
            metrics::histogram!("search_index_delay_seconds").record(delay);
        }
        for ((topic, partition), next) in positions {
            let partition = TopicPartition {
                topic: topic.into(),
                partition,
            };
            if let Err(error) = self.subscription.commit(&partition, next).await {
                tracing::debug!(%error, "the bus does not take the offset; the index has it");
            }
        }
        Ok(())
    }

    fn pause_all(&mut self) {
        for partition in &self.owned {
            self.subscription.pause(partition);
        }
    }
}

/// A record that cannot be indexed. Whoever drops this gets it again.
async fn bury(bus: &dyn EventBus, record: &Record, reason: &str) {
    metrics::counter!("search_dead_letters_total").increment(1);
    let (retries, never) = (Retries::default(), CancellationToken::new());
    marquee_bus::bury(bus, record, GROUP, reason, &retries, &never).await;
}
