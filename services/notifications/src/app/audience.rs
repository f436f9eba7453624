//! The service's own copies of follows, reminders and events, kept from the bus.

use jiff::Timestamp;
use marquee_documents::{Error as StoreError, Transaction};

use super::{ATTEMPTS, App};
use crate::domain::audience::{Follow, Reminder, ReminderState};
use crate::domain::event::Event;
use crate::domain::fanout::{Fanout, Task};
use crate::domain::notification::Content;
use crate::error::{Error, Result};

/// A follow came or went.
pub(crate) enum FollowChange {
    Created {
        follow: Follow,
        /// Since when.
        time: Timestamp,
    },
    Deleted(String),
}

/// A reminder came or went.
pub(crate) enum ReminderChange {
    Created {
        reminder: Reminder,
        /// Since when.
        time: Timestamp,
    },
    Deleted(String),
}

/// An event is now this.
pub(crate) struct EventChange {
    pub(crate) event: Event,
    /// Id of the bus' message, from which the ids of what it causes are made.
    pub(crate) message: String,
    /// When it happened.
    pub(crate) time: Timestamp,
}

impl App {
    pub(crate) async fn follow(&self, change: FollowChange) -> Result<()> {
        match change {
            FollowChange::Created { follow, time } => {
                self.store
                    .documents
                    .commit(Transaction::new().put(&follow)?)
                    .await?;
                for event in self.store.live(&follow.channel).await? {
                    if event.value.listed {
                        self.tell_live(&follow.account, &event.value, time).await?;
                    }
                }
                Ok(())
            }
            FollowChange::Deleted(name) => forgiving(
                self.store
                    .documents
                    .commit(Transaction::new().delete::<Follow>(&name, None))
                    .await,
            ),
        }
    }

    pub(crate) async fn reminder(&self, change: ReminderChange) -> Result<()> {
        match change {
            ReminderChange::Created { reminder, time } => {
                let insert = Transaction::new().insert(&reminder)?;
                match self.store.documents.commit(insert).await {
                    // Told again: what it became since then stays.
                    Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                // The reminder is there: if the event comes later, its fan-out finds it.
                self.retime(&reminder.name).await?;
                if let Some(event) = self.store.get::<Event>(&reminder.event).await? {
                    self.tell_live(&reminder.account, &event.value, time).await?;
                }
                Ok(())
            }
            ReminderChange::Deleted(name) => forgiving(
                self.store
                    .documents
                    .commit(Transaction::new().delete::<Reminder>(&name, None))
                    .await,
            ),
        }
    }

    /// Tells who asked to be told before the event went live, but was heard of only after that: topics keep no order among
    /// each other, so that its fan-out may have gone by. When it has not, it tells nobody twice.
    async fn tell_live(&self, account: &str, event: &Event, asked: Timestamp) -> Result<()> {
        let Some(since) = event.live_since.filter(|_| event.went_live_after(asked)) else {
            return Ok(());
        };
        self.tell(account, &event.is_live(), since).await
    }

    /// Lets a reminder fire by its event's start, once the event is known.
    pub(super) async fn retime(&self, reminder: &str) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.store.get::<Reminder>(reminder).await? else {
                return Ok(());
            };
            // Read after the reminder: when the event moves after that, its fan-out either comes after this commit and has
            // the last word, or changes the reminder before it, which then does not hold.
            let Some(event) = self.store.get::<Event>(&stored.value.event).await? else {
                return Ok(());
            };
            let mut reminder = (*stored.value).clone();
            if !reminder.retime(event.value.start) {
                return Ok(());
            }
            match self
                .store
                .documents
                .commit(Transaction::new().replace(&reminder, &stored.etag)?)
                .await
            {
                Err(StoreError::Conflict) => {}
                // Deleted meanwhile.
                Err(StoreError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.reminders.notify_one();
                    return Ok(());
                }
            }
        }
        Err(Error::Contended(reminder.to_owned()))
    }

    /// Marks a reminder that it need not fire any more, unless it was given a new time meanwhile.
    pub(super) async fn reminder_done(&self, reminder: &marquee_documents::Stored<Reminder>) -> Result<()> {
        let done = Reminder {
            state: ReminderState::Done,
            ..(*reminder.value).clone()
        };
        match self
            .store
            .documents
            .commit(Transaction::new().replace(&done, &reminder.etag)?)
            .await
        {
            Ok(_) | Err(StoreError::Conflict | StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers the event and, in the same transaction, what is to be done because of the change. A change that was seen
    /// before, or is older than what is known, does nothing.
    pub(crate) async fn event(&self, change: EventChange) -> Result<()> {
        let EventChange {
            mut event,
            message,
            time,
        } = change;
        let traceparent = marquee_telemetry::current_traceparent();
        let now = self.config.clock.now();
        let is_news = now.duration_since(time).unsigned_abs() < self.config.max_age || time > now;
        for _ in 0..ATTEMPTS {
            let known = self.store.get::<Event>(&event.name).await?;
            if known
                .as_ref()
                .is_some_and(|known| known.value.update_time >= event.update_time)
            {
                return Ok(());
            }
            let before = known.as_ref().map(|known| &*known.value);
            event.note_live(before);
            let tasks = event.changes_since(before);
            let mut transaction = match &known {
                Some(known) => Transaction::new().replace(&event, &known.etag)?,
                None => Transaction::new().insert(&event)?,
            };
            for (n, task) in tasks.into_iter().enumerate() {
                if is_news || matches!(task, Task::Retime { .. }) {
                    let fanout = Fanout::new(format!("{message}-{n}"), task, now, traceparent.clone());
                    transaction = transaction.put(&fanout)?;
                }
            }
            match self.store.documents.commit(transaction).await {
                Err(StoreError::Conflict | StoreError::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.fanouts.notify_one();
                    return Ok(());
                }
            }
        }
        Err(Error::Contended(event.name))
    }

    /// Tells one account.
    pub(crate) async fn tell(&self, account: &str, content: &Content, time: Timestamp) -> Result<()> {
        let age = self.config.clock.now().duration_since(time);
        if age.is_positive() && age.unsigned_abs() >= self.config.max_age {
            return Ok(());
        }
        self.deliver(&[account.to_owned()], content).await
    }
}

fn forgiving(deleted: Result<marquee_documents::Committed, StoreError>) -> Result<()> {
    match deleted {
        // Told again.
        Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
