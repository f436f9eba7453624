//! Notifications are put into inboxes, each once.

use std::collections::BTreeMap;

use marquee_documents::{Error as StoreError, Stored, Transaction};

use super::{ATTEMPTS, App};
use crate::domain::notification::{Content, Inbox, Notification, name};
use crate::error::{Error, Result};
use crate::wire;

impl App {
    /// Tells the accounts; whoever was told of this occurrence before is left out. All or none of them are told, and
    /// when this returns it is durable. Who watches is told by the store's changes.
    pub(crate) async fn deliver(&self, accounts: &[String], content: &Content) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            match self.try_deliver(accounts, content).await {
                // Another fan-out, a mark or the same delivery twice came between: look again at what is there.
                Err(Error::Store(StoreError::Conflict | StoreError::AlreadyExists { .. })) => {
                    // With fewer inboxes at once there is less to come between.
                    if attempt >= 3 && accounts.len() > 1 {
                        let (first, second) = accounts.split_at(accounts.len() / 2);
                        Box::pin(self.deliver(first, content)).await?;
                        return Box::pin(self.deliver(second, content)).await;
                    }
                }
                done => return done,
            }
        }
        Err(Error::Contended(accounts.first().cloned().unwrap_or_default()))
    }

    async fn try_deliver(&self, accounts: &[String], content: &Content) -> Result<()> {
        let now = self.config.clock.now();
        let mut transaction = Transaction::new();
        let mut inboxes: BTreeMap<&str, (Option<Stored<Inbox>>, Inbox)> = BTreeMap::new();
        let names = accounts
            .iter()
            .map(|account| name(account, content.kind, &content.occurrence));
        let known = self
            .store
            .documents
            .get_many::<Notification>(names.collect())
            .await?;
        let mut stored = self.store.documents.get_many::<Inbox>(accounts.to_vec()).await?;
        for account in accounts {
            // An account that is here twice is told once.
            if inboxes.contains_key(account.as_str()) {
                continue;
            }
            let name = name(account, content.kind, &content.occurrence);
            if known.contains_key(&name) {
                continue;
            }
            let stored = stored.remove(account);
            let mut inbox = stored
                .as_ref()
                .map_or_else(|| Inbox::empty(account), |inbox| (*inbox.value).clone());
            let notification = inbox.deliver(content, now);
            transaction = transaction
                .insert(&notification)?
                .publish(marquee_bus::event(account, &wire::created(&notification)));
            inboxes.insert(account, (stored, inbox));
        }
        if inboxes.is_empty() {
            return Ok(());
        }
        for (stored, inbox) in inboxes.values() {
            transaction = match stored {
                Some(stored) => transaction.replace(inbox, &stored.etag)?,
                None => transaction.insert(inbox)?,
            };
        }
        self.store.documents.commit(transaction).await?;
        Ok(())
    }
}
