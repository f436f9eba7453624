//! Being reminded of events.

use marquee_proto::name::{EventName, ReminderName, new_id};

use super::{App, Owner};
use crate::domain::page::{Page, Rows};
use crate::domain::reminder::{LeadTime, MAX_PER_EVENT, Reminder};
use crate::error::{Error, Resource};
use crate::publish;
use crate::store::{self, Added};

impl App {
    /// Sets a reminder, or returns the same one that is there.
    pub(crate) async fn create_reminder(
        &self,
        owner: &Owner,
        event: EventName,
        lead_time: LeadTime,
    ) -> Result<Reminder, Error> {
        let reminder = Reminder {
            name: ReminderName {
                account: owner.name().account.clone(),
                reminder: new_id(),
            },
            event,
            lead_time,
            create_time: self.clock.now(),
        };
        // What is there needs no other service to be up.
        if let Some(same) = self.store.same_reminder(&reminder).await? {
            return Ok(same);
        }
        self.catalogue.require_scheduled(&reminder.event).await?;
        let events = vec![publish::reminder_created(&reminder)];
        match self
            .store
            .create_reminder(reminder, MAX_PER_EVENT, events)
            .await?
        {
            Added::New(reminder) | Added::Existing(reminder) => Ok(reminder),
            Added::TooMany => Err(Error::TooManyReminders { max: MAX_PER_EVENT }),
        }
    }

    /// Removes a reminder.
    pub(crate) async fn delete_reminder(&self, owner: &Owner, name: &ReminderName) -> Result<(), Error> {
        debug_assert_eq!(&name.account(), owner.name());
        let not_found = || Error::not_found(Resource::Reminder, name);
        let reminder = self.store.reminder(name).await?.ok_or_else(not_found)?;
        let events = vec![publish::reminder_deleted(&reminder)];
        match self.store.delete_reminder(name, events).await {
            Err(store::Error::NotFound) => Err(not_found()),
            deleted => Ok(deleted?),
        }
    }

    /// The reminders of an account, newest first.
    pub(crate) async fn reminders(&self, owner: &Owner, page: Page) -> Result<Rows<Reminder>, Error> {
        Ok(self.store.reminders(owner.name(), page).await?)
    }
}
