//! What the driver's errors mean. They may name hosts and options, so they are logged, and a short text goes on.

use marquee_mongodb::{DUPLICATE_KEY, WRITE_CONFLICT, code, is_away, passes};
use mongodb::bson::Document;
use mongodb::error::{
    ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

use super::super::Error;

/// Why an operation or a transaction did not come through.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was changed: somebody else has a document in hand. The same may work now.
    Conflicted(Error),
    /// Nothing was changed, but the server was not reached. The same may work now.
    Transient(Error),
    /// It may have been changed, or not.
    Unknown(Error),
    /// The partition is not where it was expected.
    Moved,
    /// Anything else.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflicted(error)
            | Failure::Transient(error)
            | Failure::Unknown(error)
            | Failure::Final(error) => error,
            Failure::Moved => Self::Stale,
        }
    }
}

impl From<mongodb::error::Error> for Failure {
    fn from(error: mongodb::error::Error) -> Self {
        let (transient, unknown) = (
            error.contains_label(TRANSIENT_TRANSACTION_ERROR),
            error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT),
        );
        let answered = matches!(&*error.kind, ErrorKind::Command(_));
        let error = told(&error);
        if unknown {
            Self::Unknown(error)
        } else if transient && answered {
            Self::Conflicted(error)
        } else if transient {
            Self::Transient(error)
        } else {
            Self::Final(error)
        }
    }
}

/// The error in our words.
pub(super) fn told(error: &mongodb::error::Error) -> Error {
    tracing::debug!(%error, "mongodb");
    let away = |text: &str| Error::Unavailable(text.to_owned());
    match &*error.kind {
        ErrorKind::ServerSelection { .. } => away("no server answers that may be written to"),
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => away("the connection was lost"),
        ErrorKind::DnsResolve { .. } => away("the server's name cannot be resolved"),
        ErrorKind::Authentication { .. } => away("the server does not let this user in"),
        ErrorKind::InvalidTlsConfig { .. } => away("the TLS settings do not work"),
        ErrorKind::Command(command) if may_pass(command.code) => away(&format!(
            "the server cannot do this now ({}, code {})",
            command.code_name, command.code
        )),
        ErrorKind::Command(command) => Error::Refused(format!(
            "the server refuses this ({}, code {})",
            command.code_name, command.code
        )),
        ErrorKind::Write(WriteFailure::WriteError(error)) if may_pass(error.code) => {
            away(&format!("the server cannot do this now (code {})", error.code))
        }
        ErrorKind::Write(WriteFailure::WriteError(error)) => {
            Error::Refused(format!("the server refuses this (code {})", error.code))
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => away(&format!(
            "the write has not reached a majority ({}, code {})",
            error.code_name, error.code
        )),
        ErrorKind::SessionsNotSupported => Error::Refused(NO_REPLICA_SET.to_owned()),
        _ if is_away(error) => away("the connection is closed"),
        _ => Error::Refused("the operation failed; the log at level debug says why".to_owned()),
    }
}

pub(super) const NO_REPLICA_SET: &str = "the server is not part of a replica set: transactions need one (start it with --replSet and initiate it)";

/// Who meets another transaction in a document may have it in a moment.
fn may_pass(code: i32) -> bool {
    passes(code) || code == WRITE_CONFLICT
}

/// Whether a key is there already.
pub(super) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

/// What went wrong with single writes of a command that as a whole was carried out.
pub(super) fn check_writes(reply: &Document, duplicate: impl FnOnce() -> Failure) -> Result<(), Failure> {
    let first = reply
        .get_array("writeErrors")
        .ok()
        .and_then(|errors| errors.first())
        .and_then(|error| error.as_document());
    let Some(error) = first else {
        return Ok(());
    };
    tracing::debug!(%error, "mongodb refuses a write");
    match error.get_i32("code").unwrap_or_default() {
        DUPLICATE_KEY => Err(duplicate()),
        code if may_pass(code) => {
            Err(Error::Unavailable(format!("the server cannot do this now (code {code})")).into())
        }
        code => Err(Error::Refused(format!("the server refuses a write (code {code})")).into()),
    }
}
