//! Logs, traces and metrics of a Marquee process.
//!
//! ```text
//!   request ─► RpcLayer ─ span with a W3C trace context ─► handler ─ current_traceparent() ─► peers, bus
//!                 └─ rpc_server_duration_seconds{rpc_service, rpc_method, grpc_status} ─► Metrics::render
//! ```
//!
//! A trace context lives in a `tracing` span: whatever runs inside the span belongs to the trace. [`in_trace`] makes
//! such a span from what came with a message, [`RpcLayer`] from what came with a request.

mod log;
mod metrics;
mod rpc;
mod trace;

pub use log::{Filter, Guard, LogArgs, LogFormat, init};
pub use metrics::Metrics;
pub use rpc::{Rpc, RpcBody, RpcLayer};
pub use trace::{TraceContext, current_trace_id, current_traceparent, in_trace};
