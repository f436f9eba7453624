//! Where sessions, sums and positions are kept. [`Sqlite`] is the embedded adapter.

mod sqlite;
#[cfg(test)]
mod suite;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use marquee_error::{ErrorExt, ErrorKind};
use marquee_proto::name::{AccountName, ChannelName, EventName};

use crate::domain::{Ledger, Session, SessionKey, Totals};

pub use self::sqlite::Sqlite;

/// A partition of the playback topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub number: u32,
}

/// What one batch changes, to be taken over in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flush {
    /// The sessions as they are now.
    pub sessions: BTreeMap<SessionKey, Session>,
    /// What is added to the sums.
    pub totals: BTreeMap<EventName, Totals>,
    /// How many were there at once at most, while the batch was folded.
    pub peaks: BTreeMap<EventName, u64>,
    /// What became of the messages.
    pub ledger: Ledger,
    /// Messages before these that the bus no longer had.
    pub skipped: u64,
}

/// An event's audience in sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sums over views.
    pub totals: Totals,
    /// Distinct viewers.
    pub unique_viewers: u64,
    /// The most that were there at once.
    pub peak: u64,
}

/// Keeps what is known of the audience.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The next offset to fold of each partition.
    async fn next_offsets(&self) -> Result<HashMap<Partition, u64>, Error>;

    /// The sessions of these keys, as far as there are any.
    async fn sessions(&self, keys: Vec<SessionKey>) -> Result<HashMap<SessionKey, Session>, Error>;

    /// Takes a batch over and moves the partition from `expected` to `next`, all of it or nothing; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the partition is not at `expected`: somebody else folded the batch.
    async fn flush(&self, partition: Partition, expected: u64, next: u64, flush: Flush) -> Result<(), Error>;

    /// The topic was made anew: its partition begins at 0 again. Sums stay.
    async fn restart(&self, partition: Partition) -> Result<(), Error>;

    /// What became of all messages, and how many there were by their offsets.
    async fn ledger(&self) -> Result<(Ledger, u64), Error>;

    /// Sessions that have not ended and were heard of at or after this.
    async fn open_since(&self, received_ms: i64) -> Result<Vec<(SessionKey, Session)>, Error>;

    /// When the last report arrived of those sessions that have not ended.
    async fn last_received(&self) -> Result<Option<i64>, Error>;

    /// Lets go of sessions that nothing was heard of since `silent_before_ms`, `most` of them at once; their sums stay, and
    /// views that never started become exits for good. Returns how many there were.
    async fn sweep(&self, silent_before_ms: i64, most: u32) -> Result<usize, Error>;

    /// An event's audience in sum. Views that never started count as left when nothing came since `closed_before_ms`.
    async fn summary(&self, event: &EventName, closed_before_ms: i64) -> Result<Summary, Error>;

    /// The most that were there at once.
    async fn peak(&self, event: &EventName) -> Result<u64, Error>;

    /// Notes that so many were there at once.
    async fn raise_peaks(&self, peaks: BTreeMap<EventName, u64>) -> Result<(), Error>;

    /// Notes a channel's owner, unless a newer version is known.
    async fn put_channel(
        &self,
        channel: ChannelName,
        owner: AccountName,
        version_ns: i64,
    ) -> Result<(), Error>;

    /// Notes that an event exists.
    async fn put_event(&self, event: EventName) -> Result<(), Error>;

    /// A channel's owner.
    async fn channel_owner(&self, channel: &ChannelName) -> Result<Option<AccountName>, Error>;

    /// Whether the event is known to exist.
    async fn has_event(&self, event: &EventName) -> Result<bool, Error>;
}

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The partition is elsewhere.
    #[error("the partition is at offset {found}, not {expected}")]
    Conflict {
        /// Where it was believed to be.
        expected: u64,
        /// Where it is.
        found: u64,
    },
    /// A row that cannot be read.
    #[error("a stored {0} is damaged")]
    Damaged(&'static str),
    /// The file.
    #[error(transparent)]
    Sqlite(#[from] marquee_sqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.into())
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Aborted,
            Self::Damaged(_) => ErrorKind::Internal,
            Self::Sqlite(error) => error.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "OFFSET_CONFLICT",
            Self::Damaged(_) => "STORE_DAMAGED",
            Self::Sqlite(error) => error.reason(),
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::Sqlite(error) => error.metadata(),
            _ => Vec::new(),
        }
    }
}
