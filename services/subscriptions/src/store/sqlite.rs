//! The store in one SQLite file.

mod accounts;
mod billing;
mod books;
mod follows;
mod intents;
mod keys;
mod reminders;
mod row;
mod sessions;
mod tickets;

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_bus::Outgoing;
use marquee_bus::outbox::Outbox;
use marquee_bus::outbox::sqlite::{MIGRATION as OUTBOX, SqliteOutbox, insert};
use marquee_proto::name::{AccountName, EventName, FollowName, MembershipName, PlanName, ReminderName};
use marquee_sqlite::Database;
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction};

use super::measure::Operation;
use super::{
    Added, Attempt, Begun, Credential, Error, NewAccount, Reply, RequestKey, Settlement, SigningKey, Store,
    Unique,
};
use crate::domain::account::Account;
use crate::domain::attempts::{Attempts, Guesser, LoginLimit};
use crate::domain::email::Email;
use crate::domain::follow::Follow;
use crate::domain::membership::Membership;
use crate::domain::page::{Page, Rows};
use crate::domain::payment::{Intent, Payment};
use crate::domain::plan::Plan;
use crate::domain::reminder::Reminder;
use crate::domain::session::{Rotation, Session, TokenDigest};
use crate::domain::ticket::Ticket;
use crate::domain::version::Version;

const MIGRATIONS: &[&str] = &[
    OUTBOX,
    include_str!("../../migrations/sqlite/0001_subscriptions.sql"),
    include_str!("../../migrations/sqlite/0002_test_provider.sql"),
    include_str!("../../migrations/sqlite/0003_tickets.sql"),
];

/// The store in one SQLite file, which its owner alone may read: it holds password hashes and the signing key.
#[derive(Clone)]
pub(crate) struct Sqlite {
    database: Database,
    /// The file belongs to one process, so its memory is the place where attempts are counted.
    attempts: Arc<Mutex<Attempts>>,
}

