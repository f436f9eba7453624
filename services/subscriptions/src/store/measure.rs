//! How long what is asked of a store takes, as a metric and as a step of the trace.

use std::time::Instant;

use marquee_telemetry::db;

use super::Error;

/// What is asked of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// `postgresql` or `sqlite`, as OpenTelemetry calls them.
    pub(crate) system: &'static str,
    /// The method of the store, for example `create_account`.
    pub(crate) name: &'static str,
    /// The table that it is mostly about.
    pub(crate) table: &'static str,
    /// False for what is asked again and again on nobody's behalf: it is measured, and begins no trace.
    pub(crate) traced: bool,
}

/// An operation under way.
pub(crate) enum Measured {
    Traced(db::Operation),
    Untraced { operation: Operation, begun: Instant },
}

impl Operation {
    pub(crate) fn begin(self) -> Measured {
        if self.traced {
            return Measured::Traced(db::Operation::begin(self.system, self.name, self.table));
        }
        Measured::Untraced {
            operation: self,
            begun: Instant::now(),
        }
    }
}

impl Measured {
    /// Records it by the OpenTelemetry semantic conventions for database clients, in seconds.
    pub(crate) fn end<T>(self, result: &Result<T, Error>) {
        match self {
            Self::Traced(mut operation) => {
                if let Some(fault) = result.as_ref().err().and_then(fault) {
                    operation.failed(fault);
                }
            }
            Self::Untraced { operation, begun } => {
                metrics::histogram!(
                    "db_client_operation_duration_seconds",
                    "db_system_name" => operation.system,
                    "db_operation_name" => operation.name,
                    "db_collection_name" => operation.table,
                )
                .record(begun.elapsed().as_secs_f64());
            }
        }
    }
}

/// What kind of fault of the store an error is; that something is not there, or there already, is none.
fn fault(error: &Error) -> Option<&'static str> {
    match error {
        Error::NotFound | Error::AlreadyExists(_) => None,
        Error::Conflict => Some("conflict"),
        Error::Unavailable(_) => Some("unavailable"),
        Error::Full(_) => Some("full"),
        Error::Unusable(_) => Some("unusable"),
        Error::Other(_) => Some("other"),
    }
}
