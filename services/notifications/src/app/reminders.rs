//! The task that lets reminders fire.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use marquee_documents::Stored;

use super::App;
use crate::domain::audience::Reminder;
use crate::domain::event::{Due, Event};
use crate::error::Result;

/// How many are read in one go.
const BATCH: usize = 200;
/// How many fire at once, so that they share the store's commits: all of an event's are due at the same moment.
const AT_ONCE: usize = 32;
/// The longest sleep, in case the clock is set or another replica stored a reminder; and the pause after an error.
const FALLBACK: Duration = Duration::from_secs(5);

impl App {
    /// Reminds until the service stops. What became due while it was stopped fires when it starts.
    pub(crate) async fn run_reminders(&self) -> Result<()> {
        while !self.shutdown.is_cancelled() {
            let woken = self.reminders.notified();
            let pause = match self.remind().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "reminders are tried again");
                    FALLBACK
                }
            };
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Lets what is due fire and returns how long there is nothing to do.
    async fn remind(&self) -> Result<Duration> {
        loop {
            let due = self.store.due(self.config.clock.now(), BATCH).await?;
            if due.is_empty() || self.shutdown.is_cancelled() {
                break;
            }
            // One that fails does not hold up the others.
            let fired = stream::iter(due).map(|reminder| self.fire(reminder));
            let fired: Vec<_> = fired.buffer_unordered(AT_ONCE).collect().await;
            fired.into_iter().collect::<Result<()>>()?;
        }
        let Some(next) = self.store.next_due().await? else {
            return Ok(FALLBACK);
        };
        let wait = next.duration_since(self.config.clock.now());
        Ok(Duration::try_from(wait).unwrap_or_default().min(FALLBACK))
    }

    /// Told first, marked then: a crash between tells again, which makes no second notification.
    async fn fire(&self, reminder: Stored<Reminder>) -> Result<()> {
        if let Some(event) = self.store.get::<Event>(&reminder.value.event).await? {
            // Moved, and its fan-out has not come to this reminder yet.
            if reminder.value.due != Some(reminder.value.due_for(event.value.start)) {
                return self.retime(&reminder.value.name).await;
            }
            if let Due::Tell(content) = event.value.remind(&reminder.value.name, self.config.clock.now()) {
                self.deliver(std::slice::from_ref(&reminder.value.account), &content)
                    .await?;
            }
        }
        self.reminder_done(&reminder).await
    }
}
