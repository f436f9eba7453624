//! A collector for OTLP over gRPC that keeps what it gets, for tests to look at.

pub mod story;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::wait_for;

/// How long a trace may take to be complete: batches wait half a second, and machines are busy.
const COMPLETE: Duration = Duration::from_secs(30);

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Of the step before; empty for the first of a trace.
    pub parent_span_id: String,
    /// For example `process marquee.events.event.v1`.
    pub name: String,
    /// `Server`, `Client`, `Producer`, `Consumer`, `Internal`.
    pub kind: String,
    /// Attributes of the span as text.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the process as text.
    pub resource: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub started: u64,
    /// Nanoseconds since 1970.
    pub ended: u64,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
}

impl Span {
    /// An attribute; empty when it has none of the name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The name of the service that it is from.
    pub fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    refuses: AtomicBool,
}

/// A running collector on a port of its own. It ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    kept: Arc<Kept>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        Self::start_at("127.0.0.1:0".parse()?).await
    }

    /// Listens on this address.
    ///
    /// # Errors
    /// When it is in use.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept::default());
        let service = TraceServiceServer::new(Collector(Arc::clone(&kept)));
        let server = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            // Ends with the test.
            let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        Ok(Self {
            address,
            kept,
            server,
        })
    }

    /// What to give to `--otlp-endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers UNAVAILABLE from now on, or works again.
    pub fn refuse(&self, refuses: bool) {
        self.kept.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Everything that came so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.spans.lock().clone()
    }

    /// Waits for a trace whose spans are as wanted, and returns them in the order of their starts.
    ///
    /// # Errors
    /// When there is none within 30 seconds; with the traces that there are.
    pub async fn wait_for_trace(&self, is_wanted: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        let found = wait_for("a trace", COMPLETE, async || {
            self.traces().into_values().find(|spans| is_wanted(spans))
        });
        found.await.with_context(|| self.describe())
    }

    /// The spans of each trace, in the order of their starts.
    pub fn traces(&self) -> BTreeMap<String, Vec<Span>> {
        let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in self.spans() {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        for spans in traces.values_mut() {
            spans.sort_by_key(|span| span.started);
        }
        traces
    }

    fn describe(&self) -> String {
        let mut text = String::from("there are:\n");
        for (trace, spans) in self.traces() {
            let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
            let _ = writeln!(text, "{trace} {names:?}");
        }
        text
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Collector(Arc<Kept>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if self.0.refuses.load(Ordering::SeqCst) {
            return Err(Status::unavailable("the test wants it so"));
        }
        let mut kept = self.0.spans.lock();
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource
                .resource
                .map(|resource| texts(resource.attributes))
                .unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let kind = span.kind();
                let status = span.status.unwrap_or_default();
                kept.push(Span {
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_span_id: hex(&span.parent_span_id),
                    name: span.name,
                    kind: kind_name(kind).to_owned(),
                    attributes: texts(span.attributes),
                    resource: resource.clone(),
                    started: span.start_time_unix_nano,
                    ended: span.end_time_unix_nano,
                    error: (status.code() == StatusCode::Error).then_some(status.message),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}
