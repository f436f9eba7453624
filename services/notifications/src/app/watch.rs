//! Open inboxes: everything after a cursor, then each new notification as it is committed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::stream::{self, Stream};
use marquee_documents::Stored;
use marquee_proto::name::AccountName;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::App;
use crate::domain::cursor;
use crate::domain::notification::Notification;
use crate::error::{Error, Result};

/// How many notifications a watch holds at most.
const BATCH: usize = 64;

/// One slot per account that watches, however many streams it has open. A slot only wakes: what there is to send is read
/// from the store, so that a slow reader loses nothing and nobody polls.
#[derive(Default)]
pub(crate) struct Watchers {
    slots: Mutex<HashMap<String, watch::Sender<()>>>,
}

impl Watchers {
    /// Wakes the account's streams. Called after the commit.
    pub(crate) fn wake(&self, account: &str) {
        if let Some(slot) = self.slots.lock().get(account) {
            slot.send_replace(());
        }
    }

    fn watch(self: &Arc<Self>, account: String) -> Watcher {
        let mut slots = self.slots.lock();
        let changed = match slots.get(&account) {
            Some(slot) => slot.subscribe(),
            None => {
                let (slot, changed) = watch::channel(());
                slots.insert(account.clone(), slot);
                changed
            }
        };
        Watcher {
            watchers: self.clone(),
            account,
            changed,
        }
    }
}

struct Watcher {
    watchers: Arc<Watchers>,
    account: String,
    changed: watch::Receiver<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut slots = self.watchers.slots.lock();
        // This one still counts.
        if slots
            .get(&self.account)
            .is_some_and(|slot| slot.receiver_count() <= 1)
        {
            slots.remove(&self.account);
        }
    }
}

/// One message of a watch.
pub(crate) struct Message {
    /// `None` in the first one.
    pub(crate) notification: Option<Arc<Notification>>,
    pub(crate) cursor: String,
    pub(crate) unread: u64,
}

struct Watch {
    app: Arc<App>,
    watcher: Watcher,
    /// Sequence of the last one that was sent.
    sent: u64,
    opened: bool,
    unread: u64,
    batch: VecDeque<Stored<Notification>>,
    over: bool,
}

impl App {
    /// Everything after `cursor` (from now on when it is empty), each once and in order, until the caller leaves or the
    /// service stops.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        account: &AccountName,
        cursor: &str,
    ) -> Result<impl Stream<Item = Result<Message>> + Send + 'static + use<>> {
        let account = account.to_string();
        // Before the inbox is read, so that what is committed between is not slept over.
        let watcher = self.watchers.watch(account.clone());
        let (_, inbox) = self.inbox(&account).await?;
        let sent = match cursor {
            "" => inbox.last_sequence,
            cursor => cursor::decode(&account, cursor)
                .filter(|sequence| *sequence <= inbox.last_sequence)
                .ok_or_else(|| {
                    marquee_error::invalid(
                        "cursor",
                        "must be the cursor of a message of this account's inbox, or empty",
                    )
                })?,
        };
        let watch = Watch {
            app: self.clone(),
            watcher,
            sent,
            opened: false,
            unread: inbox.unread,
            batch: VecDeque::new(),
            over: false,
        };
        Ok(stream::unfold(watch, |mut watch| async move {
            if watch.over {
                return None;
            }
            let message = watch.next().await;
            watch.over = message.is_err();
            Some((message, watch))
        }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Message> {
        if !self.opened {
            self.opened = true;
            return Ok(self.message(None));
        }
        loop {
            if let Some(notification) = self.batch.pop_front() {
                self.sent = notification.value.sequence;
                return Ok(self.message(Some(notification.value)));
            }
            // Marked as seen before the store is read: a commit after this wakes again.
            self.watcher.changed.borrow_and_update();
            let account = self.watcher.account.as_str();
            self.batch = self.app.store.since(account, self.sent, BATCH).await?.into();
            if !self.batch.is_empty() {
                self.unread = self.app.inbox(account).await?.1.unread;
                continue;
            }
            tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => return Err(Error::ShuttingDown),
                changed = self.watcher.changed.changed() => changed.map_err(|_| Error::ShuttingDown)?,
            }
        }
    }

    fn message(&self, notification: Option<Arc<Notification>>) -> Message {
        Message {
            notification,
            cursor: cursor::encode(&self.watcher.account, self.sent),
            unread: self.unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_slot_while_it_watches() {
        let watchers = Arc::new(Watchers::default());
        let phone = watchers.watch("accounts/a".into());
        let browser = watchers.watch("accounts/a".into());
        assert_eq!(watchers.slots.lock().len(), 1);
        drop(phone);
        watchers.wake("accounts/a");
        assert!(browser.changed.has_changed().unwrap());
        drop(browser);
        assert!(watchers.slots.lock().is_empty());
    }
}
