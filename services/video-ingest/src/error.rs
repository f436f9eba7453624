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
    /// A stream that is not for everybody was asked for without a token that opens it.
    #[error("`{stream}` is not for everybody: open a playback session and use its path")]
    PlaybackTokenMissing {
        /// The stream's name.
        stream: String,
    },
    /// The token waited too long for its first request, or between two.
    #[error("the playback token has expired: open another playback session")]
    PlaybackTokenExpired,
    /// The session was ended, or is over by the clock.
    #[error("the playback session is over: open another one")]
    PlaybackSessionEnded,
    /// The account lacks what the event asks for.
    #[error("`{event}` is for {}", if *ticket { "accounts with a ticket" } else { "members" })]
    NotEntitled {
        /// The event's name.
        event: String,
        /// True when a ticket would help, false when a membership would.
        ticket: bool,
    },
    /// Somebody is kept out.
    #[error("you are kept out until {until}")]
    Banned {
        /// When that ends.
        until: jiff::Timestamp,
    },
    /// The account watches on as many devices as it may.
    #[error(
        "`{account}` watches in {limit} sessions already; end one of them, or wait until it has been silent for half a minute"
    )]
    TooManySessions {
        /// The account's name.
        account: String,
        /// How many it may have.
        limit: usize,
    },
    /// The process keeps as many viewers as it may.
    #[error("too many people watch; try again")]
    TooManyViewers,
    /// As many players are sent a stream over RTMP and HTTP-FLV as may.
    #[error("too many players; try again, or watch over HLS")]
    TooManyPlayers,
    /// The channel has as many targets of forwarding as it may.
    #[error("the channel has {limit} forwarding targets already; delete one of them")]
    ForwardingTargetsFull {
        /// How many it may have.
        limit: usize,
    },
    /// Forwarding cannot tell which servers to believe.
    #[error("cannot forward: {0}")]
    Forwarding(#[from] crate::forwarding::TrustError),
    /// Nobody publishes.
    #[error("nobody publishes `{name}` now")]
    NoPublisher {
        /// The stream's name.
        name: String,
    },
    /// A webhook does not want it.
    #[error("the operator's webhook refused")]
    WebhookRefused,
    /// A webhook does not say whether it wants it.
    #[error("the operator's webhook does not answer")]
    WebhookSilent,
    /// The subscriptions service did not answer.
    #[error("the subscriptions service does not answer: {0}")]
    SubscriptionsPeer(String),
    /// RTMPS cannot be offered.
    #[error("cannot offer rtmps: {0}")]
    Rtmps(#[from] crate::rtmp::TlsError),
    /// The events service did not answer.
    #[error("the events service does not answer: {0}")]
    Peer(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] marquee_documents::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] marquee_bus::Error),
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
            Self::Bus(error) => error.kind(),
            Self::NotYours { .. } => ErrorKind::PermissionDenied,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::KeyRevoked { .. } | Self::StillLive { .. } => ErrorKind::FailedPrecondition,
            Self::PlaybackTokenMissing { .. } | Self::PlaybackTokenExpired => ErrorKind::Unauthenticated,
            Self::PlaybackSessionEnded
            | Self::NotEntitled { .. }
            | Self::Banned { .. }
            | Self::WebhookRefused => ErrorKind::PermissionDenied,
            Self::TooManySessions { .. }
            | Self::TooManyViewers
            | Self::TooManyPlayers
            | Self::ForwardingTargetsFull { .. } => ErrorKind::ResourceExhausted,
            Self::NoPublisher { .. } => ErrorKind::FailedPrecondition,
            Self::Peer(_) | Self::SubscriptionsPeer(_) | Self::WebhookSilent | Self::Stopping => {
                ErrorKind::Unavailable
            }
            Self::PlaylistRequest(_) => ErrorKind::InvalidArgument,
            Self::NotInTime | Self::TooManyWaiting => ErrorKind::Unavailable,
            Self::Objects(marquee_objects::Error::Unavailable(_)) => ErrorKind::Unavailable,
            Self::Media { .. }
            | Self::Objects(_)
            | Self::Hls(_)
            | Self::Listen { .. }
            | Self::Rtmps(_)
            | Self::Forwarding(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.reason(),
            Self::Auth(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Bus(error) => error.reason(),
            Self::NotYours { .. } => "NOT_CHANNEL_OWNER",
            Self::NotFound { reason, .. } => reason,
            Self::KeyRevoked { .. } => "STREAM_KEY_REVOKED",
            Self::StillLive { .. } => "STREAM_STILL_LIVE",
            Self::PlaybackTokenMissing { .. } => "PLAYBACK_TOKEN_MISSING",
            Self::PlaybackTokenExpired => "PLAYBACK_TOKEN_EXPIRED",
            Self::PlaybackSessionEnded => "PLAYBACK_SESSION_ENDED",
            Self::NotEntitled { ticket: true, .. } => "TICKET_REQUIRED",
            Self::NotEntitled { ticket: false, .. } => "MEMBERSHIP_REQUIRED",
            Self::Banned { .. } => "BANNED",
            Self::TooManySessions { .. } => "TOO_MANY_SESSIONS",
            Self::TooManyViewers => "TOO_MANY_VIEWERS",
            Self::TooManyPlayers => "TOO_MANY_PLAYERS",
            Self::ForwardingTargetsFull { .. } => "FORWARDING_TARGETS_FULL",
            Self::NoPublisher { .. } => "NO_PUBLISHER",
            Self::WebhookRefused => "WEBHOOK_REFUSED",
            Self::WebhookSilent => "WEBHOOK_SILENT",
            Self::SubscriptionsPeer(_) => "SUBSCRIPTIONS_UNAVAILABLE",
            Self::Peer(_) => "EVENTS_UNAVAILABLE",
            Self::Stopping => "STOPPING",
            Self::PlaylistRequest(_) => "PLAYLIST_REQUEST",
            Self::NotInTime => "PLAYLIST_NOT_IN_TIME",
            Self::TooManyWaiting => "TOO_MANY_WAITING",
            Self::Objects(marquee_objects::Error::Unavailable(_)) => "OBJECT_STORE_UNAVAILABLE",
            Self::Media { .. }
            | Self::Objects(_)
            | Self::Hls(_)
            | Self::Listen { .. }
            | Self::Rtmps(_)
            | Self::Forwarding(_) => "INTERNAL",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::Auth(error) => error.metadata(),
            Self::Store(error) => error.metadata(),
            Self::Bus(error) => error.metadata(),
            Self::NotYours { channel: name }
            | Self::NotFound { name, .. }
            | Self::KeyRevoked { name }
            | Self::NoPublisher { name }
            | Self::PlaybackTokenMissing { stream: name }
            | Self::NotEntitled { event: name, .. }
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
