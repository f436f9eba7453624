//! How long the store's operations take: `db_client_operation_duration_seconds`, by the OpenTelemetry conventions.

use tokio::time::Instant;

/// An operation that is under way. Recorded when it is dropped, so that one that is given up counts too.
pub(crate) struct Timing {
    system: &'static str,
    operation: &'static str,
    collection: &'static str,
    began: Instant,
}

impl Timing {
    /// Of an operation on a collection; on several, or none, the collection is empty.
    pub(crate) fn begin(system: &'static str, operation: &'static str, collection: &'static str) -> Self {
        Self {
            system,
            operation,
            collection,
            began: Instant::now(),
        }
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        metrics::histogram!(
            "db_client_operation_duration_seconds",
            "db_system_name" => self.system,
            "db_operation_name" => self.operation,
            "db_collection_name" => self.collection,
        )
        .record(self.began.elapsed());
    }
}
