use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use marquee_error::{ErrorExt, ErrorKind};
use rusqlite::ErrorCode;
use rusqlite::ffi;

thread_local! {
    /// The folder of the database that this thread writes. A driver's error does not say which disk was full.
    static FOLDER: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
}

/// What can go wrong with a database file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique index or primary key has the value already.
    #[error("a row with this value exists already ({constraint})")]
    UniqueViolation {
        /// What SQLite names: `table.column, ...`, or the index's name when it is over expressions.
        constraint: String,
    },
    /// No space is left on the disk. Nothing of the write was kept.
    #[error("the disk is full: cannot write in `{}`", folder.display())]
    Full {
        /// The folder that the file is in.
        folder: PathBuf,
    },
    /// Somebody else holds the file for longer than the busy timeout.
    #[error("the database is busy")]
    Busy,
    /// The file is damaged or no database.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The file was written by a newer version of this program.
    #[error("`{}` has schema {found}, this version knows up to {known}: use the newer version", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest schema that this version knows.
        known: usize,
    },
    /// Another process (or another [`Database`](crate::Database) of this one) has the file open.
    #[error("`{}` is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The folder or file cannot be made or written.
    #[error("cannot write in `{}`: {source}", path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another write of the same group failed so badly (a full disk, an I/O error) that nothing of the group was kept.
    #[error("not written, since another write of the same commit failed")]
    TakenAlong,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// Anything else.
    #[error(transparent)]
    Other(rusqlite::Error),
}

impl Error {
    pub(crate) fn unwritable(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full {
                folder: path.to_owned(),
            };
        }
        Self::Unwritable {
            path: path.to_owned(),
            source,
        }
    }

    /// Errors of this thread name this folder from now on.
    pub(crate) fn blame(folder: &Path) {
        FOLDER.with_borrow_mut(|known| folder.clone_into(known));
    }

    /// The same error once more: when a group fails to commit, each of its writes is told.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::UniqueViolation { constraint } => Self::UniqueViolation {
                constraint: constraint.clone(),
            },
            Self::Full { folder } => Self::Full {
                folder: folder.clone(),
            },
            Self::Busy => Self::Busy,
            Self::TakenAlong => Self::TakenAlong,
            Self::Corrupt(message) => Self::Corrupt(message.clone()),
            Self::Other(rusqlite::Error::SqliteFailure(code, message)) => {
                Self::Other(rusqlite::Error::SqliteFailure(*code, message.clone()))
            }
            other => Self::Other(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_ABORT),
                Some(other.to_string()),
            )),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, message) = &error else {
            return Self::Other(error);
        };
        let text = || message.clone().unwrap_or_else(|| code.to_string());
        match code.code {
            ErrorCode::ConstraintViolation
                if matches!(
                    code.extended_code,
                    ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                ) =>
            {
                let text = text();
                let named = text
                    .split_once("failed: ")
                    .map_or(text.as_str(), |(_, name)| name);
                let index = named
                    .strip_prefix("index '")
                    .and_then(|name| name.strip_suffix('\''));
                Self::UniqueViolation {
                    constraint: index.unwrap_or(named).to_owned(),
                }
            }
            ErrorCode::DiskFull => Self::Full {
                folder: FOLDER.with_borrow(Clone::clone),
            },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(text()),
            _ => Self::Other(error),
        }
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UniqueViolation { .. } => ErrorKind::AlreadyExists,
            Self::Full { .. } => ErrorKind::ResourceExhausted,
            Self::Busy | Self::TakenAlong | Self::Closed => ErrorKind::Unavailable,
            Self::NewerSchema { .. } | Self::Locked { .. } | Self::Unwritable { .. } => {
                ErrorKind::FailedPrecondition
            }
            Self::Corrupt(_) | Self::Other(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UniqueViolation { .. } => "UNIQUE_VIOLATION",
            Self::Full { .. } => "DISK_FULL",
            Self::Busy => "DATABASE_BUSY",
            Self::TakenAlong => "COMMIT_FAILED",
            Self::Closed => "DATABASE_CLOSED",
            Self::NewerSchema { .. } => "DATABASE_FROM_NEWER_VERSION",
            Self::Locked { .. } => "DATABASE_IN_USE",
            Self::Unwritable { .. } => "FOLDER_NOT_WRITABLE",
            Self::Corrupt(_) => "DATABASE_CORRUPT",
            Self::Other(_) => "DATABASE",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::UniqueViolation { constraint } => vec![("constraint".to_owned(), constraint.clone())],
            Self::Full { folder } => vec![("folder".to_owned(), folder.display().to_string())],
            _ => Vec::new(),
        }
    }
}
