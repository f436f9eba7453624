use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use marquee_config::Secret;

use crate::clock::Clock;
use crate::domain::attempts::LoginLimit;
use crate::error::Error;
use crate::payment::PaymentProvider;
#[cfg(feature = "postgres")]
use crate::store::postgres::Settings;

/// What the service needs to know. [`Config::new`] fills in all that has a default.
#[derive(Clone)]
pub struct Config {
    /// Where accounts and all else are kept.
    pub store: Location,
    /// What all services of an installation show to get a service token; at least 16 characters.
    pub service_secret: Secret,
    /// How long an access token is good for, in whole seconds. 15 minutes.
    pub access_token_lifetime: Duration,
    /// How long a session lasts at most, however often it is refreshed. 30 days.
    pub session_lifetime: Duration,
    /// How much work password hashing may be.
    pub hashing: Hashing,
    /// How often one may try to sign in with an e-mail address.
    pub login_limit: LoginLimit,
    /// How often memberships are expired, payments that were left behind settled, and old rows removed. 30 s.
    pub sweep_interval: Duration,
    /// After how long a payment that nobody recorded counts as left behind. 5 minutes.
    pub payment_patience: Duration,
    /// Who takes payments; the built-in test provider when there is none.
    pub payment_provider: Option<Arc<dyn PaymentProvider>>,
    /// Tells the time.
    pub clock: Clock,
}

/// Where accounts and all else are kept.
#[derive(Debug, Clone)]
pub enum Location {
    /// In a file in this folder, for one process alone. The folder is made when it is missing.
    Sqlite(PathBuf),
    /// On a PostgreSQL server, or CockroachDB, for any number of processes. It need not be up yet.
    #[cfg(feature = "postgres")]
    Postgres(Settings),
}

/// How much work password hashing may be: one hash takes 19 MiB and a processor for some 20 ms.
#[derive(Debug, Clone, Copy)]
pub struct Hashing {
    /// How many at once.
    pub concurrency: usize,
    /// How many may wait; further ones are refused.
    pub waiting: usize,
}

impl Default for Hashing {
    /// As many as there are processors, at most 4; 64 may wait.
    fn default() -> Self {
        Self {
            concurrency: std::thread::available_parallelism().map_or(2, |n| n.get().min(4)),
            waiting: 64,
        }
    }
}

impl Config {
    /// The defaults, with the two things that have none: everything is kept in a file in the folder `data`.
    pub fn new(data: impl Into<PathBuf>, service_secret: Secret) -> Self {
        Self {
            store: Location::Sqlite(data.into()),
            service_secret,
            access_token_lifetime: Duration::from_secs(15 * 60),
            session_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            hashing: Hashing::default(),
            login_limit: LoginLimit::default(),
            sweep_interval: Duration::from_secs(30),
            payment_patience: Duration::from_secs(5 * 60),
            payment_provider: None,
            clock: Clock::system(),
        }
    }

    /// Refuses what can't work.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Config(text.to_owned()));
        #[cfg(feature = "postgres")]
        if let Location::Postgres(settings) = &self.store {
            settings.validate().map_err(Error::Config)?;
        }
        if self.service_secret.expose().chars().count() < 16 {
            return refuse("service_secret: must have at least 16 characters");
        }
        if self.access_token_lifetime < Duration::from_secs(1) {
            return refuse("access_token_lifetime: must be at least a second");
        }
        if self.session_lifetime < self.access_token_lifetime {
            return refuse("session_lifetime: must not be shorter than access_token_lifetime");
        }
        if self.hashing.concurrency == 0 {
            return refuse("hashing.concurrency: must be at least 1");
        }
        if self.login_limit.burst == 0 || self.login_limit.addresses < 8 || self.login_limit.refill.is_zero()
        {
            return refuse(
                "login_limit: needs a burst of at least 1, a refill time, and room for 8 addresses",
            );
        }
        if self.sweep_interval.is_zero() {
            return refuse("sweep_interval: must not be zero");
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("store", &self.store)
            .field("service_secret", &self.service_secret)
            .field("access_token_lifetime", &self.access_token_lifetime)
            .field("session_lifetime", &self.session_lifetime)
            .field("hashing", &self.hashing)
            .field("login_limit", &self.login_limit)
            .field("sweep_interval", &self.sweep_interval)
            .field("payment_patience", &self.payment_patience)
            .finish_non_exhaustive()
    }
}
