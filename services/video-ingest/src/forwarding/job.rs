//! One stream on its way to one target, for as long as it is on the air.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{Store, Transaction};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::uplink::{Failure, Uplinks};
use crate::broadcast::Broadcast;
use crate::domain::{ForwardingState, ForwardingStatus, ForwardingTarget};

/// A connection that lasted so long was good: the next failure is a first one.
const GOOD: Duration = Duration::from_secs(60);

/// What a job works with.
pub(super) struct Job {
    pub(super) target: ForwardingTarget,
    pub(super) broadcast: Broadcast,
    pub(super) uplinks: Arc<Uplinks>,
    pub(super) store: Store,
    pub(super) stop: CancellationToken,
    /// The target is gone: nothing is to be kept of it.
    pub(super) forget: Arc<AtomicBool>,
}

impl Job {
    /// Forwards until the stream is over or the job is stopped.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        let counted = Counted::new();
        let config = &self.uplinks.config;
        let mut backoff = Backoff::new(config.first_wait, config.longest_wait);
        let relay = self.broadcast.relay().clone();
        let begun = async {
            // Servers do not wait long for a stream's first picture.
            relay.reader().take(1, &mut Vec::new()).await;
        };
        if stop.run_until_cancelled(begun).await.is_some() {
            while !relay.is_over() && !stop.is_cancelled() {
                self.tell(ForwardingState::Connecting, "", &backoff).await;
                let Err(failure) = self.forward(&counted, &mut backoff).await else {
                    break;
                };
                metrics::counter!("video_ingest_forwarding_failures_total", "reason" => failure.kind())
                    .increment(1);
                tracing::warn!(target = %self.target.name(), stream = %self.broadcast.name(), %failure, "a stream is not forwarded");
                let wait = backoff.next(rand::random());
                self.tell(ForwardingState::Retrying, &failure.to_string(), &backoff)
                    .await;
                let _ = stop.run_until_cancelled(sleep(wait)).await;
            }
        }
        if self.forget.load(Ordering::Acquire) {
            let gone = Transaction::new().delete::<ForwardingStatus>(&self.target.id, None);
            // It may not have been there.
            let _ = self.store.commit(gone).await;
        } else {
            backoff.reset();
            self.tell(ForwardingState::Idle, "", &backoff).await;
        }
    }

    async fn forward(&self, counted: &Counted, backoff: &mut Backoff) -> Result<(), Failure> {
        let url = self.target.url.parts()?;
        let Some(uplink) = self.stop.run_until_cancelled(self.uplinks.open(&url)).await else {
            return Ok(());
        };
        let uplink = uplink?;
        let began = Instant::now();
        tracing::info!(target = %self.target.name(), stream = %self.broadcast.name(), "a stream is forwarded");
        counted.live(true);
        self.tell(ForwardingState::Live, "", backoff).await;
        let ended = uplink.run(self.broadcast.relay(), &self.stop).await;
        counted.live(false);
        if began.elapsed() >= GOOD {
            backoff.reset();
        }
        ended
    }

    /// For whoever asks how far it has come. A store that does not take it is no reason to forward nothing.
    async fn tell(&self, state: ForwardingState, reason: &str, backoff: &Backoff) {
        let status = ForwardingStatus {
            id: self.target.id.clone(),
            state,
            reason: reason.to_owned(),
            failures: backoff.failures(),
            live_stream: self.broadcast.name().to_string(),
            time: Timestamp::now(),
        };
        let stored = match Transaction::new().put(&status) {
            Ok(transaction) => self.store.commit(transaction).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            tracing::warn!(target = %self.target.name(), %error, state = state.as_str(), "the state of forwarding is not stored");
        }
    }
}

/// A job's part of the metrics.
struct Counted {
    is_live: AtomicBool,
}

impl Counted {
    fn new() -> Self {
        metrics::gauge!("video_ingest_forwarding_jobs").increment(1.0);
        Self {
            is_live: AtomicBool::new(false),
        }
    }

    fn live(&self, is_live: bool) {
        let gauge = metrics::gauge!("video_ingest_forwarding_live");
        match (self.is_live.swap(is_live, Ordering::Relaxed), is_live) {
            (false, true) => gauge.increment(1.0),
            (true, false) => gauge.decrement(1.0),
            _ => {}
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live(false);
        metrics::gauge!("video_ingest_forwarding_jobs").decrement(1.0);
    }
}
