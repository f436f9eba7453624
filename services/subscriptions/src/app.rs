//! Use cases: look up, decide, write with the events that tell of it.

pub(crate) mod accounts;
mod catalogue;
mod follows;
mod keys;
mod memberships;
mod passwords;
pub(crate) mod prepare;
mod reminders;
mod replay;
mod sessions;
pub(crate) mod sweep;
mod tickets;

use std::sync::{Arc, OnceLock};

use marquee_auth::Principal;
use marquee_client::Peers;
use marquee_proto::name::{AccountName, PlanName};

pub(crate) use self::memberships::Order;
pub(crate) use self::sessions::Tokens;
pub(crate) use self::tickets::TicketOrder;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::plan::Plan;
use crate::error::{Error, Resource};
use crate::payment::PaymentProvider;
use crate::store::{self, Store};

/// The service without its faces.
pub(crate) struct App {
    store: Arc<dyn Store>,
    clock: Clock,
    config: Config,
    passwords: passwords::Passwords,
    /// There once the store was prepared.
    keys: OnceLock<keys::Keys>,
    provider: Arc<dyn PaymentProvider>,
    catalogue: catalogue::Catalogue,
}

/// An account whose resources the caller may touch: the caller itself, or anybody's for an admin or a service.
///
/// It is made by [`App::owner`] alone, so that no use case can forget to ask.
#[derive(Debug, Clone)]
pub(crate) struct Owner(AccountName);

impl Owner {
    pub(crate) fn name(&self) -> &AccountName {
        &self.0
    }
}

impl App {
    pub(crate) async fn new(
        config: Config,
        store: Arc<dyn Store>,
        provider: Arc<dyn PaymentProvider>,
        peers: Peers,
    ) -> Result<Self, Error> {
        Ok(Self {
            keys: OnceLock::new(),
            passwords: passwords::Passwords::new(config.hashing).await?,
            catalogue: catalogue::Catalogue::new(peers),
            store,
            clock: config.clock.clone(),
            config,
            provider,
        })
    }

    /// The account as one whose resources the caller may touch. Permission comes before existence.
    pub(crate) async fn owner(&self, caller: &Principal, account: AccountName) -> Result<Owner, Error> {
        caller.require_account(&account)?;
        match self.store.account(&account).await? {
            Some(_) => Ok(Owner(account)),
            None => Err(Error::not_found(Resource::Account, &account)),
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Fails when the store can't be read, or was not prepared.
    pub(crate) async fn ping(&self) -> Result<(), store::Error> {
        self.store.ping().await?;
        self.keys().map(drop)
    }

    fn keys(&self) -> Result<&keys::Keys, store::Error> {
        let missing = || store::Error::Unavailable("the signing keys are not loaded yet".into());
        self.keys.get().ok_or_else(missing)
    }

    /// All plans, cheapest first.
    pub(crate) async fn plans(&self) -> Result<Vec<Plan>, Error> {
        Ok(self.store.plans().await?)
    }

    /// One plan.
    pub(crate) async fn plan(&self, name: &PlanName) -> Result<Plan, Error> {
        let plan = self.store.plan(name).await?;
        plan.ok_or_else(|| Error::not_found(Resource::Plan, name))
    }
}
