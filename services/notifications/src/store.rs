//! What the service keeps, and the questions it asks of it.

use jiff::Timestamp;
use marquee_documents::{Collection, Document, Location, Page, Query, Store as Documents, Stored};

use crate::domain::audience::{Follow, Reminder, ReminderState};
use crate::domain::event::{Event, State};
use crate::domain::fanout::Fanout;
use crate::domain::notification::{Inbox, Notification};
use crate::error::Result;

/// The service's documents.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) documents: Documents,
}

impl Store {
    pub(crate) async fn open(location: &Location) -> Result<Self> {
        let collections = [
            Collection::of::<Notification>(),
            Collection::of::<Inbox>(),
            Collection::of::<Follow>(),
            Collection::of::<Reminder>(),
            Collection::of::<Event>(),
            Collection::of::<Fanout>(),
        ];
        Ok(Self {
            documents: Documents::open(location, &collections).await?,
        })
    }

    pub(crate) async fn get<T: Document>(&self, id: &str) -> Result<Option<Stored<T>>> {
        Ok(self.documents.get(id).await?)
    }

    /// An account's inbox. By its index, which is never older than what another query has seen; a document by its id may
    /// come from the cache, which learns of a commit a moment after queries do.
    pub(crate) async fn inbox(&self, account: &str) -> Result<Option<Stored<Inbox>>> {
        let query = Query::by("by_account").equals(account).limit(1);
        Ok(self.documents.query(query).await?.items.into_iter().next())
    }

    /// Notifications of an account with a sequence above `after`, oldest first.
    pub(crate) async fn since(
        &self,
        account: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored<Notification>>> {
        let query = Query::by("by_account").equals(account).above(after).limit(limit);
        Ok(self.documents.query(query).await?.items)
    }

    /// Newest first.
    pub(crate) async fn newest(
        &self,
        account: &str,
        unread_only: bool,
        size: usize,
        token: &str,
    ) -> Result<Page<Notification>> {
        let query = if unread_only {
            Query::by("by_read").equals(account).equals(false)
        } else {
            Query::by("by_account").equals(account)
        };
        Ok(self
            .documents
            .query(query.descending().limit(size).after(token))
            .await?)
    }

    /// Unread ones with a sequence up to `last`, oldest first.
    pub(crate) async fn unread(
        &self,
        account: &str,
        last: u64,
        limit: usize,
    ) -> Result<Vec<Stored<Notification>>> {
        let query = Query::by("by_read")
            .equals(account)
            .equals(false)
            .at_most(last)
            .limit(limit);
        Ok(self.documents.query(query).await?.items)
    }

    /// Notifications of all accounts that came at `time` or before, the oldest first.
    pub(crate) async fn until(&self, time: Timestamp, limit: usize) -> Result<Vec<Stored<Notification>>> {
        let query = Query::by("by_create_time")
            .at_most(time.as_microsecond())
            .limit(limit);
        Ok(self.documents.query(query).await?.items)
    }

    /// What of a channel is on the air: one event, but for a moment. By the index, which knows what any other query does.
    pub(crate) async fn live(&self, channel: &str) -> Result<Vec<Stored<Event>>> {
        let query = Query::by("by_channel_state")
            .equals(channel)
            .equals(State::Live.as_str());
        Ok(self.documents.query(query).await?.items)
    }

    /// Follows of a channel after the one with the name `after`, by name.
    pub(crate) async fn followers(&self, channel: &str, after: &str, limit: usize) -> Result<Page<Follow>> {
        let query = Query::by("by_channel").equals(channel).above(after).limit(limit);
        Ok(self.documents.query(query).await?)
    }

    /// Reminders of an event after the one with the name `after`, by name, so that those of one account are adjacent.
    pub(crate) async fn reminders(&self, event: &str, after: &str, limit: usize) -> Result<Page<Reminder>> {
        let query = Query::by("by_event").equals(event).above(after).limit(limit);
        Ok(self.documents.query(query).await?)
    }

    /// Pending reminders that are due at `now`, the longest due first.
    pub(crate) async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Reminder>>> {
        let query = Query::by("by_due")
            .equals(ReminderState::Pending.as_str())
            .at_most(now.as_microsecond())
            .limit(limit);
        Ok(self.documents.query(query).await?.items)
    }

    /// When the next pending reminder is due.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>> {
        let query = Query::by("by_due")
            .equals(ReminderState::Pending.as_str())
            .limit(1);
        let page = self.documents.query::<Reminder>(query).await?;
        Ok(page.items.first().and_then(|reminder| reminder.value.due))
    }

    /// Fan-outs that are not done, the most urgent first, and of those the oldest.
    pub(crate) async fn fanouts(&self, limit: usize) -> Result<Vec<Stored<Fanout>>> {
        Ok(self
            .documents
            .query(Query::by("by_urgency").limit(limit))
            .await?
            .items)
    }
}
