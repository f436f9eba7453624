//! The store on a PostgreSQL server, or on CockroachDB, which speaks the same protocol and SQL.
//!
//! ```text
//!   Store ──► transaction (SERIALIZABLE, again on 40001) ──► connections (bounded, lent) ──► server
//!                 └──► outbox: messages in the same transaction, places per key, leased to one relay
//! ```
//!
//! Why it is as it is: docs/adr/0009-postgresql.md.

mod accounts;
mod attempts;
mod billing;
mod books;
mod connections;
mod error;
mod follows;
mod intents;
mod keys;
#[cfg(test)]
mod lint;
mod migrations;
mod outbox;
mod reminders;
mod row;
mod sessions;
#[cfg(test)]
mod tests;
mod tickets;
mod transaction;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_bus::Outgoing;
use marquee_bus::outbox::Outbox;
use marquee_proto::name::{AccountName, EventName, FollowName, MembershipName, PlanName, ReminderName};
use sqlx::Executor as _;

use self::connections::Connections;
use self::outbox::PostgresOutbox;
use self::transaction::{read, transaction};
use super::measure::Operation;
use super::{
    Added, Attempt, Begun, Credential, Error, NewAccount, Reply, RequestKey, Settlement, SigningKey, Store,
    Unique,
};
use crate::domain::account::Account;
use crate::domain::attempts::{Guesser, LoginLimit};
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

pub use self::connections::Settings;

/// The store in a database that several processes share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Postgres {
    connections: Arc<Connections>,
    outbox: Arc<PostgresOutbox>,
    limit: LoginLimit,
}

/// A transaction that may add messages: the relay is woken after it.
macro_rules! change {
    ($store:expr, $operation:expr, |$tx:ident| $work:block) => {{
        let result = transaction!($store.connections, $operation, |$tx| $work);
        if result.is_ok() {
            $store.outbox.wake();
        }
        result
    }};
}

fn operation(name: &'static str, table: &'static str) -> Operation {
    Operation {
        system: "postgresql",
        name,
        table,
        traced: true,
    }
}

/// What is asked again and again on nobody's behalf.
fn untraced(name: &'static str, table: &'static str) -> Operation {
    Operation {
        traced: false,
        ..operation(name, table)
    }
}

impl Postgres {
    /// Asks nothing of the server yet: it may be down. `limit` is how often one may try to sign in.
    ///
    /// # Errors
    /// [`Error::Unusable`] for settings that can't work.
    pub(crate) fn new(settings: &Settings, limit: LoginLimit) -> Result<Self, Error> {
        let connections = Arc::new(Connections::new(settings).map_err(Error::Unusable)?);
        Ok(Self {
            outbox: Arc::new(outbox::open(Arc::clone(&connections))),
            connections,
            limit,
        })
    }
}

#[async_trait]
impl Store for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn prepare(&self) -> Result<(), Error> {
        if !self.connections.prepared() {
            migrations::run(&self.connections).await?;
            self.connections.set_prepared();
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        if !self.connections.prepared() {
            // The reason is more often that the server is not there than that it was not prepared yet.
            self.connections.acquire().await?.give_back();
        }
        read!(self.connections, untraced("ping", ""), |connection| {
            connection.execute("SELECT 1").await.map(drop)
        })
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::clone(&self.outbox) as Arc<dyn Outbox>
    }

