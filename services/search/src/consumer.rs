//! From the bus into the index, exactly once in effect.
//!
//! Documents are gathered until the bus is quiet for a moment, or 100 ms have passed, or there are many; then one batch
//! takes them and the positions after them into the index. The group's offsets on the bus are committed after that and
//! only tell how far the index is; where to go on is what the index itself says, whenever a partition is assigned and
//! whoever had it before. Several processes share the partitions.

mod decode;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::{EventBus, dead_letters};
use marquee_proto::topic::{self, Topic};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::reader::Reader;
use crate::Error;
use crate::store::{Positions, Store};

/// The consumer group.
const GROUP: &str = "search.index";

/// What is indexed.
const TOPICS: [Topic; 2] = [topic::CHANNEL, topic::EVENT];

/// How long a start waits for servers. What is not done by then is done when they are there.
const PATIENCE: Duration = Duration::from_secs(3);

/// The wait before asking the bus or the index again that failed, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest that leaving takes.
const LEAVE: Duration = Duration::from_secs(5);

/// Reads the bus and keeps the index up to date.
pub(crate) struct Indexer {
    bus: Arc<dyn EventBus>,
    store: Arc<dyn Store>,
    commit_every: Duration,
    is_prepared: bool,
}

impl Indexer {
    pub(crate) fn new(bus: Arc<dyn EventBus>, store: Arc<dyn Store>, commit_every: Duration) -> Self {
        Self {
            bus,
            store,
            commit_every,
            is_prepared: false,
        }
    }

    /// Makes sure of the topics, and that the index is of this bus. To be done before anything is published by this process:
    /// a bus that was made anew shows by being shorter than the index remembers it. Servers that are not there are left
    /// for later.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub(crate) async fn prepare(&mut self) -> Result<(), Error> {
        match timeout(PATIENCE, self.try_prepare()).await {
            Ok(Ok(())) => self.is_prepared = true,
            Ok(Err(error)) if is_lasting(&error) => return Err(error),
            Ok(Err(error)) => tracing::warn!(%error, "indexing waits for it"),
            Err(_) => tracing::warn!("the bus or the search index does not answer: indexing waits for it"),
        }
        Ok(())
    }

    async fn try_prepare(&self) -> Result<(), Error> {
        let declared: Vec<Topic> = TOPICS
            .iter()
            .flat_map(|topic| [*topic, dead_letters(topic)])
            .collect();
        self.bus.declare(&declared).await?;
        let positions = self.store.positions().await?;
        if is_of_another_bus(&*self.bus, &positions).await? {
            self.store.rebuild().await?;
        }
        Ok(())
    }

    /// Indexes until the token is cancelled. The bus or the index being away is waited for.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        match shutdown.run_until_cancelled(self.join()).await {
            Some(joined) => {
                let mut reader = joined?;
                let read = shutdown
                    .run_until_cancelled(reader.read())
                    .await
                    .unwrap_or(Ok(()));
                // What is not taken over in time is read again by whoever is next.
                if timeout(LEAVE, reader.leave()).await.is_err() {
                    tracing::warn!("left the bus without waiting for the search index");
                }
                read
            }
            None => Ok(()),
        }
    }

    /// Joins the group as soon as the bus is there.
    async fn join(&mut self) -> Result<Reader, Error> {
        let mut failures = 0;
        loop {
            let joined = async {
                if !self.is_prepared {
                    self.try_prepare().await?;
                }
                Ok(self.bus.subscribe(GROUP, &TOPICS).await?)
            };
            match joined.await {
                Ok(subscription) => {
                    let (bus, store) = (self.bus.clone(), self.store.clone());
                    return Ok(Reader::new(subscription, bus, store, self.commit_every));
                }
                Err(error) if is_lasting(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "cannot begin to index, trying again");
                    sleep(pause(&mut failures)).await;
                }
            }
        }
    }
}

/// Whether the positions are of another bus than this: they are further than it is.
async fn is_of_another_bus(bus: &dyn EventBus, positions: &Positions) -> Result<bool, marquee_bus::Error> {
    for topic in &TOPICS {
        let ends = bus.end_offsets(topic).await?;
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
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether waiting does not help.
fn is_lasting(error: &Error) -> bool {
    use crate::store::Error as Store;
    use marquee_bus::Error as Bus;
    match error {
        Error::Bus(error) => matches!(
            error,
            Bus::UnknownTopic(_) | Bus::TopicMismatch { .. } | Bus::Damaged { .. }
        ),
        Error::Store(error) => matches!(error, Store::Locked(_)),
        Error::Invalid(_) => true,
    }
}

/// How long to wait after the next failure.
fn pause(failures: &mut u32) -> Duration {
    let (first, most) = RETRY;
    let pause = first.saturating_mul(2_u32.saturating_pow(*failures)).min(most);
    *failures = failures.saturating_add(1);
    pause
}
