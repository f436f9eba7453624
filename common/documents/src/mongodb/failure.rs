//! What the driver's errors mean.

use std::future::Future;
use std::time::Duration;

pub(super) use marquee_mongodb::code;
use marquee_mongodb::{OUT_OF_DISK_SPACE, WRITE_CONFLICT, is_away};
use mongodb::error::{ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};

use crate::Error;

/// What one command to the server may take. A server that takes longer is as good as away.
pub(super) const OPERATION: Duration = Duration::from_secs(5);

/// A command that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same may succeed in a moment: two transactions met, or the server is away. Nothing was kept if it was a part
    /// of a transaction that was not being committed.
    Again { why: String, conflict: bool },
    /// It is not known whether the commit took place. Committing again resolves it.
    Unknown(String),
    /// The server refuses it for good.
    Refused(Error),
}

impl Failure {
    pub(super) fn of(error: &mongodb::error::Error) -> Self {
        let why = describe(error);
        if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
            return Self::Unknown(why);
        }
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR)
            || is_away(error)
            || code(error) == Some(WRITE_CONFLICT)
        {
            return Self::Again {
                why,
                conflict: code(error) == Some(WRITE_CONFLICT),
            };
        }
        Self::Refused(match code(error) {
            Some(OUT_OF_DISK_SPACE) => Error::Full {
                folder: "mongodb".to_owned(),
            },
            _ => Error::other(format!("mongodb: {why}")),
        })
    }

    fn late(limit: Duration) -> Self {
        Self::Again {
            why: format!("no answer within {} s", limit.as_secs()),
            conflict: false,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Again { why, .. } | Failure::Unknown(why) => {
                Self::Unavailable(format!("mongodb: {why}"))
            }
            Failure::Refused(error) => error,
        }
    }
}

/// In few words: the driver tells its whole picture of the servers, which nobody reads.
fn describe(error: &mongodb::error::Error) -> String {
    match &*error.kind {
        ErrorKind::ServerSelection { message, .. } => match message.split_once("Topology") {
            Some(_) => "no primary can be reached".to_owned(),
            None => message.clone(),
        },
        ErrorKind::Command(error) => format!("{} ({})", error.message, error.code_name),
        kind => kind.to_string(),
    }
}

/// Waits for the server's answer, but not for ever.
pub(super) async fn within<T>(
    limit: Duration,
    operation: impl Future<Output = mongodb::error::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, operation).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => Err(Failure::late(limit)),
    }
}

/// The collection and index of a duplicate key, by what the server says.
///
/// `E11000 duplicate key error collection: db.shows index: unique:handle:handle dup key: { ... }`
pub(super) fn duplicate(message: &str) -> (String, String) {
    let after = |name: &str| {
        message
            .split_once(name)
            .and_then(|(_, rest)| rest.split(' ').next())
            .unwrap_or_default()
    };
    let collection = after("collection: ");
    let collection = collection.split_once('.').map_or(collection, |(_, name)| name);
    (collection.to_owned(), super::schema::declared(after("index: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_named_by_what_was_declared() {
        let message = "E11000 duplicate key error collection: it.shows index: unique:handle:body.handle dup key: { body.handle: \"x\" }";
        assert_eq!(duplicate(message), ("shows".to_owned(), "handle".to_owned()));
        let message = "E11000 duplicate key error collection: it.shows index: _id_ dup key: { _id: \"a\" }";
        assert_eq!(duplicate(message), ("shows".to_owned(), "id".to_owned()));
    }
}
