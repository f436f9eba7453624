//! Sessions that are over for good are let go, so that the store does not grow with every play.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Board;
use crate::Error;
use crate::config::Clock;
use crate::store::{self, Store};

/// A session of which nothing was heard for so long is let go. A view is closed after an hour; the rest of the day is for
/// beacons that come late, which would otherwise be a second view. In milliseconds.
const SILENCE_MS: i64 = 24 * 60 * 60 * 1000;

/// Sessions of one transaction: the fold waits for it.
const MOST: u32 = 500;

/// Lets sessions go.
pub(crate) struct Sweeper {
    store: Arc<dyn Store>,
    board: Arc<Board>,
    clock: Clock,
    every: Duration,
}

impl Sweeper {
    pub(crate) fn new(store: Arc<dyn Store>, board: Arc<Board>, clock: Clock, every: Duration) -> Self {
        Self {
            store,
            board,
            clock,
            every,
        }
    }

    /// Sweeps now and then until the token is cancelled.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let work = async {
            loop {
                tokio::time::sleep(self.every).await;
                if let Err(error) = self.sweep().await {
                    tracing::warn!(%error, "cannot let go of old sessions, trying again later");
                }
            }
        };
        shutdown.run_until_cancelled(work).await.unwrap_or(Ok(()))
    }

    async fn sweep(&self) -> Result<(), store::Error> {
        // After a long stop the beacons that break a silence may still be on the bus.
        while !self.board.is_behind() {
            let silent_before_ms = self.clock.now_ms().saturating_sub(SILENCE_MS);
            // Whoever folds a partition knows whether it is behind.
            let owned = self.board.owned().into_iter().collect();
            let swept = self.store.sweep(owned, silent_before_ms, MOST).await?;
            metrics::counter!("analytics_swept_sessions_total").increment(swept as u64);
            if swept < MOST as usize {
                break;
            }
        }
        Ok(())
    }
}
