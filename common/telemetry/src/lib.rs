//! Logs, traces and metrics of a Marquee process.
//!
//! ```text
//!   request ─► RpcLayer ─ Span (W3C trace context) ─► handler ─ current_traceparent() ─► peers, bus
//!                 │          └─ when it ends and is sampled ─► bounded queue ─► OTLP      (feature otlp)
//!                 └─ rpc_server_duration_seconds{rpc_service, rpc_method, rpc_grpc_status_code} ─► Metrics::render
//! ```
//!
//! Which trace a thread works for is a value of that thread, set around every poll of a future that is
//! [`in_context`](InContext::in_context). What costs time (names, attributes, the clock) is only done for steps that are
//! recorded. Why not the spans of `tracing`: `docs/adr/0012-telemetry.md`.

mod args;
pub mod db;
#[cfg(feature = "otlp")]
mod export;
mod log;
mod metrics;
mod rpc;
mod span;
mod start;
mod trace;

pub use args::{Endpoint, ExportArgs, Filter, LogArgs, LogFormat, Ratio, TelemetryArgs};
pub use log::set_request_id_source;
pub use metrics::{Described, METRICS, MetricKind, Metrics};
pub use rpc::{Call, ClientCalls, Rpc, RpcBody, RpcFuture, RpcLayer};
pub use span::{Kind, Span, Value, exports_traces};
pub use start::{Guard, init};
pub use trace::{Entered, InContext, Malformed, TraceContext, Within, current_trace_id, current_traceparent};
