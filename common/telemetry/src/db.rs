//! What stores and indexes take: a CLIENT span and `db_client_operation_duration_seconds` for each operation.

use std::time::Instant;

use crate::span::{Kind, Span};
use crate::trace::TraceContext;

/// An operation that runs. It is measured when it is dropped.
///
/// ```
/// use marquee_telemetry::InContext as _;
/// # async fn find() -> Result<(), std::io::Error> { Ok(()) }
/// # async fn doc() -> Result<(), std::io::Error> {
/// let mut operation = marquee_telemetry::db::Operation::begin("mongodb", "find", "channels");
/// let found = find().in_context(operation.context()).await;
/// if found.is_err() {
///     operation.failed("timeout");
/// }
/// # found }
/// ```
#[derive(Debug)]
pub struct Operation {
    system: &'static str,
    name: &'static str,
    collection: &'static str,
    started: Instant,
    span: Span,
}

impl Operation {
    /// `system` as OpenTelemetry names it (`postgresql`, `mongodb`, `elasticsearch`, `sqlite`); `operation` and
    /// `collection` are of a fixed set, since each makes a time series.
    pub fn begin(system: &'static str, operation: &'static str, collection: &'static str) -> Self {
        let mut span = Span::begin(Kind::Client, TraceContext::current(), || {
            format!("{operation} {collection}")
        });
        span.set("db.system.name", || system);
        span.set("db.operation.name", || operation);
        span.set("db.collection.name", || collection);
        Self {
            system,
            name: operation,
            collection,
            started: Instant::now(),
            span,
        }
    }

    /// The step of the trace that the operation is.
    pub const fn context(&self) -> TraceContext {
        self.span.context()
    }

    /// It failed; `reason` is a kind of error, never what was stored.
    pub fn failed(&mut self, reason: &'static str) {
        self.span.set("error.type", || reason);
        self.span.fail(|| reason);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        metrics::histogram!(
            "db_client_operation_duration_seconds",
            "db_system_name" => self.system,
            "db_operation_name" => self.name,
            "db_collection_name" => self.collection
        )
        .record(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn an_operation_is_measured_under_its_system_name_and_collection() {
        let metrics = Metrics::install();
        drop(Operation::begin("mongodb", "find", "test_channels"));
        drop(Operation::begin("mongodb", "find", "test_channels"));
        let expected = "db_client_operation_duration_seconds_count{db_system_name=\"mongodb\",\
            db_operation_name=\"find\",db_collection_name=\"test_channels\"} 2";
        let text = metrics.render();
        assert!(text.lines().any(|line| line == expected), "{text}");
    }
}
