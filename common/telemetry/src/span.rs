use std::borrow::Cow;
use std::time::SystemTime;

use crate::trace::TraceContext;

/// What a step of a trace is towards the others (OpenTelemetry, `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work within a process.
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call and waits for its answer.
    Client,
    /// Makes a message that somebody handles later.
    Producer,
    /// Handles a message.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// One step of a trace, from [`begin`](Self::begin) until it is dropped.
///
/// It costs two random numbers where nothing is exported or the trace is not sampled; names and attributes are only made
/// where they are recorded.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    record: Option<Box<Record>>,
}

/// What is told about a step that is over.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "nobody reads it without an exporter")
)]
pub(crate) struct Record {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<TraceContext>,
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) started: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) error: Option<Cow<'static, str>>,
}

impl Span {
    /// The step after `parent`, or the first of a new trace.
    pub fn begin<N: Into<Cow<'static, str>>>(
        kind: Kind,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Self {
        let context = parent.map_or_else(TraceContext::root, TraceContext::child);
        let record = (context.is_sampled() && is_exported()).then(|| {
            let now = SystemTime::now();
            Box::new(Record {
                context,
                parent,
                kind,
                name: name().into(),
                started: now,
                ended: now,
                attributes: Vec::new(),
                error: None,
            })
        });
        Self { context, record }
    }

    /// Its context: for what runs in it, and to send to others.
    pub const fn context(&self) -> TraceContext {
        self.context
    }

    /// Adds an attribute, which is only made when the step is recorded.
    pub fn set<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if let Some(record) = &mut self.record {
            record.attributes.push((key, value().into()));
        }
    }

    /// The step failed. The reason must hold nothing that only the caller may know.
    pub fn fail<R: Into<Cow<'static, str>>>(&mut self, reason: impl FnOnce() -> R) {
        if let Some(record) = &mut self.record {
            record.error = Some(reason().into());
        }
    }

    /// As [`begin`](Self::begin), for a step that began earlier.
    #[must_use]
    pub fn started_at(mut self, time: SystemTime) -> Self {
        if let Some(record) = &mut self.record {
            record.started = time;
        }
        self
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.ended = SystemTime::now();
            hand_over(*record);
        }
    }
}

/// Whether spans go anywhere: for whoever would have to work to make them.
pub fn exports_traces() -> bool {
    is_exported()
}

#[cfg(feature = "otlp")]
use crate::export::{hand_over, is_exported};

#[cfg(not(feature = "otlp"))]
const fn is_exported() -> bool {
    false
}

#[cfg(not(feature = "otlp"))]
fn hand_over(_: Record) {}
