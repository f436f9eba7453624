//! Open inboxes: everything after a cursor, then each new notification as it is committed.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, Stream};
use marquee_documents::Stored;
use marquee_proto::name::AccountName;

use super::App;
use super::watchers::{Found, Watcher};
use crate::domain::cursor;
use crate::domain::notification::Notification;
use crate::error::{Error, Result};

/// How many notifications are read in one go.
const BATCH: usize = 64;

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
    /// Read and not sent yet.
    page: VecDeque<Stored<Notification>>,
    /// The store may have more than was read or handed over.
    behind: bool,
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
        // Before the inbox is read, so that nothing that is committed between is missed.
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
            page: VecDeque::new(),
            behind: sent < inbox.last_sequence,
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
        let shutdown = self.app.shutdown.clone();
        loop {
            if let Some(read) = self.page.pop_front() {
                return Ok(self.send(read.value));
            }
            if self.behind {
                match shutdown.run_until_cancelled(self.read()).await {
                    Some(read) => read?,
                    None => return Err(Error::ShuttingDown),
                }
                continue;
            }
            // The service's stopping first: a busy inbox is never empty.
            let found = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Error::ShuttingDown),
                found = self.watcher.take() => found,
            };
            match found {
                // It was read already.
                Found::Notification(handed) if handed.sequence <= self.sent => {}
                Found::Notification(handed)
                    if handed.sequence == self.sent + 1 && handed.unread.is_some() =>
                {
                    self.unread = handed.unread.unwrap_or(self.unread);
                    return Ok(self.send(handed));
                }
                // Sequences have no gaps: something was missed.
                Found::Notification(_) | Found::Overflow => self.behind = true,
            }
        }
    }

    /// Reads what comes next from the store.
    async fn read(&mut self) -> Result<()> {
        let _turn = self.app.watchers.reading.acquire().await;
        // What was handed over before this was committed before it, and is read now.
        self.watcher.empty();
        let account = self.watcher.account.as_str();
        let page = self.app.store.since(account, self.sent, BATCH).await?;
        self.behind = page.len() == BATCH;
        if !page.is_empty() {
            self.unread = self.app.inbox(account).await?.1.unread;
        }
        self.page = page.into();
        Ok(())
    }

    fn send(&mut self, notification: Arc<Notification>) -> Message {
        self.sent = notification.sequence;
        self.message(Some(notification))
    }

    fn message(&self, notification: Option<Arc<Notification>>) -> Message {
        Message {
            notification,
            cursor: cursor::encode(&self.watcher.account, self.sent),
            unread: self.unread,
        }
    }
}
