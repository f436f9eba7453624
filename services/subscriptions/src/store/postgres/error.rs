//! What the server says, sorted by what is to be done about it.

use std::borrow::Cow;

use crate::store::Error;

/// Why something was not done on the server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It collided with another transaction and left no trace: to be done again from its beginning.
    #[error("too many others change the same")]
    Contended(#[source] sqlx::Error),
    /// A unique value is there by now. Done again from the beginning, the transaction sees it.
    #[error("a unique value is there already")]
    Taken(#[source] sqlx::Error),
    /// The connection broke. What was not committed is undone.
    #[error("the connection was lost: {0}")]
    Lost(#[source] sqlx::Error),
    /// The server is not there, or has no time or room for us. The text says what is the matter.
    #[error("{text}")]
    Unavailable {
        text: String,
        #[source]
        source: Option<sqlx::Error>,
    },
    /// No space is left.
    #[error("no space is left")]
    Full(#[source] sqlx::Error),
    /// Nothing that time heals.
    #[error(transparent)]
    Broken(sqlx::Error),
}

/// A transaction that ends without a commit: for trouble, or because the case at hand says so.
#[derive(Debug)]
pub(super) enum Abort {
    Trouble(Trouble),
    Decided(Error),
}

impl Trouble {
    pub(super) fn unavailable(text: String) -> Self {
        Self::Unavailable { text, source: None }
    }

    /// No connection could be made to `server`. Whatever the reason (also a password that is wrong, or a database that is
    /// not there), somebody can mend it while this process lives.
    pub(super) fn unconnected(server: &str, error: sqlx::Error) -> Self {
        Self::Unavailable {
            text: format!("cannot connect to {server}: {error}"),
            source: Some(error),
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Self::Lost(error),
                error => Self::Broken(error),
            };
        };
        let code = database.code().unwrap_or(Cow::Borrowed(""));
        match &*code {
            // serialization_failure, deadlock_detected.
            "40001" | "40P01" => Self::Contended(error),
            "23505" => Self::Taken(error),
            // query_canceled, by statement_timeout.
            "57014" => Self::Unavailable {
                text: "a statement took too long".to_owned(),
                source: Some(error),
            },
            // admin_shutdown, crash_shutdown, cannot_connect_now, idle timeouts of sessions: the next connection may do.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Self::Lost(error),
            // disk_full.
            "53100" => Self::Full(error),
            // statement_completion_unknown, read_only_sql_transaction (a failover), insufficient_resources.
            code if code == "40003" || code == "25006" || code.starts_with("53") => Self::Unavailable {
                text: database.message().to_owned(),
                source: Some(error),
            },
            // connection_exception.
            code if code.starts_with("08") => Self::Lost(error),
            _ => Self::Broken(error),
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Contended(_) => Self::Conflict,
            trouble @ (Trouble::Lost(_) | Trouble::Unavailable { .. }) => Self::Unavailable(trouble.into()),
            trouble @ Trouble::Full(_) => Self::Full(trouble.into()),
            trouble @ (Trouble::Taken(_) | Trouble::Broken(_)) => Self::Other(trouble.into()),
        }
    }
}

impl From<sqlx::Error> for Abort {
    fn from(error: sqlx::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<Error> for Abort {
    fn from(error: Error) -> Self {
        Self::Decided(error)
    }
}
