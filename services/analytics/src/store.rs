//! Where sessions, sums and positions are kept. [`Sqlite`] is the embedded adapter, `MongoDb` (feature `mongodb`) the one
//! that several processes share.

#[cfg(feature = "mongodb")]
pub mod mongodb;
mod sqlite;
mod state;
#[cfg(test)]
mod suite;
mod timed;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use futures::stream::BoxStream;
use marquee_error::{ErrorExt, ErrorKind};
use marquee_proto::name::{AccountName, ChannelName, EventName};

use crate::domain::{Ledger, Session, SessionKey, Totals};

#[cfg(feature = "mongodb")]
pub use self::mongodb::MongoDb;
pub use self::sqlite::Sqlite;
pub(crate) use self::timed::Timed;

/// A partition of the playback topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub number: u32,
}

/// How far a partition is folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The next offset to fold.
    pub next: u64,
    /// When the latest of the reports arrived that were folded, in milliseconds since 1970.
    pub received_ms: Option<i64>,
}

/// A session as a partition's owner stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The number of the partition that its reports are in.
    pub partition: u32,
    /// Which one.
    pub key: SessionKey,
    /// How it is now.
    pub session: Session,
}

/// Sessions as they are stored from now on, by whatever process, in order; it ends with an error, and some may be missing then.
pub type Changes = BoxStream<'static, Result<Vec<Heard>, Error>>;

/// What one batch changes, to be taken over in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flush {
    /// The sessions as they are now.
    pub sessions: BTreeMap<SessionKey, Session>,
    /// Those of them that the store had, and that were folded on.
    pub known: BTreeSet<SessionKey>,
    /// What is added to the sums.
    pub totals: BTreeMap<EventName, Totals>,
    /// How many were there at once at most, while the batch was folded.
    pub peaks: BTreeMap<EventName, u64>,
    /// What became of the messages.
    pub ledger: Ledger,
    /// Messages before these that the bus no longer had.
    pub skipped: u64,
    /// When the latest of the reports arrived.
    pub received_ms: Option<i64>,
}

impl Flush {
    /// What was produced is accounted for.
    fn check(&self, expected: u64, next: u64) -> Result<(), Error> {
        let accounted = self.ledger.sum().saturating_add(self.skipped);
        let produced = next.saturating_sub(expected);
        if accounted == produced && next >= expected {
            Ok(())
        } else {
            Err(Error::Unbalanced { accounted, produced })
        }
    }
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
    /// Whether it works now; cheap, for readiness.
    async fn ready(&self) -> Result<(), Error>;

    /// How far each partition is folded.
    async fn positions(&self) -> Result<HashMap<Partition, Position>, Error>;

    /// The sessions of these keys, as far as there are any.
    async fn sessions(&self, keys: Vec<SessionKey>) -> Result<HashMap<SessionKey, Session>, Error>;

    /// Takes a batch over and moves the partition from `expected` to `next`, all of it or nothing; durable when it returns.
    /// After any error but those below it may have been taken over: where the partition is, says so.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the partition is not at `expected`: somebody else folded the batch. [`Error::Stale`] when a
    /// known session is not there any more, or a new one is: read them again and fold again.
    async fn flush(&self, partition: Partition, expected: u64, next: u64, flush: Flush) -> Result<(), Error>;

    /// The topic was made anew: its partition, which was at `expected`, begins at 0 again. Sums stay.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the partition is not at `expected`.
    async fn restart(&self, partition: Partition, expected: u64) -> Result<(), Error>;

    /// What became of all messages, and how many there were by their offsets.
    async fn ledger(&self) -> Result<(Ledger, u64), Error>;

    /// Sessions that were heard of at or after this, `most` of them, the latest first.
    async fn heard_since(&self, received_ms: i64, most: u32) -> Result<Vec<Heard>, Error>;

    /// Sessions as they change; `None` where no other process can change them.
    async fn changes(&self) -> Result<Option<Changes>, Error>;

    /// Lets go of sessions of these partitions that nothing was heard of since `silent_before_ms`, `most` of them at once, the
    /// oldest first; their sums stay, and views that never started become exits for good. Returns how many there were.
    async fn sweep(&self, partitions: Vec<u32>, silent_before_ms: i64, most: u32) -> Result<usize, Error>;

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
    /// Sessions came or went since they were read.
    #[error("sessions changed since they were read")]
    Stale,
    /// Messages are missing in the ledger, or too many are in it.
    #[error("{produced} messages were produced, but {accounted} are accounted for")]
    Unbalanced {
        /// Messages in the ledger, and those that expired.
        accounted: u64,
        /// Messages by their offsets.
        produced: u64,
    },
    /// A row that cannot be read.
    #[error("a stored {0} is damaged")]
    Damaged(&'static str),
    /// What the settings say cannot be.
    #[error("{0}")]
    Settings(String),
    /// The server cannot be reached, or does not answer in time.
    #[error("mongodb: {0}")]
    Unavailable(String),
    /// The server refuses what it should take.
    #[error("mongodb: {0}")]
    Refused(String),
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
            Self::Conflict { .. } | Self::Stale => ErrorKind::Aborted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Settings(_) => ErrorKind::FailedPrecondition,
            Self::Damaged(_) | Self::Unbalanced { .. } | Self::Refused(_) => ErrorKind::Internal,
            Self::Sqlite(error) => error.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "OFFSET_CONFLICT",
            Self::Stale => "SESSIONS_CHANGED",
            Self::Unbalanced { .. } => "LEDGER_UNBALANCED",
            Self::Damaged(_) => "STORE_DAMAGED",
            Self::Settings(_) => "STORE_UNUSABLE",
            Self::Unavailable(_) => "STORE_UNAVAILABLE",
            Self::Refused(_) => "STORE",
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
