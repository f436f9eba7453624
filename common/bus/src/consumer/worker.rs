use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::FutureExt;
use marquee_telemetry::InContext;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::handler::RecordHandler;
use super::{BoxError, HandlerError, Retries, bury};
use crate::{EventBus, Record, TopicPartition, measure, trace};

/// What the workers of one consumer have in common.
pub(super) struct Shared {
    pub(super) bus: Arc<dyn EventBus>,
    pub(super) group: String,
    pub(super) handlers: HashMap<&'static str, Arc<dyn RecordHandler>>,
    pub(super) retries: Retries,
    pub(super) shutdown: CancellationToken,
    /// Gets the partition whenever its batch is done. Holds one place per partition.
    pub(super) finished: mpsc::Sender<Finished>,
}

/// A worker has done its batch and wants the next one.
pub(super) struct Finished {
    pub(super) partition: TopicPartition,
    /// Which worker: the partition may have been taken away and given back since.
    pub(super) worker: uuid::Uuid,
}

/// Handles the records of one partition, in order, one batch at a time.
pub(super) struct Worker {
    pub(super) id: uuid::Uuid,
    batches: mpsc::Sender<Vec<Record>>,
    /// The offset after the last record that was handled; 0 before the first.
    progress: Arc<AtomicU64>,
    committed: u64,
    /// The first offset of the batch in hand.
    given: u64,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(partition: TopicPartition, shared: Arc<Shared>) -> Self {
        let (batches, receiver) = mpsc::channel(1);
        let progress = Arc::new(AtomicU64::new(0));
        // Told at the same moment as the consumer, so that no further record is begun.
        let stop = shared.shutdown.child_token();
        let id = uuid::Uuid::now_v7();
        let finished = Finished {
            partition,
            worker: id,
        };
        let work = work(finished, shared, receiver, progress.clone(), stop.clone());
        Self {
            id,
            batches,
            progress,
            committed: 0,
            given: 0,
            stop,
            task: Some(tokio::spawn(work)),
        }
    }

    /// Where it was when it ended although nobody stopped it.
    pub(super) fn died_at(&self) -> Option<u64> {
        let died = !self.stop.is_cancelled() && self.task.as_ref().is_some_and(JoinHandle::is_finished);
        died.then(|| self.given.max(self.progress.load(Ordering::Acquire)))
    }

    /// Hands it a batch. False when it is gone; a partition is paused while its batch is in hand, so there is always
    /// a place for the next one.
    pub(super) fn give(&mut self, records: Vec<Record>) -> bool {
        self.given = records.first().map_or(self.given, |record| record.offset);
        self.batches.try_send(records).is_ok()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the record in hand.
    pub(super) async fn join(&mut self) {
        if let Some(task) = self.task.take() {
            drop(task.await);
        }
    }

    pub(super) fn uncommitted(&self) -> Option<u64> {
        let progress = self.progress.load(Ordering::Acquire);
        (progress > self.committed).then_some(progress)
    }

    pub(super) fn committed(&mut self, next: u64) {
        self.committed = next;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A consumer that is dropped half way takes its workers with it.
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn work(
    finished: Finished,
    shared: Arc<Shared>,
    mut batches: mpsc::Receiver<Vec<Record>>,
    progress: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            batch = batches.recv() => batch,
        };
        let Some(batch) = batch else { return };
        for record in batch {
            if stop.is_cancelled() {
                return;
            }
            let next = record.offset + 1;
            // A handler's panic has been caught where it is called; this is for what else may panic, such as an error's
            // text. A worker that died would leave its partition without one.
            let handled = AssertUnwindSafe(shared.handle(&record, &stop))
                .catch_unwind()
                .await;
            let handled = match handled {
                Ok(handled) => handled,
                Err(_) => shared.bury(&record, "handling it panicked", &stop).await,
            };
            if !handled {
                return;
            }
            progress.store(next, Ordering::Release);
        }
        let finished = Finished {
            partition: finished.partition.clone(),
            worker: finished.worker,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            sent = shared.finished.send(finished) => if sent.is_err() { return },
        }
    }
}

impl Shared {
    /// True once the record was handled or is among the dead letters; false when stopped before.
    async fn handle(&self, record: &Record, stop: &CancellationToken) -> bool {
        if let Some(damage) = record.message.damage() {
            return self.bury(record, damage, stop).await;
        }
        let Some(handler) = self.handlers.get(&*record.topic) else {
            return self.bury(record, "no handler for the topic", stop).await;
        };
        let mut failures = 0;
        loop {
            let mut span = trace::process(record, &self.group);
            let attempt = span.context();
            let began = Instant::now();
            let handled = handler.handle(record).in_context(attempt).await;
            measure::processed(&self.group, &record.topic, began.elapsed());
            let error = match handled {
                Ok(()) => return true,
                Err(HandlerError::Poison(reason)) => {
                    span.fail(|| "poison");
                    drop(span);
                    let reason = reason.to_string();
                    return self.bury(record, &reason, stop).in_context(attempt).await;
                }
                Err(HandlerError::Retry(error)) => error,
            };
            span.fail(|| "to be tried again");
            drop(span);
            failures += 1;
            {
                let _in_attempt = attempt.enter();
                self.report(record, failures, &error);
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(self.retries.backoff(failures)) => {}
            }
        }
    }

    fn report(&self, record: &Record, failures: u32, error: &BoxError) {
        measure::retried(&self.group, &record.topic);
        let Record {
            topic,
            partition,
            offset,
            ..
        } = record;
        if failures >= self.retries.attempts {
            tracing::error!(group = self.group, %topic, partition, offset, failures, %error, "a partition is stuck");
        } else {
            tracing::warn!(group = self.group, %topic, partition, offset, failures, %error, "retrying");
        }
    }

    async fn bury(&self, record: &Record, reason: &str, stop: &CancellationToken) -> bool {
        bury(&*self.bus, record, &self.group, reason, &self.retries, stop).await
    }
}
