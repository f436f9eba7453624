//! What the service needs from its store, in its own terms.
//!
//! Whatever changes is written together with the bus messages that tell of it: a method that takes `events` puts them
//! into the outbox in the same transaction. Each adapter runs the cases of [`suite`].

pub(crate) mod measure;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod suite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use marquee_bus::Outgoing;
use marquee_bus::outbox::Outbox;
use marquee_proto::name::{AccountName, EventName, FollowName, MembershipName, PlanName, ReminderName};

use crate::domain::account::Account;
use crate::domain::attempts::Guesser;
use crate::domain::email::Email;
use crate::domain::follow::Follow;
use crate::domain::membership::Membership;
use crate::domain::page::{Page, Rows};
use crate::domain::payment::{Intent, IntentState, Payment};
use crate::domain::plan::Plan;
use crate::domain::reminder::Reminder;
use crate::domain::session::{Rotation, Session, TokenDigest};
use crate::domain::ticket::Ticket;
use crate::domain::version::Version;

/// What can go wrong with a store; no driver's error leaks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What was to be changed is not there.
    #[error("not found")]
    NotFound,
    /// A unique value is taken.
    #[error("{0:?} exists already")]
    AlreadyExists(Unique),
    /// The row was changed since it was read.
    #[error("changed since it was read")]
    Conflict,
    /// The store can't be asked now.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No space is left.
    #[error("the store is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The data folder or file cannot be used; the text says why.
    #[error("{0}")]
    Unusable(String),
    /// Anything else.
    #[error("the store failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An error with all that is behind it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        // A wrapper often quotes what it wraps.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

/// What is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unique {
    /// The e-mail address of an account.
    Email,
    /// The request id of a caller and RPC.
    RequestId,
}

/// A new account with everything that is written with it.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    pub(crate) account: Account,
    /// PHC string.
    pub(crate) password_hash: String,
    /// The first answer, when the client gave a request id.
    pub(crate) reply: Option<Reply>,
    pub(crate) events: Vec<Outgoing>,
}

/// An account with the hash of its password.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) account: Account,
    pub(crate) password_hash: String,
}

/// Which request an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey {
    pub(crate) rpc: &'static str,
    /// Whose request ids they are.
    pub(crate) caller: String,
    pub(crate) request_id: String,
}

/// The first answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) key: RequestKey,
    /// Digest of what was asked.
    pub(crate) fingerprint: [u8; 32],
    /// The encoded answer.
    pub(crate) answer: Bytes,
    pub(crate) create_time: Timestamp,
}

/// A private key as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) create_time: Timestamp,
}

/// How an intent to pay was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is recorded: charge it.
    New(Intent),
    /// The same request id was there: go on with that one, or answer from it.
    Existing(Intent),
    /// Another request of the account is being charged, or was left behind.
    Blocked(Intent),
    /// The account has a membership that is not over.
    Member(Membership),
    /// The account has a ticket for the event.
    Ticket(Ticket),
}

/// What the provider said to an intent, to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    /// The intent's id.
    pub(crate) intent: String,
    /// Its state from now on; not pending.
    pub(crate) state: IntentState,
    pub(crate) payment: Payment,
    /// The membership that was paid for.
    pub(crate) membership: Option<Membership>,
    /// The ticket that was paid for.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) events: Vec<Outgoing>,
}

/// How an attempt to sign in was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Taken,
    Refused(Duration),
}

/// What adding something to a collection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Added<T> {
    New(T),
    /// The same was there before.
    Existing(T),
    /// There are as many as are allowed.
    TooMany,
}

