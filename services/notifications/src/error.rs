//! What can go wrong, and what a caller sees of it.

use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};

/// Result of the notifications service.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the notifications service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The caller may not, or is not known.
    #[error(transparent)]
    Auth(#[from] marquee_auth::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] marquee_documents::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] marquee_bus::Error),
    /// No notification has this name.
    #[error("{0} was not found")]
    NotificationNotFound(String),
    /// Others changed the inbox again and again meanwhile.
    #[error("the inbox of {0} is being changed by others: try again")]
    Contended(String),
    /// The service stops; a watch goes on from its cursor elsewhere or later.
    #[error("the service is shutting down: resume from the last cursor")]
    ShuttingDown,
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(error) => error.kind(),
            Self::Auth(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Bus(error) => error.kind(),
            Self::NotificationNotFound(_) => ErrorKind::NotFound,
            Self::Contended(_) => ErrorKind::Aborted,
            Self::ShuttingDown => ErrorKind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.reason(),
            Self::Auth(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Bus(error) => error.reason(),
            Self::NotificationNotFound(_) => "NOTIFICATION_NOT_FOUND",
            Self::Contended(_) => "CONTENDED",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::Invalid(error) => error.metadata(),
            Self::Auth(error) => error.metadata(),
            Self::Store(error) => error.metadata(),
            Self::Bus(error) => error.metadata(),
            Self::NotificationNotFound(name) | Self::Contended(name) => {
                vec![("name".to_owned(), name.clone())]
            }
            Self::ShuttingDown => Vec::new(),
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(error) => error.violations(),
            Self::Auth(error) => error.violations(),
            Self::Store(error) => error.violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Auth(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            Self::Bus(error) => error.retry_after(),
            Self::Contended(_) => Some(Duration::from_millis(100)),
            Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
