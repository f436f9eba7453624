use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation};

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such document.
    #[error("`{id}` does not exist in {collection}")]
    NotFound {
        /// The collection.
        collection: String,
        /// The id that was asked for.
        id: String,
    },
    /// The id, or the value of a unique index, is taken.
    #[error("a document with the same {index} exists already in {collection}")]
    AlreadyExists {
        /// The collection.
        collection: String,
        /// The index, or `id`.
        index: String,
    },
    /// The document was changed since the etag was read.
    #[error("the etag is stale: the document was changed meanwhile")]
    Conflict,
    /// The page token is not one of this query.
    #[error("the page token does not belong to this query")]
    InvalidPageToken,
    /// The request id was used before, for another request.
    #[error("the request id was used before for another request")]
    RequestIdReused,
    /// The same request is being handled, or has just been: its answer can be had by asking again.
    #[error("the same request was handled at the same time")]
    RequestInProgress,
    /// The store cannot be reached for now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No space is left on the disk.
    #[error("the disk is full: cannot write in `{folder}`")]
    Full {
        /// The folder.
        folder: String,
    },
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The same error once more, for each of those whom it befell together.
    #[cfg(feature = "mongodb")]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NotFound { collection, id } => Self::NotFound {
                collection: collection.clone(),
                id: id.clone(),
            },
            Self::AlreadyExists { collection, index } => Self::AlreadyExists {
                collection: collection.clone(),
                index: index.clone(),
            },
            Self::Conflict => Self::Conflict,
            Self::InvalidPageToken => Self::InvalidPageToken,
            Self::RequestIdReused => Self::RequestIdReused,
            Self::RequestInProgress => Self::RequestInProgress,
            Self::Unavailable(why) => Self::Unavailable(why.clone()),
            Self::Full { folder } => Self::Full {
                folder: folder.clone(),
            },
            Self::Other(error) => Self::other(error.to_string()),
        }
    }
}

impl From<marquee_sqlite::Error> for Error {
    fn from(error: marquee_sqlite::Error) -> Self {
        match error {
            marquee_sqlite::Error::Full { folder } => Self::Full {
                folder: folder.display().to_string(),
            },
            marquee_sqlite::Error::Busy
            | marquee_sqlite::Error::Closed
            | marquee_sqlite::Error::TakenAlong => Self::Unavailable(error.to_string()),
            error => Self::other(error),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        marquee_sqlite::Error::from(error).into()
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Conflict | Self::RequestInProgress => ErrorKind::Aborted,
            Self::InvalidPageToken | Self::RequestIdReused => ErrorKind::InvalidArgument,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Full { .. } => ErrorKind::ResourceExhausted,
            Self::Other(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NOT_FOUND",
            Self::AlreadyExists { .. } => "ALREADY_EXISTS",
            Self::Conflict => "ETAG_MISMATCH",
            Self::InvalidPageToken => "INVALID_PAGE_TOKEN",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::RequestInProgress => "REQUEST_IN_PROGRESS",
            Self::Unavailable(_) => "STORE_UNAVAILABLE",
            Self::Full { .. } => "DISK_FULL",
            Self::Other(_) => "STORE",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        match self {
            Self::NotFound { collection, id } => vec![pair("collection", collection), pair("id", id)],
            Self::AlreadyExists { collection, index } => {
                vec![pair("collection", collection), pair("index", index)]
            }
            Self::Full { folder } => vec![pair("folder", folder)],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            // The first one's answer is there in a moment.
            Self::RequestInProgress => Some(Duration::from_millis(100)),
            Self::Unavailable(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        let field = match self {
            Self::InvalidPageToken => "page_token",
            Self::RequestIdReused => "request_id",
            _ => return Vec::new(),
        };
        vec![FieldViolation {
            field: field.to_owned(),
            description: self.to_string(),
        }]
    }
}
