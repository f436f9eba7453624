//! Use cases: look up, decide, write with the events that tell of it.

pub(crate) mod accounts;
mod catalogue;
mod follows;
mod keys;
mod memberships;
mod passwords;
mod reminders;
mod replay;
mod sessions;
pub(crate) mod sweep;

use std::sync::Arc;

use marquee_auth::Principal;
use marquee_client::Peers;
use marquee_proto::name::{AccountName, PlanName};

pub(crate) use self::memberships::Order;
pub(crate) use self::sessions::Tokens;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::attempts::Attempts;
use crate::domain::plan::Plan;
use crate::error::{Error, Resource};
use crate::payment::PaymentProvider;
use crate::store::Store;

/// The service without its faces.
pub(crate) struct App {
    store: Arc<dyn Store>,
    clock: Clock,
    config: Config,
    passwords: passwords::Passwords,
    attempts: parking_lot::Mutex<Attempts>,
    keys: keys::Keys,
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
        store.seed_plans(crate::domain::plan::defaults()).await?;
        let clock = config.clock.clone();
        Ok(Self {
            keys: keys::Keys::load(&*store, &clock).await?,
            passwords: passwords::Passwords::new(config.hashing).await?,
            attempts: parking_lot::Mutex::new(Attempts::new(config.login_limit)),
            catalogue: catalogue::Catalogue::new(peers),
            store,
            clock,
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

    /// Fails when the store can't be read.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        Ok(self.store.ping().await?)
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
