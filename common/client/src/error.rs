use marquee_error::{ErrorExt, ErrorKind};
use tonic::Status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a peer could not be asked. What a peer answers is its own status and none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody said where the peer is.
    #[error("the address of {peer} is not configured: set `--{peer}-url`")]
    NotConfigured {
        /// Which peer.
        peer: &'static str,
    },
    /// The peer can't be reached, or the connection broke.
    #[error("{peer} is not reachable")]
    Unreachable {
        /// Which peer.
        peer: &'static str,
        /// Why.
        source: BoxError,
    },
    /// The peer took longer than the caller has.
    #[error("{peer} did not answer in time")]
    TimedOut {
        /// Which peer.
        peer: &'static str,
    },
    /// The service has no token to show to its peers.
    #[error(transparent)]
    Token(#[from] marquee_auth::Error),
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotConfigured { .. } => ErrorKind::FailedPrecondition,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::DeadlineExceeded,
            Self::Token(error) => error.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotConfigured { .. } => "PEER_NOT_CONFIGURED",
            Self::Unreachable { .. } => "PEER_UNREACHABLE",
            Self::TimedOut { .. } => "PEER_TIMED_OUT",
            Self::Token(error) => error.reason(),
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::NotConfigured { peer } | Self::Unreachable { peer, .. } | Self::TimedOut { peer } => {
                vec![("peer".to_owned(), (*peer).to_owned())]
            }
            Self::Token(_) => Vec::new(),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
