use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a caller was refused, or could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call needs a token and has none.
    #[error("a token is needed: send it as `authorization: Bearer ...`")]
    TokenMissing,
    /// The token was good once.
    #[error("the token has expired: refresh it, or log in again")]
    TokenExpired,
    /// The token was never good here.
    #[error("the token is not valid: {0}")]
    TokenInvalid(&'static str),
    /// The playback token was never good for that.
    #[error("the playback token is not valid: {0}")]
    PlaybackTokenInvalid(&'static str),
    /// The caller is known, and may not.
    #[error("permission denied: {0}")]
    PermissionDenied(String),
    /// A name in the request is ill formed.
    #[error(transparent)]
    InvalidName(Invalid),
    /// There is no such RPC.
    #[error("there is no method {0}")]
    UnknownMethod(String),
    /// The keys that tokens are checked with can't be had.
    #[error("tokens can't be checked: {0}")]
    KeysUnavailable(#[source] BoxError),
    /// A service can't get a token for its calls to peers.
    #[error("no service token: {0}")]
    ServiceTokenUnavailable(#[source] BoxError),
    /// A key is not an Ed25519 key in the form that was expected.
    #[error("not a usable Ed25519 key: {0}")]
    Key(String),
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TokenMissing
            | Self::TokenExpired
            | Self::TokenInvalid(_)
            | Self::PlaybackTokenInvalid(_) => ErrorKind::Unauthenticated,
            Self::PermissionDenied(_) => ErrorKind::PermissionDenied,
            Self::InvalidName(invalid) => invalid.kind(),
            Self::UnknownMethod(_) => ErrorKind::Unimplemented,
            Self::KeysUnavailable(_) | Self::ServiceTokenUnavailable(_) => ErrorKind::Unavailable,
            Self::Key(_) => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenInvalid(_) => "TOKEN_INVALID",
            Self::PlaybackTokenInvalid(_) => "PLAYBACK_TOKEN_INVALID",
            Self::PermissionDenied(_) => "PERMISSION_DENIED",
            Self::InvalidName(invalid) => invalid.reason(),
            Self::UnknownMethod(_) => "UNKNOWN_METHOD",
            Self::KeysUnavailable(_) => "KEYS_UNAVAILABLE",
            Self::ServiceTokenUnavailable(_) => "SERVICE_TOKEN_UNAVAILABLE",
            Self::Key(_) => "KEY_INVALID",
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::InvalidName(invalid) => invalid.violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::KeysUnavailable(_) | Self::ServiceTokenUnavailable(_))
            .then_some(Duration::from_secs(1))
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