/// The store of accounts, sessions, plans, memberships, payments, follows and reminders.
#[async_trait]
pub(crate) trait Store: Send + Sync + 'static {
    /// What readiness calls it.
    fn name(&self) -> &'static str;
    /// Makes the store usable, as often as it is called; nothing else works before it did.
    async fn prepare(&self) -> Result<(), Error>;
    /// Fails when the store can't be read.
    async fn ping(&self) -> Result<(), Error>;
    /// The messages that wait to be published.
    fn outbox(&self) -> Arc<dyn Outbox>;

    /// Fails with [`Unique::RequestId`] before [`Unique::Email`].
    async fn create_account(&self, new: NewAccount) -> Result<(), Error>;
    async fn account(&self, name: &AccountName) -> Result<Option<Account>, Error>;
    async fn credential(&self, email: &Email) -> Result<Option<Credential>, Error>;
    /// Replaces the account if it is still at `read`.
    async fn update_account(
        &self,
        account: Account,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error>;
    async fn reply(&self, key: &RequestKey) -> Result<Option<Reply>, Error>;

    async fn start_session(&self, session: Session) -> Result<(), Error>;
    /// Applies [`Session::rotate`] to the session of `family` in one transaction.
    async fn rotate_session(
        &self,
        family: TokenDigest,
        presented: TokenDigest,
        next: TokenDigest,
        now: Timestamp,
    ) -> Result<Rotation, Error>;
    /// Ends the session of `family`, if there is one.
    async fn end_session(&self, family: TokenDigest, now: Timestamp) -> Result<(), Error>;
    /// Forgets sessions that expired before `now`, attempts that count no more at `now`, and first answers from before `replies_before`; at most `limit` of
    /// each. Returns how many rows went.
    async fn purge(&self, now: Timestamp, replies_before: Timestamp, limit: usize) -> Result<usize, Error>;

    /// Takes an attempt to sign in, of those that all processes on this store give together. A refused one says how long
    /// to wait until there is one.
    async fn take_attempt(&self, guesser: Guesser, now: Timestamp) -> Result<Attempt, Error>;
    /// Gives all attempts back after a good one.
    async fn clear_attempts(&self, guesser: Guesser) -> Result<(), Error>;

    /// All signing keys, newest first; keeps `key` as the first one when there is none.
    async fn signing_keys_or(&self, key: SigningKey) -> Result<Vec<SigningKey>, Error>;

    /// Keeps the plans when there are none at all.
    async fn seed_plans(&self, plans: Vec<Plan>) -> Result<(), Error>;
    /// Cheapest first.
    async fn plans(&self) -> Result<Vec<Plan>, Error>;
    async fn plan(&self, name: &PlanName) -> Result<Option<Plan>, Error>;

    /// Records what is about to be charged, unless something stands against it.
    async fn begin_payment(&self, intent: Intent) -> Result<Begun, Error>;
    /// Records what the provider said, once: returns the intent as it is now, whoever settled it.
    /// [`Error::NotFound`] when it was called off.
    async fn settle_payment(&self, settlement: Settlement) -> Result<Intent, Error>;
    /// Forgets a pending intent that the provider never charged and never will.
    async fn discard_payment(&self, intent: &str) -> Result<(), Error>;
    /// Intents that have been pending since before `before`, oldest first.
    async fn stale_payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Intent>, Error>;

    async fn membership(&self, name: &MembershipName) -> Result<Option<Membership>, Error>;
    async fn memberships(&self, account: &AccountName, page: Page) -> Result<Rows<Membership>, Error>;
    /// Replaces the membership if it is still at `read`.
    async fn update_membership(
        &self,
        membership: Membership,
        read: Version,
        events: Vec<Outgoing>,
    ) -> Result<(), Error>;
    /// Memberships that are not expired though their period is over at `now`, the longest over first.
    async fn due_memberships(&self, now: Timestamp, limit: usize) -> Result<Vec<Membership>, Error>;
    async fn payments(&self, account: &AccountName, page: Page) -> Result<Rows<Payment>, Error>;

    /// The account's ticket for an event.
    async fn ticket(&self, account: &AccountName, event: &EventName) -> Result<Option<Ticket>, Error>;
    async fn tickets(&self, account: &AccountName, page: Page) -> Result<Rows<Ticket>, Error>;

    async fn create_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<Added<Follow>, Error>;
    async fn follow(&self, name: &FollowName) -> Result<Option<Follow>, Error>;
    /// [`Error::NotFound`] when exactly this follow is not there any more.
    async fn delete_follow(&self, follow: Follow, events: Vec<Outgoing>) -> Result<(), Error>;
    async fn follows(&self, account: &AccountName, page: Page) -> Result<Rows<Follow>, Error>;

    /// At most `max` reminders of one event for one account.
    async fn create_reminder(
        &self,
        reminder: Reminder,
        max: usize,
        events: Vec<Outgoing>,
    ) -> Result<Added<Reminder>, Error>;
    /// The reminder of the same account, event and lead time, whatever its name.
    async fn same_reminder(&self, reminder: &Reminder) -> Result<Option<Reminder>, Error>;
    async fn reminder(&self, name: &ReminderName) -> Result<Option<Reminder>, Error>;
    /// [`Error::NotFound`] when it is not there any more.
    async fn delete_reminder(&self, name: &ReminderName, events: Vec<Outgoing>) -> Result<(), Error>;
    async fn reminders(&self, account: &AccountName, page: Page) -> Result<Rows<Reminder>, Error>;
}
