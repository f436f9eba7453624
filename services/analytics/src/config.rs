//! What can be set.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::Rules;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where sessions, sums and positions are kept.
    pub store: Location,
    /// When a session is no longer part of the audience.
    pub rules: Rules,
    /// What time it is.
    pub clock: Clock,
    /// How often sessions are looked for that are over for good.
    pub sweep_every: Duration,
}

impl Config {
    /// The defaults, with everything in this folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            store: Location::Sqlite(data.into().join("analytics.sqlite")),
            ..Self::default()
        }
    }
}

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// This file, of this process alone.
    Sqlite(PathBuf),
    /// A server that several processes share.
    #[cfg(feature = "mongodb")]
    MongoDb(crate::store::mongodb::Settings),
}

impl Location {
    /// What it is on, as readiness names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "mongodb")]
            Self::MongoDb(_) => "mongodb",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: Location::Sqlite(PathBuf::from("data/analytics/analytics.sqlite")),
            rules: Rules::default(),
            clock: Clock::default(),
            sweep_every: Duration::from_secs(60),
        }
    }
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The time in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
