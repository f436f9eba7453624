//! How long what is asked of a store takes.

use std::time::Instant;

/// What is asked of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// `postgresql` or `sqlite`, as OpenTelemetry calls them.
    pub(crate) system: &'static str,
    /// The method of the store, for example `create_account`.
    pub(crate) name: &'static str,
    /// The table that it is mostly about.
    pub(crate) table: &'static str,
}

/// An operation under way.
pub(crate) struct Measured {
    operation: Operation,
    begun: Instant,
}

impl Operation {
    pub(crate) fn begin(self) -> Measured {
        Measured {
            operation: self,
            begun: Instant::now(),
        }
    }
}

impl Measured {
    /// Records it by the OpenTelemetry semantic conventions for database client metrics, in seconds.
    pub(crate) fn end(self) {
        let Operation { system, name, table } = self.operation;
        metrics::histogram!(
            "db_client_operation_duration_seconds",
            "db_system_name" => system,
            "db_operation_name" => name,
            "db_collection_name" => table,
        )
        .record(self.begun.elapsed().as_secs_f64());
    }
}
