use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};

use crate::store;

/// What can go wrong in the service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request with wrong fields.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The index.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] marquee_bus::Error),
}

impl Error {
    fn inner(&self) -> &dyn ErrorExt {
        match self {
            Self::Invalid(error) => error,
            Self::Store(error) => error,
            Self::Bus(error) => error,
        }
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        self.inner().kind()
    }

    fn reason(&self) -> &'static str {
        self.inner().reason()
    }

    fn metadata(&self) -> Vec<(String, String)> {
        self.inner().metadata()
    }

    fn violations(&self) -> Vec<FieldViolation> {
        self.inner().violations()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.inner().retry_after()
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
