//! What an account sees of its inbox, and marks as read.

use std::collections::BTreeSet;

use marquee_documents::{Error as StoreError, Page, Stored, Transaction};
use marquee_proto::name::AccountName;

use super::{ATTEMPTS, App};
use crate::domain::notification::{Inbox, Notification};
use crate::error::{Error, Result};

/// How many are marked in one transaction.
const BATCH: usize = 500;

/// What is wrong with a page token.
pub(crate) const FOREIGN_TOKEN: &str =
    "must be the next_page_token of the same list, with the same parent and unread_only";

/// What is marked as read.
pub(crate) enum Marked {
    All,
    /// Resource names.
    These(BTreeSet<String>),
}

impl App {
    /// Newest first.
    pub(crate) async fn list(
        &self,
        account: &AccountName,
        unread_only: bool,
        size: usize,
        token: &str,
    ) -> Result<Page<Notification>> {
        let page = self
            .store
            .newest(&account.to_string(), unread_only, size, token)
            .await;
        page.map_err(|error| match error {
            Error::Store(StoreError::InvalidPageToken) => {
                marquee_error::invalid("page_token", FOREIGN_TOKEN).into()
            }
            error => error,
        })
    }

    /// True for the token of a page of this list, and for none.
    pub(crate) async fn continues(&self, account: &str, unread_only: bool, token: &str) -> Result<bool> {
        match self.store.newest(account, unread_only, 1, token).await {
            Ok(_) => Ok(true),
            Err(Error::Store(StoreError::InvalidPageToken)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn unread_count(&self, account: &AccountName) -> Result<u64> {
        Ok(self.inbox(&account.to_string()).await?.1.unread)
    }

    pub(super) async fn inbox(&self, account: &str) -> Result<(Option<Stored<Inbox>>, Inbox)> {
        let stored = self.store.inbox(account).await?;
        let inbox = stored
            .as_ref()
            .map_or_else(|| Inbox::empty(account), |inbox| (*inbox.value).clone());
        Ok((stored, inbox))
    }

    /// Marks as read and returns how many are unread then.
    pub(crate) async fn mark_read(&self, account: &AccountName, marked: &Marked) -> Result<u64> {
        let account = account.to_string();
        match marked {
            Marked::These(names) => self.mark_these(&account, names).await,
            Marked::All => {
                // What comes after this moment stays unread.
                let last = self.inbox(&account).await?.1.last_sequence;
                loop {
                    let (count, left) = self.mark_batch(&account, last).await?;
                    if count < BATCH {
                        return Ok(left);
                    }
                }
            }
        }
    }

    async fn mark_these(&self, account: &str, names: &BTreeSet<String>) -> Result<u64> {
        for _ in 0..ATTEMPTS {
            let inbox = self.inbox(account).await?;
            let mut unread = Vec::new();
            for name in names {
                let notification = self.store.get::<Notification>(name).await?;
                let notification = notification.ok_or_else(|| Error::NotificationNotFound(name.clone()))?;
                if !notification.value.read {
                    unread.push(notification);
                }
            }
            if let Some(left) = self.mark(inbox, unread).await? {
                return Ok(left);
            }
        }
        Err(Error::Contended(account.to_owned()))
    }

    /// Marks the oldest unread ones up to `last`; returns how many there were and how many are left unread.
    async fn mark_batch(&self, account: &str, last: u64) -> Result<(usize, u64)> {
        for _ in 0..ATTEMPTS {
            let inbox = self.inbox(account).await?;
            let unread = self.store.unread(account, last, BATCH).await?;
            let count = unread.len();
            if let Some(left) = self.mark(inbox, unread).await? {
                return Ok((count, left));
            }
        }
        Err(Error::Contended(account.to_owned()))
    }

    /// Marks and counts in one transaction. `None` when something came between.
    async fn mark(
        &self,
        (stored, mut inbox): (Option<Stored<Inbox>>, Inbox),
        unread: Vec<Stored<Notification>>,
    ) -> Result<Option<u64>> {
        let Some(stored) = stored.filter(|_| !unread.is_empty()) else {
            return Ok(Some(inbox.unread));
        };
        inbox.mark_read(unread.len() as u64);
        let mut transaction = Transaction::new().replace(&inbox, &stored.etag)?;
        for notification in unread {
            let read = Notification {
                read: true,
                unread: None,
                ..(*notification.value).clone()
            };
            transaction = transaction.replace(&read, &notification.etag)?;
        }
        match self.store.documents.commit(transaction).await {
            Ok(_) => Ok(Some(inbox.unread)),
            // Changed, or forgotten by the sweep.
            Err(StoreError::Conflict | StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
