//! What can go wrong, and what a caller sees of it.

use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};

use crate::domain::event::State;

/// Result of the events service.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the events service.
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
    /// No channel has this name or handle.
    #[error("{0} was not found")]
    ChannelNotFound(String),
    /// No event has this name.
    #[error("{0} was not found")]
    EventNotFound(String),
    /// Another channel has this handle.
    #[error("the handle `{0}` is taken")]
    HandleTaken(String),
    /// The resource was changed since the caller read it.
    #[error("{0} was changed since it was read: read it again")]
    EtagMismatch(String),
    /// Only a scheduled event can be cancelled.
    #[error("{name} is {}: only a scheduled event can be cancelled", .state.as_filter())]
    EventNotScheduled {
        /// The event.
        name: String,
        /// Its state.
        state: EventState,
    },
    /// An event that is over is not changed any more.
    #[error("{name} is {}: only a scheduled or live event can be changed", .state.as_filter())]
    EventOver {
        /// The event.
        name: String,
        /// Its state.
        state: EventState,
    },
    /// Others changed the resource again and again meanwhile.
    #[error("{0} is being changed by others: try again")]
    Contended(String),
    /// The service stops; what was watched goes on elsewhere or later.
    #[error("the service is shutting down")]
    ShuttingDown,
}

/// The state of an event, in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventState(pub(crate) State);

impl EventState {
    fn as_filter(self) -> &'static str {
        self.0.as_filter()
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(error) => error.kind(),
            Self::Auth(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Bus(error) => error.kind(),
            Self::ChannelNotFound(_) | Self::EventNotFound(_) => ErrorKind::NotFound,
            Self::HandleTaken(_) => ErrorKind::AlreadyExists,
            Self::EtagMismatch(_) | Self::Contended(_) => ErrorKind::Aborted,
            Self::EventNotScheduled { .. } | Self::EventOver { .. } => ErrorKind::FailedPrecondition,
            Self::ShuttingDown => ErrorKind::Unavailable,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.reason(),
            Self::Auth(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Bus(error) => error.reason(),
            Self::ChannelNotFound(_) => "CHANNEL_NOT_FOUND",
            Self::EventNotFound(_) => "EVENT_NOT_FOUND",
            Self::HandleTaken(_) => "HANDLE_TAKEN",
            Self::EtagMismatch(_) => "ETAG_MISMATCH",
            Self::EventNotScheduled { .. } => "EVENT_NOT_SCHEDULED",
            Self::EventOver { .. } => "EVENT_OVER",
            Self::Contended(_) => "CONTENDED",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let one = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        match self {
            Self::Invalid(error) => error.metadata(),
            Self::Auth(error) => error.metadata(),
            Self::Store(error) => error.metadata(),
            Self::Bus(error) => error.metadata(),
            Self::ShuttingDown => Vec::new(),
            Self::ChannelNotFound(name)
            | Self::EventNotFound(name)
            | Self::EtagMismatch(name)
            | Self::Contended(name) => one("name", name),
            Self::HandleTaken(handle) => one("handle", handle),
            Self::EventNotScheduled { name, state } | Self::EventOver { name, state } => {
                vec![
                    ("name".to_owned(), name.clone()),
                    ("state".to_owned(), state.as_filter().to_owned()),
                ]
            }
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
