use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};
use marquee_proto::name::EventName;

use crate::store;

/// What can go wrong in the service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request with wrong fields.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such event.
    #[error("event {0} was not found")]
    EventNotFound(EventName),
    /// The caller does not own the channel.
    #[error("only the owner of the channel and admins may see the summary of {0}")]
    NotTheOwner(EventName),
    /// The events service could not be asked.
    #[error("the events service does not answer: {0}")]
    EventsUnavailable(String),
    /// The process is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] marquee_bus::Error),
}

impl Error {
    fn inner(&self) -> Option<&dyn ErrorExt> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Bus(error) => Some(error),
            _ => None,
        }
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::EventNotFound(_) => ErrorKind::NotFound,
            Self::NotTheOwner(_) => ErrorKind::PermissionDenied,
            Self::EventsUnavailable(_) | Self::ShuttingDown => ErrorKind::Unavailable,
            _ => self.inner().map_or(ErrorKind::Internal, ErrorExt::kind),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::EventNotFound(_) => "EVENT_NOT_FOUND",
            Self::NotTheOwner(_) => "NOT_CHANNEL_OWNER",
            Self::EventsUnavailable(_) => "EVENTS_UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            _ => self.inner().map_or("INTERNAL", ErrorExt::reason),
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::EventNotFound(event) | Self::NotTheOwner(event) => {
                vec![("event".to_owned(), event.to_string())]
            }
            _ => self.inner().map(ErrorExt::metadata).unwrap_or_default(),
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        self.inner().map(ErrorExt::violations).unwrap_or_default()
    }

    fn retry_after(&self) -> Option<Duration> {
        match self.inner() {
            Some(inner) => inner.retry_after(),
            None => (self.kind() == ErrorKind::Unavailable).then_some(Duration::from_secs(1)),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
