//! What is known about every RPC of a server: its trace, how long it took, how it ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use metrics::{Histogram, histogram};
use parking_lot::RwLock;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use crate::trace::{self, TARGET, TraceContext};

/// Paths that are told apart in metrics; what anybody can ask for must not grow them without end.
const MAX_METHODS: usize = 512;
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const CANCELLED: usize = 1;
const UNKNOWN: usize = 2;
const UNIMPLEMENTED: usize = 12;

/// Opens a span in the caller's trace for every RPC and records its duration as `rpc_server_duration_seconds` with
/// `rpc_service`, `rpc_method` and `grpc_status`. The duration of a stream lasts until its end; one that the caller
/// leaves is CANCELLED.
#[derive(Debug, Clone, Default)]
pub struct RpcLayer {
    methods: Arc<Methods>,
}

impl RpcLayer {
    /// A layer; its clones share what they know.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = Rpc<S>;

    fn layer(&self, inner: S) -> Rpc<S> {
        Rpc {
            inner,
            methods: Arc::clone(&self.methods),
        }
    }
}

/// The service of [`RpcLayer`].
#[derive(Debug, Clone)]
pub struct Rpc<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S, B, R> Service<Request<B>> for Rpc<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Body + Unpin,
{
    type Response = Response<RpcBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let parent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let context = TraceContext::after(parent);
        // Debug: formatting it into every line of the log costs each request, and errors name their trace themselves.
        let span = tracing::debug_span!(
            target: TARGET,
            "rpc",
            rpc = path.strip_prefix('/').unwrap_or(path),
            trace_id = format_args!("{:032x}", context.trace_id_bits()),
        );
        trace::keep(&span, context);
        let mut outcome = Outcome {
            method: Some(self.methods.find(path)),
            methods: Arc::clone(&self.methods),
            started: Instant::now(),
            span: span.clone(),
        };
        let response = span.in_scope(|| self.inner.call(request)).instrument(span);
        Box::pin(async move {
            let response = match response.await {
                Ok(response) => response,
                Err(error) => {
                    outcome.ended(UNKNOWN);
                    return Err(error);
                }
            };
            // An answer without a body says how it ended in its headers ("Trailers-Only").
            if let Some(code) = code(response.headers()) {
                outcome.ended(code);
            }
            Ok(response.map(|inner| RpcBody { inner, outcome }))
        })
    }
}

/// The body of an answer, which learns from the trailers how the RPC ended.
#[derive(Debug)]
pub struct RpcBody<B> {
    inner: B,
    outcome: Outcome,
}

impl<B: Body + Unpin> Body for RpcBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let frame = {
            let _in_span = this.outcome.span.enter();
            ready!(Pin::new(&mut this.inner).poll_frame(cx))
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.outcome.ended(code(trailers).unwrap_or(UNKNOWN));
                }
            }
            Some(Err(_)) | None => this.outcome.ended(UNKNOWN),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn code(headers: &HeaderMap) -> Option<usize> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    Some(if code < CODES.len() { code } else { UNKNOWN })
}

/// Records once, at the latest when it is dropped: then the caller went away.
#[derive(Debug)]
struct Outcome {
    method: Option<Arc<Method>>,
    methods: Arc<Methods>,
    started: Instant,
    span: Span,
}

impl Outcome {
    fn ended(&mut self, code: usize) {
        let Some(method) = self.method.take() else { return };
        let elapsed = self.started.elapsed();
        method.record(&self.methods, code, elapsed.as_secs_f64());
        tracing::debug!(parent: &self.span, status = CODES.get(code), ?elapsed, "answered");
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        self.ended(CANCELLED);
    }
}

#[derive(Debug, Default)]
struct Methods(RwLock<HashMap<Box<str>, Arc<Method>>>);

impl Methods {
    /// What is known of a path; a path is remembered only once something answered on it.
    fn find(&self, path: &str) -> Arc<Method> {
        let known = self.0.read().get(path).cloned();
        known.unwrap_or_else(|| Arc::new(Method::new(path)))
    }

    fn remember(&self, method: &Method) {
        let mut methods = self.0.write();
        if methods.len() < MAX_METHODS && !methods.contains_key(&method.path) {
            let known = Method {
                remembered: true,
                ..Method::new(&method.path)
            };
            methods.insert(method.path.clone(), Arc::new(known));
        }
    }
}

struct Method {
    path: Box<str>,
    remembered: bool,
    /// One histogram per code, registered when it is first needed: looking one up by its labels costs more than an
    /// RPC can spare.
    durations: [std::sync::OnceLock<Histogram>; CODES.len()],
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Method").field(&self.path).finish()
    }
}

impl Method {
    fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            remembered: false,
            durations: Default::default(),
        }
    }

    fn record(&self, methods: &Methods, code: usize, seconds: f64) {
        let name = CODES.get(code).copied().unwrap_or("UNKNOWN");
        if self.remembered {
            if let Some(duration) = self.durations.get(code) {
                duration
                    .get_or_init(|| duration_of(&self.path, name))
                    .record(seconds);
            }
        } else if code == UNIMPLEMENTED || methods.0.read().len() >= MAX_METHODS {
            // Anybody can ask for any path.
            duration_of("/unknown/unknown", name).record(seconds);
        } else {
            methods.remember(self);
            duration_of(&self.path, name).record(seconds);
        }
    }
}

fn duration_of(path: &str, status: &'static str) -> Histogram {
    let (service, method) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or(("unknown", "unknown"));
    histogram!(
        "rpc_server_duration_seconds",
        "rpc_service" => service.to_owned(),
        "rpc_method" => method.to_owned(),
        "grpc_status" => status
    )
}

#[cfg(test)]
mod tests;
