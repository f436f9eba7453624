use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::topic::{BusEvent, Topic};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handler::{Decoding, RecordHandler};
use super::worker::{Finished, Shared, Worker};
use super::{Handler, Retries};
use crate::{Error, EventBus, Polled, Subscription, TopicPartition, dead_letters, declare_when_reachable};

/// A member of a group that hands every record to the handler of its topic.
///
/// Records of one partition are handled in order, partitions side by side. What fails is retried as [`Retries`] says;
/// poison goes to `<topic>.dlq` with the reason and its coordinates as attributes, and the partition moves on. Offsets
/// are committed after handling, so everything is handled at least once.
pub struct Consumer {
    bus: Arc<dyn EventBus>,
    group: String,
    topics: Vec<Topic>,
    handlers: HashMap<&'static str, Arc<dyn RecordHandler>>,
    retries: Retries,
}

/// Records that a partition's worker has in hand at most.
const BATCH: usize = 256;

/// Commits go out at least so often while a long batch is handled.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// The wait before asking a bus again that failed.
const BUS_RETRY: Duration = Duration::from_millis(500);

impl Consumer {
    /// A consumer of the group, without topics yet.
    pub fn new(bus: Arc<dyn EventBus>, group: impl Into<String>) -> Self {
        Self {
            bus,
            group: group.into(),
            topics: Vec::new(),
            handlers: HashMap::new(),
            retries: Retries::default(),
        }
    }

    /// Hands the events of a topic to a handler. One handler per topic; the last one counts.
    #[must_use]
    pub fn on<E: BusEvent>(mut self, handler: Arc<impl Handler<E>>) -> Self {
        let topic = E::TOPIC;
        if self
            .handlers
            .insert(
                topic.name,
                Arc::new(Decoding {
                    handler,
                    event: PhantomData,
                }),
            )
            .is_none()
        {
            self.topics.push(topic);
        }
        self
    }

    /// Retries otherwise than by default.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Consumes until the token is cancelled; then finishes the records in hand, commits and returns.
    ///
    /// # Errors
    /// What a restart won't mend by itself, for example a [`Error::TopicMismatch`]. An unavailable bus is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let declared: Vec<Topic> = self
            .topics
            .iter()
            .flat_map(|topic| [*topic, dead_letters(topic)])
            .collect();
        let declaring = declare_when_reachable(&*self.bus, &declared);
        match shutdown.run_until_cancelled(declaring).await {
            Some(result) => result?,
            None => return Ok(()),
        }
        let subscription = self.bus.subscribe(&self.group, &self.topics).await?;
        let partitions = self
            .topics
            .iter()
            .map(|topic| topic.partitions as usize)
            .sum::<usize>();
        let (finished, finishing) = mpsc::channel(partitions.max(1));
        let runner = Runner {
            subscription,
            shared: Arc::new(Shared {
                bus: self.bus,
                group: self.group,
                handlers: self.handlers,
                retries: self.retries,
                shutdown: shutdown.clone(),
                finished,
            }),
            workers: HashMap::new(),
        };
        runner.run(finishing, shutdown).await
    }
}

struct Runner {
    subscription: Box<dyn Subscription>,
    shared: Arc<Shared>,
    workers: HashMap<TopicPartition, Worker>,
}

impl Runner {
    async fn run(
        mut self,
        mut finishing: mpsc::Receiver<Finished>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let mut commit_tick = tokio::time::interval(COMMIT_EVERY);
        commit_tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                Some(Finished { partition, worker }) = finishing.recv() => {
                    if let Some(worker) = self.workers.get_mut(&partition).filter(|known| known.id == worker) {
                        self.subscription.resume(&partition);
                        commit(&mut *self.subscription, &partition, worker).await;
                    }
                }
                _ = commit_tick.tick() => {
                    self.replace_dead();
                    for (partition, worker) in &mut self.workers {
                        commit(&mut *self.subscription, partition, worker).await;
                    }
                }
                polled = self.subscription.poll(BATCH) => match polled {
                    Ok(polled) => self.take(polled).await,
                    Err(error @ Error::UnknownTopic(_)) => break Err(error),
                    Err(error) => {
                        tracing::warn!(group = self.shared.group, %error, "cannot read from the bus, trying again");
                        tokio::select! {
                            () = shutdown.cancelled() => break Ok(()),
                            () = tokio::time::sleep(BUS_RETRY) => {}
                        }
                    }
                },
            }
        };
        let partitions: Vec<_> = self.workers.keys().cloned().collect();
        self.finish(partitions).await;
        self.subscription.close().await;
        result
    }

    async fn take(&mut self, polled: Polled) {
        match polled {
            Polled::Assigned(partitions) => {
                tracing::debug!(group = self.shared.group, ?partitions, "partitions assigned");
            }
            Polled::Revoked(partitions) => {
                tracing::debug!(group = self.shared.group, ?partitions, "partitions revoked");
                partitions
                    .iter()
                    .filter_map(|partition| self.workers.get(partition))
                    .for_each(Worker::stop);
                self.finish(partitions).await;
            }
            Polled::Records(records) => {
                let Some(partition) = records.first().map(crate::Record::topic_partition) else {
                    return;
                };
                // The partition delivers nothing more until this batch is done: what a slow handler has not got to
                // waits in the log and not in memory.
                self.subscription.pause(&partition);
                let first = records.first().map_or(0, |record| record.offset);
                let worker = self
                    .workers
                    .entry(partition.clone())
                    .or_insert_with_key(|partition| Worker::start(partition.clone(), self.shared.clone()));
                if !worker.give(records) {
                    self.replace(&partition, first);
                }
            }
        }
    }

    /// Goes on with another worker from what the last one had handled. Nothing that a handler does ends a worker; this
    /// is so that a partition never stays paused.
    fn replace(&mut self, partition: &TopicPartition, first: u64) {
        tracing::error!(
            group = self.shared.group,
            ?partition,
            "a worker ended early, starting another"
        );
        let handled = self
            .workers
            .remove(partition)
            .and_then(|worker| worker.uncommitted());
        self.subscription.seek(partition, handled.unwrap_or(0).max(first));
        self.subscription.resume(partition);
    }

    /// Replaces workers that died with a batch in hand.
    fn replace_dead(&mut self) {
        let dead: Vec<_> = self
            .workers
            .iter()
            .filter_map(|(partition, worker)| Some((partition.clone(), worker.died_at()?)))
            .collect();
        for (partition, at) in dead {
            self.replace(&partition, at);
        }
    }

    /// Waits until the workers have finished the record in hand, and commits.
    async fn finish(&mut self, partitions: Vec<TopicPartition>) {
        for partition in partitions {
            if let Some(mut worker) = self.workers.remove(&partition) {
                worker.join().await;
                commit(&mut *self.subscription, &partition, &mut worker).await;
            }
        }
    }
}

async fn commit(subscription: &mut dyn Subscription, partition: &TopicPartition, worker: &mut Worker) {
    let Some(next) = worker.uncommitted() else { return };
    match subscription.commit(partition, next).await {
        Ok(()) => worker.committed(next),
        // The records come again, to this member or another.
        Err(error) => {
            tracing::warn!(%error, topic = &*partition.topic, partition = partition.partition, "cannot commit")
        }
    }
}
