//! What can go wrong, and how callers learn of it.

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};
use marquee_proto::name::InvalidName;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of video-ingest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request has fields that are not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The caller may not do that.
    #[error(transparent)]
    Auth(#[from] marquee_auth::Error),
    /// The channel belongs to somebody else.
    #[error("`{channel}` is not yours")]
    NotYours {
        /// The channel's name.
        channel: String,
    },
    /// There is no such resource.
    #[error("`{name}` does not exist")]
    NotFound {
        /// UPPER_SNAKE.
        reason: &'static str,
        /// The resource's name.
        name: String,
    },
    /// A revoked key cannot be used any more.
    #[error("stream key `{name}` is revoked; create another one")]
    KeyRevoked {
        /// The key's name.
        name: String,
    },
    /// The recording's stream is still running.
    #[error("`{name}` is still being recorded; stop the stream first")]
    StillLive {
        /// The recording's name.
        name: String,
    },
    /// RTMPS cannot be offered.
    #[error("cannot offer rtmps: {0}")]
    Rtmps(#[from] crate::rtmp::TlsError),
    /// The events service did not answer.
    #[error("the events service does not answer: {0}")]
    Peer(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] marquee_documents::Error),
    /// The media folder failed.
    #[error("cannot {action} {path}")]
    Media {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] marquee_objects::Error),
    /// The packager or the journal refused.
    #[error(transparent)]
    Hls(#[from] marquee_hls::Error),
    /// The RTMP address cannot be listened on.
    #[error("cannot listen for RTMP on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A playlist was asked for in a way that has no answer.
    #[error(transparent)]
    PlaylistRequest(#[from] marquee_hls::BadRequest),
    /// What was waited for did not come in time.
    #[error("nothing new came in time; ask again")]
    NotInTime,
    /// As many requests wait as may.
    #[error("too many requests wait for this server; ask again")]
    TooManyWaiting,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// Said to encoders.
const DISK_FULL: &str = "the server's disk is full";

impl Error {
    pub(crate) fn not_found(reason: &'static str, name: impl ToString) -> Self {
        Self::NotFound {
            reason,
            name: name.to_string(),
        }
    }

    /// What the encoder shows. It says nothing of how the server is made.
    pub(crate) fn for_encoder(&self) -> String {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Hls(
                error @ (marquee_hls::Error::KeyframeInterval { .. }
                | marquee_hls::Error::MalformedAvc(_)
                | marquee_hls::Error::MalformedAac(_)),
            ) => error.to_string(),
            Self::Store(marquee_documents::Error::Full { .. }) => DISK_FULL.to_owned(),
            Self::Media { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                DISK_FULL.to_owned()
            }
            _ => "the server cannot store the stream now; try again".to_owned(),
        }
    }

    pub(crate) fn field(field: &str, error: &InvalidName) -> Self {
        marquee_error::invalid(field, error.to_string()).into()
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(error) => error.kind(),
            Self::Auth(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::NotYours { .. } => ErrorKind::PermissionDenied,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::KeyRevoked { .. } | Self::StillLive { .. } => ErrorKind::FailedPrecondition,
            Self::Peer(_) | Self::Stopping => ErrorKind::Unavailable,
            Self::Objects(marquee_objects::Error::Unavailable(_)) => ErrorKind::Unavailable,
            Self::PlaylistRequest(_) => ErrorKind::InvalidArgument,
            Self::NotInTime | Self::TooManyWaiting => ErrorKind::Unavailable,
            Self::Media { .. } | Self::Objects(_) | Self::Hls(_) | Self::Listen { .. } | Self::Rtmps(_) => {
                ErrorKind::Internal
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.reason(),
            Self::Auth(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::NotYours { .. } => "NOT_CHANNEL_OWNER",
            Self::NotFound { reason, .. } => reason,
            Self::KeyRevoked { .. } => "STREAM_KEY_REVOKED",
            Self::StillLive { .. } => "STREAM_STILL_LIVE",
            Self::Peer(_) => "EVENTS_UNAVAILABLE",
            Self::Stopping => "STOPPING",
            Self::PlaylistRequest(_) => "PLAYLIST_REQUEST",
            Self::NotInTime => "PLAYLIST_NOT_IN_TIME",
            Self::TooManyWaiting => "TOO_MANY_WAITING",
            Self::Objects(marquee_objects::Error::Unavailable(_)) => "OBJECT_STORE_UNAVAILABLE",
            Self::Media { .. } | Self::Objects(_) | Self::Hls(_) | Self::Listen { .. } | Self::Rtmps(_) => {
                "INTERNAL"
            }
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::Auth(error) => error.metadata(),
            Self::Store(error) => error.metadata(),
            Self::NotYours { channel: name }
            | Self::NotFound { name, .. }
            | Self::KeyRevoked { name }
            | Self::StillLive { name } => {
                vec![("name".to_owned(), name.clone())]
            }
            _ => Vec::new(),
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
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
