//! Sends finished spans to an OpenTelemetry collector (ADR 0012).
//!
//! ```text
//!   Span::drop ─► bounded queue ─► task: batches of 512 or a second ─► OTLP/gRPC
//!                 (full: counted and dropped)          (fails: counted, one warning until it works again)
//! ```

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use metrics::{Counter, counter};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value as OtelValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::args::Endpoint;
use crate::span::{Kind, Record, Value};
use crate::trace::TraceContext;

/// Spans that wait at most: some 4 MB.
const QUEUE: usize = 8_192;
const BATCH: usize = 512;
/// A span waits at most so long for its batch to fill.
const LINGER: Duration = Duration::from_millis(500);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a process that ends waits for its last spans to be sent, whatever is being sent when it is told to end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

static QUEUED: OnceLock<Queue> = OnceLock::new();

struct Queue {
    spans: mpsc::Sender<Record>,
    dropped: Counter,
}

pub(crate) fn is_exported() -> bool {
    QUEUED.get().is_some()
}

/// Never waits: what does not fit is dropped and counted.
pub(crate) fn hand_over(record: Record) {
    if let Some(queue) = QUEUED.get()
        && queue.spans.try_send(record).is_err()
    {
        queue.dropped.increment(1);
    }
}

/// The task that sends.
#[derive(Debug)]
pub(crate) struct Exporter {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    /// Closed when the task is over.
    done: Receiver<()>,
}

impl Exporter {
    /// `None` when one was started before, or this one cannot be, which is logged.
    pub(crate) fn start(service: &'static str, endpoint: &Endpoint) -> Option<Self> {
        let collector = match Collector::at(service, endpoint) {
            Ok(collector) => collector,
            Err(error) => {
                tracing::error!(%error, "no traces are sent");
                return None;
            }
        };
        let (spans, queued) = mpsc::channel(QUEUE);
        let dropped = counter!("otel_sdk_processor_span_processed_total", "error_type" => "queue_full");
        if QUEUED.set(Queue { spans, dropped }).is_err() {
            return None;
        }
        Some(Self::sending(collector, queued))
    }

    fn sending(collector: Collector, queued: mpsc::Receiver<Record>) -> Self {
        let stop = CancellationToken::new();
        let (running, done) = sync_channel(1);
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let _running = running;
                collector.run(queued, stop).await;
            }
        });
        Self {
            stop,
            task: Some(task),
            done,
        }
    }

    pub(crate) async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(mut task) = self.task.take()
            && timeout(FLUSH_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        self.stop.cancel();
        // Only where another thread goes on with the task.
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread) {
            let _ = self.done.recv_timeout(FLUSH_TIMEOUT);
        }
        task.abort();
    }
}

struct Collector {
    sender: SpanExporter,
    endpoint: String,
    reachable: bool,
    exported: Counter,
    failed: Counter,
}

impl Collector {
    fn at(service: &'static str, endpoint: &Endpoint) -> Result<Self, ExporterBuildError> {
        let mut sender = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.uri().to_string())
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        sender.set_resource(&resource(service));
        Ok(Self {
            sender,
            endpoint: endpoint.uri().to_string(),
            reachable: true,
            exported: counter!("otel_sdk_exporter_span_exported_total", "error_type" => ""),
            failed: counter!("otel_sdk_exporter_span_exported_total", "error_type" => "unavailable"),
        })
    }

    async fn run(mut self, mut queued: mpsc::Receiver<Record>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                received = queued.recv_many(&mut batch, BATCH) => if received == 0 { return },
            }
            let full_at = Instant::now() + LINGER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    more = timeout_at(full_at, queued.recv_many(&mut batch, room)) => if more.is_err() { break },
                }
            }
            self.send(&mut batch).await;
        }
        // What is queued goes out until whoever stops us has waited long enough.
        loop {
            while batch.len() < BATCH
                && let Ok(span) = queued.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() || !self.send(&mut batch).await {
                return;
            }
        }
    }

    /// Whether it went out. What did not is lost: a collector that is down must not fill our memory.
    async fn send(&mut self, batch: &mut Vec<Record>) -> bool {
        let spans: Vec<_> = batch.drain(..).map(span_data).collect();
        let count = spans.len() as u64;
        let result = match timeout(EXPORT_TIMEOUT, self.sender.export(spans)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        };
        match result {
            Ok(()) => {
                self.exported.increment(count);
                if !self.reachable {
                    tracing::info!(endpoint = self.endpoint, "traces are sent again");
                }
                self.reachable = true;
                true
            }
            Err(error) => {
                self.failed.increment(count);
                if self.reachable {
                    tracing::warn!(
                        endpoint = self.endpoint,
                        error,
                        "cannot send traces: they are lost until it works again"
                    );
                }
                self.reachable = false;
                false
            }
        }
    }
}

fn resource(service: &'static str) -> Resource {
    let instance = format!("{:032x}", rand::random::<u128>());
    Resource::builder_empty()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.namespace", "marquee"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .build()
}

fn span_data(record: Record) -> SpanData {
    let (trace_id, span_id, flags) = record.context.bits();
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace_id),
            SpanId::from(span_id),
            TraceFlags::new(flags),
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(record.parent.map_or(0, TraceContext::span_bits)),
        parent_span_is_remote: false,
        span_kind: match record.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: record.name,
        start_time: record.started,
        end_time: record.ended.max(record.started),
        attributes: record
            .attributes
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, OtelValue::from(value)))
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match record.error {
            Some(reason) => Status::Error { description: reason },
            None => Status::Unset,
        },
        instrumentation_scope: InstrumentationScope::builder("marquee").build(),
    }
}

impl From<Value> for OtelValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::String(text.into()),
            Value::Number(number) => Self::I64(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn span() -> Record {
        Record {
            context: TraceContext::root(),
            parent: None,
            kind: Kind::Internal,
            name: "work".into(),
            started: SystemTime::UNIX_EPOCH,
            ended: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            error: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_does_not_answer_keeps_nobody_for_longer_than_was_said() {
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap())
            .parse()
            .unwrap();
        let (spans, queued) = mpsc::channel(8);
        let exporter = Exporter::sending(Collector::at("it", &endpoint).unwrap(), queued);
        spans.send(span()).await.unwrap();
        // The first is being sent, the second waits for the flush.
        tokio::time::sleep(LINGER * 4).await;
        spans.send(span()).await.unwrap();
        let stopped = Instant::now();
        exporter.shutdown().await;
        // By the paused clock, which only the limits themselves move.
        assert_eq!(stopped.elapsed().as_secs(), FLUSH_TIMEOUT.as_secs());
    }
}
