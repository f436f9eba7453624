//! What the service is configured with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use marquee_documents::Location;

/// Configuration of the events service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service keeps its documents.
    pub store: Location,
    /// Where rules that depend on the time get it from.
    pub clock: Clock,
}

impl Config {
    /// The defaults, with the store in a file in the folder `data`, which is made when it is not there.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            store: Location::Sqlite(data.into().join("events.sqlite")),
            clock: Clock::default(),
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