impl Sqlite {
    /// Opens or makes `subscriptions.db` in `folder`.
    pub(crate) fn open(folder: &Path, limit: LoginLimit) -> Result<Self, Error> {
        let path = folder.join("subscriptions.db");
        let unusable = |error: std::io::Error| {
            Error::Unusable(format!("cannot write in `{}`: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        // SQLite gives its journals the mode of the database, so this must be right before it is opened.
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)))
            .map_err(unusable)?;
        let database = Database::open(&path, MIGRATIONS).map_err(|error| match error {
            marquee_sqlite::Error::Locked { .. }
            | marquee_sqlite::Error::NewerSchema { .. }
            | marquee_sqlite::Error::Unwritable { .. }
            | marquee_sqlite::Error::Corrupt(_)
            | marquee_sqlite::Error::Full { .. } => Error::Unusable(error.to_string()),
            error => Error::from(error),
        })?;
        Ok(Self {
            database,
            attempts: Arc::new(Mutex::new(Attempts::new(limit))),
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        table: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let measured = operation(name, table).begin();
        let result = self.database.write(f).await;
        measured.end(&result);
        result
    }

    fn read<T>(
        &self,
        name: &'static str,
        table: &'static str,
        f: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let measured = operation(name, table).begin();
        let result = self
            .database
            .read(|connection| f(connection).map_err(Error::from));
        measured.end(&result);
        result
    }
}

fn operation(name: &'static str, table: &'static str) -> Operation {
    Operation {
        system: "sqlite",
        name,
        table,
        traced: true,
    }
}

impl From<marquee_sqlite::Error> for Error {
    fn from(error: marquee_sqlite::Error) -> Self {
        match error {
            marquee_sqlite::Error::Full { .. } => Self::Full(error.into()),
            marquee_sqlite::Error::Busy | marquee_sqlite::Error::Closed => Self::Unavailable(error.into()),
            error => Self::Other(error.into()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        marquee_sqlite::Error::from(error).into()
    }
}

fn publish(transaction: &Transaction<'_>, events: &[Outgoing]) -> Result<(), Error> {
    for event in events {
        insert(transaction, event)?;
    }
    Ok(())
}

#[async_trait]
impl Store for Sqlite {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn prepare(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.read("ping", "", |connection| {
            connection.query_row("SELECT 1", [], |_| Ok(()))
        })
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox::new(self.database.clone()))
    }

    async fn create_account(&self, new: NewAccount) -> Result<(), Error> {
        self.write("create_account", "accounts", move |tx| {
            if let Some(reply) = &new.reply
                && !accounts::remember(tx, reply)?
            {
                return Err(Error::AlreadyExists(Unique::RequestId));
            }
            if !accounts::insert(tx, &new.account, &new.password_hash)? {
                return Err(Error::AlreadyExists(Unique::Email));
            }
            publish(tx, &new.events)
        })
        .await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, Error> {
        self.read("account", "accounts", |connection| {
            accounts::get(connection, name)
        })
    }

    async fn credential(&self, email: &Email) -> Result<Option<Credential>, Error> {
        self.read("credential", "accounts", |connection| {
            accounts::credential(connection, email)
        })
    }

    async fn update_account(
        &self,
        account: Account,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error> {
        self.write("update_account", "accounts", move |tx| {
            if !accounts::update(tx, &account, read)? {
                return Err(Error::Conflict);
            }
            publish(tx, &events)
        })
        .await
    }

    async fn reply(&self, key: &RequestKey) -> Result<Option<Reply>, Error> {
        self.read("reply", "replies", |connection| accounts::reply(connection, key))
    }

    async fn start_session(&self, session: Session) -> Result<(), Error> {
        self.write("start_session", "sessions", move |tx| {
            Ok(sessions::insert(tx, &session)?)
        })
        .await
    }

    async fn rotate_session(
        &self,
        family: TokenDigest,
        presented: TokenDigest,
        next: TokenDigest,
        now: Timestamp,
    ) -> Result<Rotation, Error> {
        self.write("rotate_session", "sessions", move |tx| {
            let Some(session) = sessions::get(tx, family)? else {
                return Ok(Rotation::Unknown);
            };
            let rotation = session.rotate(presented, next, now);
            if let Rotation::Rotated(session) | Rotation::Reused(session) = &rotation {
                sessions::update(tx, session, now)?;
            }
            Ok(rotation)
        })
        .await
    }

    async fn end_session(&self, family: TokenDigest, now: Timestamp) -> Result<(), Error> {
        self.write("end_session", "sessions", move |tx| {
            Ok(sessions::end(tx, family, now)?)
        })
        .await
    }

    async fn purge(&self, now: Timestamp, replies_before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.write("purge", "sessions", move |tx| {
            Ok(sessions::purge(tx, now, limit)? + accounts::purge_replies(tx, replies_before, limit)?)
        })
        .await
    }

    async fn take_attempt(&self, guesser: Guesser, now: Timestamp) -> Result<Attempt, Error> {
        let taken = self.attempts.lock().take(guesser, now);
        Ok(taken.map_or_else(Attempt::Refused, |()| Attempt::Taken))
    }

    async fn clear_attempts(&self, guesser: Guesser) -> Result<(), Error> {
        self.attempts.lock().clear(guesser);
        Ok(())
    }

    async fn signing_keys_or(&self, key: SigningKey) -> Result<Vec<SigningKey>, Error> {
        self.write("signing_keys_or", "signing_keys", move |tx| {
            Ok(keys::all_or(tx, key)?)
        })
        .await
    }

    async fn seed_plans(&self, plans: Vec<Plan>) -> Result<(), Error> {
        self.write("seed_plans", "plans", move |tx| {
            Ok(billing::seed_plans(tx, &plans)?)
        })
        .await
    }

    async fn plans(&self) -> Result<Vec<Plan>, Error> {
        self.read("plans", "plans", billing::plans)
    }

    async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, Error> {
        self.read("plan", "plans", |connection| billing::plan(connection, name))
    }

    async fn begin_payment(&self, intent: Intent) -> Result<Begun, Error> {
        self.write("begin_payment", "payment_intents", move |tx| {
            Ok(intents::begin(tx, intent)?)
        })
        .await
    }

    async fn settle_payment(&self, settlement: Settlement) -> Result<Intent, Error> {
        self.write("settle_payment", "payment_intents", move |tx| {
            if intents::settle(tx, &settlement.intent, &settlement.state)? {
                if let Some(membership) = &settlement.membership {
                    billing::insert_membership(tx, membership)?;
                }
                billing::insert_payment(tx, &settlement.payment)?;
                if let Some(ticket) = &settlement.ticket {
                    tickets::insert(tx, ticket)?;
                }
                publish(tx, &settlement.events)?;
            }
            intents::get(tx, &settlement.intent)?.ok_or(Error::NotFound)
        })
        .await
    }

    async fn discard_payment(&self, intent: &str) -> Result<(), Error> {
        let intent = intent.to_owned();
        self.write("discard_payment", "payment_intents", move |tx| {
            Ok(intents::discard(tx, &intent)?)
        })
        .await
    }

    async fn stale_payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Intent>, Error> {
        self.read("stale_payments", "payment_intents", |connection| {
            intents::stale(connection, before, limit)
        })
    }

    async fn membership(&self, name: &MembershipName) -> Result<Option<Membership>, Error> {
        self.read("membership", "memberships", |connection| {
            billing::membership(connection, name)
        })
    }

    async fn memberships(&self, account: &AccountName, page: Page) -> Result<Rows<Membership>, Error> {
        self.read("memberships", "memberships", |connection| {
            billing::memberships(connection, account, &page)
        })
    }

    async fn update_membership(
        &self,
        membership: Membership,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error> {
        self.write("update_membership", "memberships", move |tx| {
            if !billing::update_membership(tx, &membership, read)? {
                return Err(Error::Conflict);
            }
            publish(tx, &events)
        })
        .await
    }

    async fn due_memberships(&self, now: Timestamp, limit: usize) -> Result<Vec<Membership>, Error> {
        self.read("due_memberships", "memberships", |connection| {
            billing::due_memberships(connection, now, limit)
        })
    }

    async fn payments(&self, account: &AccountName, page: Page) -> Result<Rows<Payment>, Error> {
        self.read("payments", "payments", |connection| {
            billing::payments(connection, account, &page)
        })
    }

    async fn ticket(&self, account: &AccountName, event: &EventName) -> Result<Option<Ticket>, Error> {
        self.read("ticket", "tickets", |connection| {
            tickets::of_event(connection, account, event)
        })
    }

    async fn tickets(&self, account: &AccountName, page: Page) -> Result<Rows<Ticket>, Error> {
        self.read("tickets", "tickets", |connection| {
            tickets::list(connection, account, &page)
        })
    }

    async fn create_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<Added<Follow>, Error> {
        self.write("create_follow", "follows", move |tx| {
            if follows::insert(tx, &follow)? {
                publish(tx, &events)?;
                return Ok(Added::New(follow));
            }
            follows::get(tx, &follow.name)?
                .map(Added::Existing)
                .ok_or(Error::Conflict)
        })
        .await
    }

    async fn follow(&self, name: &FollowName) -> Result<Option<Follow>, Error> {
        self.read("follow", "follows", |connection| follows::get(connection, name))
    }

    async fn delete_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<(), Error> {
        self.write("delete_follow", "follows", move |tx| {
            if !follows::delete(tx, &follow)? {
                return Err(Error::NotFound);
            }
            publish(tx, &events)
        })
        .await
    }

    async fn follows(&self, account: &AccountName, page: Page) -> Result<Rows<Follow>, Error> {
        self.read("follows", "follows", |connection| {
            follows::list(connection, account, &page)
        })
    }

    async fn create_reminder(
        &self,
        reminder: Reminder,
        max: usize,
        events: Vec<Outgoing>,
    ) -> Result<Added<Reminder>, Error> {
        self.write("create_reminder", "reminders", move |tx| {
            if let Some(same) = reminders::same(tx, &reminder)? {
                return Ok(Added::Existing(same));
            }
            if reminders::count(tx, &reminder)? >= max {
                return Ok(Added::TooMany);
            }
            reminders::insert(tx, &reminder)?;
            publish(tx, &events)?;
            Ok(Added::New(reminder))
        })
        .await
    }

    async fn same_reminder(&self, reminder: &Reminder) -> Result<Option<Reminder>, Error> {
        self.read("same_reminder", "reminders", |connection| {
            reminders::same(connection, reminder)
        })
    }

    async fn reminder(&self, name: &ReminderName) -> Result<Option<Reminder>, Error> {
        self.read("reminder", "reminders", |connection| {
            reminders::get(connection, name)
        })
    }

    async fn delete_reminder(&self, name: &ReminderName, events: Vec<Outgoing>) -> Result<(), Error> {
        let name = name.clone();
        self.write("delete_reminder", "reminders", move |tx| {
            if !reminders::delete(tx, &name)? {
                return Err(Error::NotFound);
            }
            publish(tx, &events)
        })
        .await
    }

    async fn reminders(&self, account: &AccountName, page: Page) -> Result<Rows<Reminder>, Error> {
        self.read("reminders", "reminders", |connection| {
            reminders::list(connection, account, &page)
        })
    }
}

#[cfg(test)]
mod tests;
