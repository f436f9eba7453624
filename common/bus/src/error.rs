use marquee_error::{ErrorExt, ErrorKind};

/// What can go wrong on the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A topic that was never declared.
    #[error("topic `{0}` is not declared")]
    UnknownTopic(String),
    /// A topic exists with other properties than declared. It is reported, never repaired by guess.
    #[error("topic `{topic}` has {found} {property}, {declared} are declared")]
    TopicMismatch {
        /// The topic.
        topic: String,
        /// What is compared: `partitions`, or a setting in the words of Kafka.
        property: &'static str,
        /// What it has of it.
        found: u64,
        /// What it is declared with.
        declared: u64,
    },
    /// A message is larger than the bus takes.
    #[error("a message of {size} bytes is too large: up to {limit} bytes are taken")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes that are taken.
        limit: usize,
    },
    /// The partition belongs to another member of the group by now: whoever owns it commits.
    #[error("partition {partition} of `{topic}` is not assigned to this subscription")]
    NotAssigned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// The bus cannot be reached for now, or was closed.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// What an outbox has kept cannot be read. A bus delivers such a record instead, see [`Message::damage`](crate::Message::damage).
    #[error("a record of `{topic}` partition {partition} at offset {offset} is damaged")]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
    },
    /// The file behind the embedded bus, or behind an outbox.
    #[error(transparent)]
    Sqlite(#[from] marquee_sqlite::Error),
}

impl From<marquee_sqlite::rusqlite::Error> for Error {
    fn from(error: marquee_sqlite::rusqlite::Error) -> Self {
        Self::Sqlite(error.into())
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownTopic(_) | Self::TopicMismatch { .. } => ErrorKind::FailedPrecondition,
            Self::TooLarge { .. } => ErrorKind::InvalidArgument,
            Self::NotAssigned { .. } => ErrorKind::Aborted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Damaged { .. } => ErrorKind::Internal,
            Self::Sqlite(error) => error.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownTopic(_) => "TOPIC_UNKNOWN",
            Self::TopicMismatch { .. } => "TOPIC_MISMATCH",
            Self::TooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::NotAssigned { .. } => "PARTITION_NOT_ASSIGNED",
            Self::Unavailable(_) => "BUS_UNAVAILABLE",
            Self::Damaged { .. } => "RECORD_DAMAGED",
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
