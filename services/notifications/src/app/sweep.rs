//! The task that forgets old notifications.

use std::collections::BTreeMap;

use jiff::Timestamp;
use marquee_documents::{Error as StoreError, Stored, Transaction};

use super::App;
use crate::domain::notification::Notification;
use crate::error::Result;

/// How many are read and forgotten in one go.
const BATCH: usize = 500;

impl App {
    /// Forgets until the service stops.
    pub(crate) async fn run_sweep(&self) -> Result<()> {
        while !self.shutdown.is_cancelled() {
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "old notifications are kept until the next sweep");
            }
            tokio::select! {
                () = tokio::time::sleep(self.config.sweep_interval) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<()> {
        let now = self.config.clock.now();
        let last = now.checked_sub(self.config.retention).unwrap_or(Timestamp::MIN);
        while !self.shutdown.is_cancelled() {
            let old = self.store.until(last, BATCH).await?;
            let all = old.len() < BATCH;
            let mut of_accounts: BTreeMap<String, Vec<_>> = BTreeMap::new();
            for notification in old {
                let account = notification.value.account.clone();
                of_accounts.entry(account).or_default().push(notification);
            }
            let mut forgotten = false;
            for (account, notifications) in of_accounts {
                forgotten |= self.forget(&account, notifications).await?;
            }
            // What is busy all the time has its turn at the next sweep.
            if all || !forgotten {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Forgets and counts in one transaction. False when something came between.
    async fn forget(&self, account: &str, notifications: Vec<Stored<Notification>>) -> Result<bool> {
        let (stored, mut inbox) = self.inbox(account).await?;
        let unread = notifications.iter().filter(|old| !old.value.read).count();
        inbox.mark_read(unread as u64);
        let mut transaction = Transaction::new();
        for old in notifications {
            transaction = transaction.delete::<Notification>(&old.value.name, Some(&old.etag));
        }
        if let Some(stored) = stored.filter(|_| unread > 0) {
            transaction = transaction.replace(&inbox, &stored.etag)?;
        }
        match self.store.documents.commit(transaction).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict | StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
