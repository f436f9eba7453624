//! The task that does stored fan-outs, a page of each in turn, the urgent ones first.

use std::time::Duration;

use marquee_documents::{Error as StoreError, Stored, Transaction};
use marquee_telemetry::{InContext as _, Kind, Span, TraceContext};

use super::App;
use crate::domain::fanout::{Audience, Fanout, Stage, Task, Urgency};
use crate::error::Result;

/// How many fan-outs take turns.
const AT_ONCE: usize = 16;
/// Looked for without being woken, in case another replica stored one; and the pause after an error.
const FALLBACK: Duration = Duration::from_secs(1);

impl App {
    /// Fans out until the service stops.
    pub(crate) async fn run_fanouts(&self) -> Result<()> {
        while !self.shutdown.is_cancelled() {
            let woken = self.fanouts.notified();
            let pause = match self.fan_out().await {
                Ok(true) => continue,
                Ok(false) => FALLBACK,
                Err(error) => {
                    tracing::warn!(%error, "fan-outs pause");
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

    /// Does a page of each; false when there was nothing to do. A crash between pages repeats at most one page, of which
    /// everybody was told already.
    async fn fan_out(&self) -> Result<bool> {
        let fanouts = self.store.fanouts(AT_ONCE).await?;
        let mut failed = None;
        for fanout in &fanouts {
            if self.shutdown.is_cancelled() {
                break;
            }
            // Those that can wait do, also for what was stored during this turn; but not for one that fails.
            if fanout.value.urgency == Urgency::Later && failed.is_none() && self.urgent_waits().await? {
                break;
            }
            // One that fails does not hold up the others.
            let span = Span::begin(
                Kind::Internal,
                TraceContext::parse(fanout.value.traceparent.as_deref()),
                || "fan out notifications",
            );
            if let Err(error) = self.page(fanout).in_context(span.context()).await {
                tracing::warn!(%error, fanout = fanout.value.id, "a fan-out is tried again");
                failed = Some(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(!fanouts.is_empty()),
        }
    }

    async fn urgent_waits(&self) -> Result<bool> {
        let first = self.store.fanouts(1).await?;
        Ok(first
            .first()
            .is_some_and(|fanout| fanout.value.urgency == Urgency::Now))
    }

    async fn page(&self, stored: &Stored<Fanout>) -> Result<()> {
        let mut fanout = (*stored.value).clone();
        let (last, more) = match fanout.stage {
            Stage::Followers => self.page_of_followers(&fanout).await?,
            Stage::Reminders => self.page_of_reminders(&fanout).await?,
        };
        let goes_on = fanout.advance(last.as_deref(), more);
        let transaction = if goes_on {
            Transaction::new().replace(&fanout, &stored.etag)?
        } else {
            Transaction::new().delete::<Fanout>(&fanout.id, Some(&stored.etag))
        };
        match self.store.documents.commit(transaction).await {
            // Another replica does it as well, which is harmless.
            Ok(_) | Err(StoreError::Conflict | StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn page_of_followers(&self, fanout: &Fanout) -> Result<(Option<String>, bool)> {
        let Task::Tell {
            audience: Audience::Followers | Audience::FollowersAndReminded,
            content,
        } = &fanout.task
        else {
            return Ok((None, false));
        };
        let page = self
            .store
            .followers(&content.channel, &fanout.after, self.config.fanout_page)
            .await?;
        let accounts: Vec<_> = page
            .items
            .iter()
            .map(|follow| follow.value.account.clone())
            .collect();
        self.deliver(&accounts, content).await?;
        let last = page.items.last().map(|follow| follow.value.name.clone());
        Ok((last, page.next_page_token.is_some()))
    }

    async fn page_of_reminders(&self, fanout: &Fanout) -> Result<(Option<String>, bool)> {
        let event = match &fanout.task {
            Task::Tell { content, .. } => &content.event,
            Task::Retime { event } => event,
        };
        let page = self
            .store
            .reminders(event, &fanout.after, self.config.fanout_page)
            .await?;
        match &fanout.task {
            Task::Tell {
                audience: Audience::Reminded | Audience::FollowersAndReminded,
                content,
            } => {
                let accounts: Vec<_> = page
                    .items
                    .iter()
                    .map(|reminder| reminder.value.account.clone())
                    .collect();
                self.deliver(&accounts, content).await?;
            }
            Task::Tell { .. } => {}
            Task::Retime { .. } => {
                for reminder in &page.items {
                    self.retime(&reminder.value.name).await?;
                }
            }
        }
        let last = page.items.last().map(|reminder| reminder.value.name.clone());
        Ok((last, page.next_page_token.is_some()))
    }
}