    async fn create_account(&self, new: NewAccount) -> Result<(), Error> {
        change!(self, operation("create_account", "accounts"), |tx| {
            if let Some(reply) = &new.reply
                && !accounts::remember(tx, reply).await?
            {
                return Err(Error::AlreadyExists(Unique::RequestId).into());
            }
            if !accounts::insert(tx, &new.account, &new.password_hash).await? {
                return Err(Error::AlreadyExists(Unique::Email).into());
            }
            Ok(outbox::add(tx, &new.events).await?)
        })
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, Error> {
        read!(self.connections, operation("account", "accounts"), |connection| {
            accounts::get(connection, name).await
        })
    }

    async fn credential(&self, email: &Email) -> Result<Option<Credential>, Error> {
        read!(
            self.connections,
            operation("credential", "accounts"),
            |connection| { accounts::credential(connection, email).await }
        )
    }

    async fn update_account(
        &self,
        account: Account,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error> {
        change!(self, operation("update_account", "accounts"), |tx| {
            if !accounts::update(tx, &account, read).await? {
                return Err(Error::Conflict.into());
            }
            Ok(outbox::add(tx, &events).await?)
        })
    }

    async fn reply(&self, key: &RequestKey) -> Result<Option<Reply>, Error> {
        read!(self.connections, operation("reply", "replies"), |connection| {
            accounts::reply(connection, key).await
        })
    }

    async fn start_session(&self, session: Session) -> Result<(), Error> {
        transaction!(self.connections, operation("start_session", "sessions"), |tx| {
            Ok(sessions::insert(tx, &session).await?)
        })
    }

    async fn rotate_session(
        &self,
        family: TokenDigest,
        presented: TokenDigest,
        next: TokenDigest,
        now: Timestamp,
    ) -> Result<Rotation, Error> {
        transaction!(self.connections, operation("rotate_session", "sessions"), |tx| {
            let Some(session) = sessions::get(tx, family).await? else {
                return Ok(Rotation::Unknown);
            };
            let rotation = session.rotate(presented, next, now);
            if let Rotation::Rotated(session) | Rotation::Reused(session) = &rotation {
                sessions::update(tx, session, now).await?;
            }
            Ok(rotation)
        })
    }

    async fn end_session(&self, family: TokenDigest, now: Timestamp) -> Result<(), Error> {
        transaction!(self.connections, operation("end_session", "sessions"), |tx| {
            Ok(sessions::end(tx, family, now).await?)
        })
    }

    async fn purge(&self, now: Timestamp, replies_before: Timestamp, limit: usize) -> Result<usize, Error> {
        let gone = transaction!(self.connections, operation("purge", "sessions"), |tx| {
            Ok(sessions::purge(tx, now, limit).await?
                + accounts::purge_replies(tx, replies_before, limit).await?
                + attempts::purge(tx, now, limit).await?)
        })?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    async fn take_attempt(&self, guesser: Guesser, now: Timestamp) -> Result<Attempt, Error> {
        transaction!(
            self.connections,
            operation("take_attempt", "login_attempts"),
            |tx| {
                match self.limit.take(attempts::full_at(tx, guesser).await?, now) {
                    Ok(full_at) => {
                        attempts::set_full_at(tx, guesser, full_at).await?;
                        Ok(Attempt::Taken)
                    }
                    Err(wait) => Ok(Attempt::Refused(wait)),
                }
            }
        )
    }

    async fn clear_attempts(&self, guesser: Guesser) -> Result<(), Error> {
        transaction!(
            self.connections,
            operation("clear_attempts", "login_attempts"),
            |tx| { Ok(attempts::clear(tx, guesser).await?) }
        )
    }

    async fn signing_keys_or(&self, key: SigningKey) -> Result<Vec<SigningKey>, Error> {
        transaction!(
            self.connections,
            operation("signing_keys_or", "signing_keys"),
            |tx| { Ok(keys::all_or(tx, &key).await?) }
        )
    }

    async fn seed_plans(&self, plans: Vec<Plan>) -> Result<(), Error> {
        transaction!(self.connections, operation("seed_plans", "plans"), |tx| {
            Ok(billing::seed_plans(tx, &plans).await?)
        })
    }

    async fn plans(&self) -> Result<Vec<Plan>, Error> {
        read!(self.connections, operation("plans", "plans"), |connection| {
            billing::plans(connection).await
        })
    }

    async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, Error> {
        read!(self.connections, operation("plan", "plans"), |connection| {
            billing::plan(connection, name).await
        })
    }

    async fn begin_payment(&self, intent: Intent) -> Result<Begun, Error> {
        transaction!(
            self.connections,
            operation("begin_payment", "payment_intents"),
            |tx| { Ok(intents::begin(tx, &intent).await?) }
        )
    }

    async fn settle_payment(&self, settlement: Settlement) -> Result<Intent, Error> {
        change!(self, operation("settle_payment", "payment_intents"), |tx| {
            if intents::settle(tx, &settlement.intent, &settlement.state).await? {
                if let Some(membership) = &settlement.membership {
                    billing::insert_membership(tx, membership).await?;
                }
                billing::insert_payment(tx, &settlement.payment).await?;
                if let Some(ticket) = &settlement.ticket {
                    tickets::insert(tx, ticket).await?;
                }
                outbox::add(tx, &settlement.events).await?;
            }
            let intent = intents::get(tx, &settlement.intent).await?;
            Ok(intent.ok_or(Error::NotFound)?)
        })
    }

    async fn discard_payment(&self, intent: &str) -> Result<(), Error> {
        transaction!(
            self.connections,
            operation("discard_payment", "payment_intents"),
            |tx| { Ok(intents::discard(tx, intent).await?) }
        )
    }

    async fn stale_payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Intent>, Error> {
        read!(
            self.connections,
            operation("stale_payments", "payment_intents"),
            |connection| { intents::stale(connection, before, limit).await }
        )
    }

    async fn membership(&self, name: &MembershipName) -> Result<Option<Membership>, Error> {
        read!(
            self.connections,
            operation("membership", "memberships"),
            |connection| { billing::membership(connection, name).await }
        )
    }

    async fn memberships(&self, account: &AccountName, page: Page) -> Result<Rows<Membership>, Error> {
        read!(
            self.connections,
            operation("memberships", "memberships"),
            |connection| { billing::memberships(connection, account, &page).await }
        )
    }

    async fn update_membership(
        &self,
        membership: Membership,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error> {
        change!(self, operation("update_membership", "memberships"), |tx| {
            if !billing::update_membership(tx, &membership, read).await? {
                return Err(Error::Conflict.into());
            }
            Ok(outbox::add(tx, &events).await?)
        })
    }

    async fn due_memberships(&self, now: Timestamp, limit: usize) -> Result<Vec<Membership>, Error> {
        read!(
            self.connections,
            operation("due_memberships", "memberships"),
            |connection| { billing::due_memberships(connection, now, limit).await }
        )
    }

    async fn payments(&self, account: &AccountName, page: Page) -> Result<Rows<Payment>, Error> {
        read!(
            self.connections,
            operation("payments", "payments"),
            |connection| { billing::payments(connection, account, &page).await }
        )
    }

    async fn ticket(&self, account: &AccountName, event: &EventName) -> Result<Option<Ticket>, Error> {
        read!(self.connections, operation("ticket", "tickets"), |connection| {
            tickets::of_event(connection, account, event).await
        })
    }

    async fn tickets(&self, account: &AccountName, page: Page) -> Result<Rows<Ticket>, Error> {
        read!(self.connections, operation("tickets", "tickets"), |connection| {
            tickets::list(connection, account, &page).await
        })
    }

    async fn create_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<Added<Follow>, Error> {
        change!(self, operation("create_follow", "follows"), |tx| {
            if follows::insert(tx, &follow).await? {
                outbox::add(tx, &events).await?;
                return Ok(Added::New(follow.clone()));
            }
            let existing = follows::get(tx, &follow.name).await?;
            Ok(existing.map(Added::Existing).ok_or(Error::Conflict)?)
        })
    }

    async fn follow(&self, name: &FollowName) -> Result<Option<Follow>, Error> {
        read!(self.connections, operation("follow", "follows"), |connection| {
            follows::get(connection, name).await
        })
    }

    async fn delete_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<(), Error> {
        change!(self, operation("delete_follow", "follows"), |tx| {
            if !follows::delete(tx, &follow).await? {
                return Err(Error::NotFound.into());
            }
            Ok(outbox::add(tx, &events).await?)
        })
    }

    async fn follows(&self, account: &AccountName, page: Page) -> Result<Rows<Follow>, Error> {
        read!(self.connections, operation("follows", "follows"), |connection| {
            follows::list(connection, account, &page).await
        })
    }

    async fn create_reminder(
        &self,
        reminder: Reminder,
        max: usize,
        events: Vec<Outgoing>,
    ) -> Result<Added<Reminder>, Error> {
        change!(self, operation("create_reminder", "reminders"), |tx| {
            if let Some(same) = reminders::same(tx, &reminder).await? {
                return Ok(Added::Existing(same));
            }
            // Two that count at the same time have both read what the other one adds: one is done again.
            if reminders::count(tx, &reminder).await? >= max {
                return Ok(Added::TooMany);
            }
            reminders::insert(tx, &reminder).await?;
            outbox::add(tx, &events).await?;
            Ok(Added::New(reminder.clone()))
        })
    }

    async fn same_reminder(&self, reminder: &Reminder) -> Result<Option<Reminder>, Error> {
        read!(
            self.connections,
            operation("same_reminder", "reminders"),
            |connection| { reminders::same(connection, reminder).await }
        )
    }

    async fn reminder(&self, name: &ReminderName) -> Result<Option<Reminder>, Error> {
        read!(
            self.connections,
            operation("reminder", "reminders"),
            |connection| { reminders::get(connection, name).await }
        )
    }

    async fn delete_reminder(&self, name: &ReminderName, events: Vec<Outgoing>) -> Result<(), Error> {
        change!(self, operation("delete_reminder", "reminders"), |tx| {
            if !reminders::delete(tx, name).await? {
                return Err(Error::NotFound.into());
            }
            Ok(outbox::add(tx, &events).await?)
        })
    }

    async fn reminders(&self, account: &AccountName, page: Page) -> Result<Rows<Reminder>, Error> {
        read!(
            self.connections,
            operation("reminders", "reminders"),
            |connection| { reminders::list(connection, account, &page).await }
        )
    }
}
