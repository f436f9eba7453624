//! Log lines: for people or machines, with the trace that they belong to.

use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::sync::OnceLock;

use serde::ser::{SerializeMap as _, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer as _, prelude::*};

use crate::LogFormat;
use crate::trace::TraceContext;

/// What a process logs with.
pub(crate) fn subscriber<W>(filter: &str, format: LogFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => {
            let ansi = stderr().is_terminal();
            lines
                .with_ansi(ansi)
                .event_format(Text(Format::default().with_ansi(ansi)))
                .boxed()
        }
        LogFormat::Json => lines.event_format(Json).boxed(),
    };
    tracing_subscriber::registry()
        .with(EnvFilter::new(filter))
        .with(lines)
}

static REQUEST_ID: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// Says where the id of the request that the running task answers comes from: it is told in every log line inside the
/// request. The first call counts.
///
/// Called by `marquee-server`, which stands above this crate.
pub fn set_request_id_source(source: fn() -> Option<String>) {
    let _ = REQUEST_ID.set(source);
}

fn request_id() -> Option<String> {
    REQUEST_ID.get().and_then(|source| source())
}

/// A panic is a log line like any other error, with the trace it happened in.
pub(crate) fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(location = location.as_deref(), "panicked: {message}");
        // The default hook adds a backtrace when one was asked for.
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(panic);
        }
    }));
}

/// The usual line, and the trace and the request at its end.
struct Text(Format);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (trace, request) = (TraceContext::current(), request_id());
        if trace.is_none() && request.is_none() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        write!(writer, "{}", line.trim_end())?;
        if let Some(trace) = trace {
            write!(writer, " trace_id={}", trace.trace_id())?;
        }
        if let Some(request) = request {
            write!(writer, " request_id={request}")?;
        }
        writeln!(writer)
    }
}

/// One object per line: timestamp, level, target, message, the fields of the event, `trace_id`, `span_id`, `request_id`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut line = Vec::with_capacity(256);
        let object = |line: &mut Vec<u8>| -> serde_json::Result<()> {
            let mut serializer = serde_json::Serializer::new(line);
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("timestamp", &timestamp)?;
            map.serialize_entry("level", event.metadata().level().as_str())?;
            map.serialize_entry("target", event.metadata().target())?;
            if let Some(trace) = TraceContext::current() {
                map.serialize_entry("trace_id", &trace.trace_id())?;
                map.serialize_entry("span_id", &trace.span_id())?;
            }
            if let Some(request) = request_id() {
                map.serialize_entry("request_id", &request)?;
            }
            let mut fields = Fields { map, result: Ok(()) };
            event.record(&mut fields);
            fields.result?;
            fields.map.end()
        };
        object(&mut line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8(line).map_err(|_| fmt::Error)?)
    }
}

/// Writes the fields of an event into an object.
struct Fields<M: serde::ser::SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
}

impl<M: serde::ser::SerializeMap> Fields<M> {
    fn write(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: serde::ser::SerializeMap> Visit for Fields<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
