//! What time brings: memberships that end, payments that were left behind, rows that nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::error::Error;

/// How much is done in one step, so that a long queue never holds much memory.
const BATCH: usize = 100;
/// How long first answers are kept for replays.
const REPLIES: Duration = Duration::from_secs(24 * 60 * 60);

/// Sweeps until `shutdown`. Two that run at once, in one process or in several, do no more than one: every step is
/// guarded by what it has read.
pub(crate) async fn run(app: Arc<App>, shutdown: CancellationToken) -> Result<(), Error> {
    let mut ticks = interval(app.config.sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sweeping = async {
        loop {
            ticks.tick().await;
            if let Err(error) = app.sweep().await {
                // It comes by again; nothing depends on it being done at once.
                tracing::warn!(error = &error as &dyn std::error::Error, "a sweep was cut short");
            }
        }
    };
    // Dropped half way, a step is either committed or not made.
    shutdown.run_until_cancelled(sweeping).await;
    Ok(())
}

impl App {
    /// One sweep.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let now = self.clock.now();
        loop {
            let due = self.store.due_memberships(now, BATCH).await?;
            for membership in &due {
                self.expire(membership).await?;
            }
            if due.len() < BATCH {
                break;
            }
        }
        let before = now.saturating_sub(self.config.payment_patience).unwrap_or(now);
        // One that can't be settled now must not keep the others from it.
        let mut result = Ok(());
        for intent in self.store.stale_payments(before, BATCH).await? {
            tracing::info!(intent = intent.id, "settling a payment that was left behind");
            result = result.and(self.call_off(intent).await);
        }
        let replies_before = now.saturating_sub(REPLIES).unwrap_or(now);
        while self.store.purge(now, replies_before, BATCH).await? >= BATCH {}
        result
    }
}
