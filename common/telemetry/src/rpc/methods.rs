use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::HeaderMap;
use metrics::{Gauge, Histogram, gauge, histogram};

use crate::span::{Kind, Span};
use crate::trace::TraceContext;

/// The status codes of gRPC in their order.
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
/// As metrics and traces have them (`rpc.grpc.status_code` is a number).
const NUMBERS: [&str; CODES.len()] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
];
pub(super) const CANCELLED: usize = 1;
pub(super) const UNKNOWN: usize = 2;

/// What stands for methods that are not known: anybody can ask for any path.
const OTHER: &str = "_OTHER";

/// Which end of a call this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Side {
    const fn durations(self) -> &'static str {
        match self {
            Self::Server => "rpc_server_duration_seconds",
            Self::Client => "rpc_client_duration_seconds",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Server => Kind::Server,
            Self::Client => Kind::Client,
        }
    }

    /// OpenTelemetry's conventions for gRPC: which statuses are failures of this side.
    const fn is_error(self, code: usize) -> bool {
        match self {
            // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
            Self::Server => matches!(code, 2 | 4 | 12..=15),
            Self::Client => code != 0,
        }
    }
}

/// The methods that can be called, by their paths.
#[derive(Debug)]
pub(super) struct Methods {
    known: HashMap<Box<str>, Arc<Method>>,
    other: Arc<Method>,
}

impl Methods {
    /// `paths` are like `/marquee.events.v1.EventService/GetEvent`.
    pub(super) fn new(side: Side, paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let known = paths.into_iter().map(|path| {
            let path = path.as_ref();
            (path.into(), Arc::new(Method::new(side, path)))
        });
        Self {
            known: known.collect(),
            other: Arc::new(Method::new(side, "")),
        }
    }

    /// Begins a call of `path`, the step after `parent`.
    pub(super) fn begin(&self, path: &str, parent: Option<TraceContext>) -> Call {
        let method = Arc::clone(self.known.get(path).unwrap_or(&self.other));
        let mut span = Span::begin(method.side.kind(), parent, || {
            format!("{}/{}", method.service, method.name)
        });
        span.set("rpc.system", || "grpc");
        span.set("rpc.service", || String::from(&*method.service));
        span.set("rpc.method", || String::from(&*method.name));
        method.active(1.0);
        Call {
            method: Some(method),
            started: Instant::now(),
            span,
        }
    }
}

struct Method {
    side: Side,
    service: Box<str>,
    name: Box<str>,
    /// Registered when they are first needed, and kept: looking one up by its labels costs more than an RPC can spare.
    active: OnceLock<Gauge>,
    durations: [OnceLock<Histogram>; CODES.len()],
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

impl Method {
    fn new(side: Side, path: &str) -> Self {
        let (service, name) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((OTHER, OTHER));
        Self {
            side,
            service: service.into(),
            name: name.into(),
            active: OnceLock::new(),
            durations: Default::default(),
        }
    }

    fn active(&self, change: f64) {
        if self.side == Side::Server {
            self.active
                .get_or_init(|| {
                    gauge!(
                        "rpc_server_active_requests",
                        "rpc_service" => String::from(&*self.service),
                        "rpc_method" => String::from(&*self.name)
                    )
                })
                .increment(change);
        }
    }

    fn record(&self, code: usize, seconds: f64) {
        let (Some(duration), Some(&number)) = (self.durations.get(code), NUMBERS.get(code)) else {
            return;
        };
        duration
            .get_or_init(|| {
                histogram!(
                    self.side.durations(),
                    "rpc_service" => String::from(&*self.service),
                    "rpc_method" => String::from(&*self.name),
                    "rpc_grpc_status_code" => number
                )
            })
            .record(seconds);
    }
}

/// A call that runs. It ends once, at the latest when it is dropped: then the caller went away.
#[derive(Debug)]
pub struct Call {
    method: Option<Arc<Method>>,
    started: Instant,
    span: Span,
}

impl Call {
    /// The step of the trace that the call is.
    pub const fn context(&self) -> TraceContext {
        self.span.context()
    }

    /// It ended with this status code of gRPC; only the first end counts.
    pub fn ended(&mut self, code: i32) {
        self.end(usize::try_from(code).unwrap_or(UNKNOWN));
    }

    /// It ended as these headers or trailers say, if they do.
    pub fn ended_by(&mut self, headers: &HeaderMap) {
        if let Some(code) = code(headers) {
            self.end(code);
        }
    }

    pub(super) fn end(&mut self, code: usize) {
        let Some(method) = self.method.take() else { return };
        let code = if code < CODES.len() { code } else { UNKNOWN };
        let elapsed = self.started.elapsed();
        method.record(code, elapsed.as_secs_f64());
        method.active(-1.0);
        let name = CODES.get(code).copied().unwrap_or_default();
        self.span
            .set("rpc.grpc.status_code", || i64::try_from(code).unwrap_or(2));
        if method.side.is_error(code) {
            self.span.fail(|| name);
        }
        if method.side == Side::Server {
            tracing::debug!(rpc = ?method, status = name, ?elapsed, "answered");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(CANCELLED);
    }
}

fn code(headers: &HeaderMap) -> Option<usize> {
    let value = headers.get("grpc-status")?.as_bytes();
    // Nearly always.
    if value == b"0" {
        return Some(0);
    }
    Some(
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(UNKNOWN),
    )
}
