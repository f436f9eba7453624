//! What the service is configured with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::Location;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Configuration of the notifications service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service keeps its documents.
    pub store: Location,
    /// Where rules that depend on the time get it from.
    pub clock: Clock,
    /// How many followers are read and notified in one transaction; bounds the memory of a fan-out.
    pub fanout_page: usize,
    /// What happened longer ago is not notified of any more: a consumer group that starts anew reads the history of the
    /// bus, and nobody wants last week's broadcasts announced.
    pub max_age: Duration,
    /// How long a notification is kept, read or not. Longer than [`max_age`](Self::max_age): what is forgotten could be
    /// told again.
    pub retention: Duration,
    /// How often those that are older are looked for.
    pub sweep_interval: Duration,
}

impl Config {
    /// The defaults, with the store in a file in the folder `data`, which is made when it is not there.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            store: Location::Sqlite(data.into().join("notifications.sqlite")),
            clock: Clock::default(),
            fanout_page: 500,
            max_age: DAY,
            retention: 90 * DAY,
            sweep_interval: Duration::from_secs(60 * 60),
        }
    }
}

/// Tells the time in microseconds, which is what the store keeps.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now, cut to microseconds.
    pub fn now(&self) -> Timestamp {
        micros((self.0)())
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

/// The same moment without what is below a microsecond, so that a value reads the same before and after it was stored.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
