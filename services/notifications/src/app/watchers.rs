//! Who has an inbox open, and what was put into it since they looked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use marquee_documents::{Change, Changes};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::domain::notification::{Notification, account_of};

/// How many notifications wait for one stream; a slower one reads what it misses.
const ROOM: usize = 16;
/// How many streams read at once, so that the store is left for others when all of them have to.
const READERS: usize = 8;

/// The open streams by account. Each has a mailbox of its own that is filled with what any process of the service
/// commits, so that a stream that is up to date reads nothing.
pub(crate) struct Watchers {
    mailboxes: Mutex<HashMap<String, Vec<Arc<Mailbox>>>>,
    pub(super) reading: Semaphore,
}

impl Default for Watchers {
    fn default() -> Self {
        Self {
            mailboxes: Mutex::default(),
            reading: Semaphore::new(READERS),
        }
    }
}

impl Watchers {
    /// A mailbox for what is committed from now on.
    pub(super) fn watch(self: &Arc<Self>, account: String) -> Watcher {
        let mailbox = Arc::<Mailbox>::default();
        self.mailboxes
            .lock()
            .entry(account.clone())
            .or_default()
            .push(mailbox.clone());
        Watcher {
            watchers: self.clone(),
            account,
            mailbox,
        }
    }

    /// Hands out what is committed, until the service stops.
    pub(crate) async fn follow(&self, mut changes: Changes<Notification>, shutdown: &CancellationToken) {
        let wanted = |id: &str| self.mailboxes.lock().contains_key(account_of(id));
        while let Some(Some(change)) = shutdown.run_until_cancelled(changes.next(wanted)).await {
            match change {
                Change::Anew => self.read_anew(),
                Change::Written(notification) => self.hand(&notification.value),
                // What is forgotten is not told of.
                Change::Deleted(_) => {}
            }
        }
    }

    fn hand(&self, notification: &Arc<Notification>) {
        let mailboxes = self.mailboxes.lock();
        for mailbox in mailboxes.get(&notification.account).into_iter().flatten() {
            mailbox.put(notification.clone());
        }
    }

    fn read_anew(&self) {
        for mailbox in self.mailboxes.lock().values().flatten() {
            mailbox.overflow();
        }
    }
}

/// What one stream was handed and has not taken.
#[derive(Default)]
struct Mailbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Notification>>,
    /// Something is missing.
    overflowed: bool,
}

impl Mailbox {
    fn put(&self, notification: Arc<Notification>) {
        {
            let mut state = self.state.lock();
            if state.overflowed {
                return;
            }
            if state.waiting.len() < ROOM {
                state.waiting.push_back(notification);
            } else {
                state.overflow();
            }
        }
        self.filled.notify_one();
    }

    fn overflow(&self) {
        self.state.lock().overflow();
        self.filled.notify_one();
    }
}

impl State {
    fn overflow(&mut self) {
        self.overflowed = true;
        self.waiting = VecDeque::new();
    }
}

/// What a stream finds in its mailbox.
pub(super) enum Found {
    Notification(Arc<Notification>),
    /// Some did not find room: they are in the store.
    Overflow,
}

/// A stream's hold on its mailbox, which is gone with it.
pub(super) struct Watcher {
    watchers: Arc<Watchers>,
    pub(super) account: String,
    mailbox: Arc<Mailbox>,
}

impl Watcher {
    /// The oldest in the mailbox; waits for one.
    pub(super) async fn take(&self) -> Found {
        loop {
            {
                let mut state = self.mailbox.state.lock();
                if std::mem::take(&mut state.overflowed) {
                    return Found::Overflow;
                }
                if let Some(notification) = state.waiting.pop_front() {
                    return Found::Notification(notification);
                }
            }
            self.mailbox.filled.notified().await;
        }
    }

    /// Empties the mailbox. What was in it is found by whoever reads the store after this.
    pub(super) fn empty(&self) {
        *self.mailbox.state.lock() = State::default();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut mailboxes = self.watchers.mailboxes.lock();
        if let Some(of_account) = mailboxes.get_mut(&self.account) {
            of_account.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            if of_account.is_empty() {
                mailboxes.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notification::{Content, Inbox, Kind};

    fn notifications(account: &str) -> impl Iterator<Item = Arc<Notification>> {
        let mut inbox = Inbox::empty(account);
        (0..).map(move |n| {
            let content = Content {
                kind: Kind::EventLive,
                occurrence: format!("channels/c/events/{n}"),
                title: String::new(),
                body: String::new(),
                channel: String::new(),
                event: String::new(),
            };
            Arc::new(inbox.deliver(&content, jiff::Timestamp::UNIX_EPOCH))
        })
    }

    async fn sequence(watcher: &Watcher) -> Option<u64> {
        match watcher.take().await {
            Found::Notification(notification) => Some(notification.sequence),
            Found::Overflow => None,
        }
    }

    #[tokio::test]
    async fn every_stream_of_the_account_is_handed_what_comes_in_order() {
        let watchers = Arc::new(Watchers::default());
        let (phone, browser) = (
            watchers.watch("accounts/a".into()),
            watchers.watch("accounts/a".into()),
        );
        let other = watchers.watch("accounts/b".into());
        for notification in notifications("accounts/a").take(2) {
            watchers.hand(&notification);
        }
        for watcher in [&phone, &browser] {
            assert_eq!(sequence(watcher).await, Some(1));
            assert_eq!(sequence(watcher).await, Some(2));
        }
        assert!(other.mailbox.state.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_holds_no_more_than_there_is_room_for() {
        let watchers = Arc::new(Watchers::default());
        let slow = watchers.watch("accounts/a".into());
        let mut coming = notifications("accounts/a");
        for notification in coming.by_ref().take(ROOM * 3) {
            watchers.hand(&notification);
        }
        assert!(slow.mailbox.state.lock().waiting.is_empty());
        assert_eq!(sequence(&slow).await, None, "it is to read");
        slow.empty();
        watchers.hand(&coming.next().unwrap());
        assert_eq!(sequence(&slow).await, Some(ROOM as u64 * 3 + 1));
    }

    #[tokio::test]
    async fn when_changes_were_lost_every_stream_reads() {
        let watchers = Arc::new(Watchers::default());
        let watcher = watchers.watch("accounts/a".into());
        watchers.hand(&notifications("accounts/a").next().unwrap());
        watchers.read_anew();
        assert_eq!(sequence(&watcher).await, None);
    }

    #[test]
    fn nothing_is_left_of_streams_that_are_gone() {
        let watchers = Arc::new(Watchers::default());
        let phone = watchers.watch("accounts/a".into());
        let browser = watchers.watch("accounts/a".into());
        drop(phone);
        assert_eq!(watchers.mailboxes.lock()["accounts/a"].len(), 1);
        drop(browser);
        assert!(watchers.mailboxes.lock().is_empty());
    }
}
