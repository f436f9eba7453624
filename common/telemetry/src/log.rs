use std::io::{IsTerminal as _, stderr};
use std::str::FromStr;

use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, prelude::*};

use crate::{Metrics, trace};

/// How a process logs.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// What to log: a level, or directives such as `info,marquee_search=debug`
    #[arg(
        long = "log",
        value_name = "FILTER",
        default_value = "info",
        env = "MARQUEE_LOG",
        global = true
    )]
    pub log: Filter,
    /// Text for people, JSON for machines
    #[arg(long = "log-format", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, env = "MARQUEE_LOG_FORMAT", global = true)]
    pub log_format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self {
            log: Filter("info".to_owned()),
            log_format: LogFormat::Text,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for a person; coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Directives of a log filter that are known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("not a log filter: {error}")),
        }
    }
}

/// Keeps telemetry going until the process ends; dropping it flushes what is buffered.
#[must_use]
#[derive(Debug)]
pub struct Guard(());

/// Starts logging to standard error and collecting metrics, once for the process; a second call changes nothing, so
/// that several instances can run in one process.
pub fn init(service: &'static str, args: &LogArgs) -> Guard {
    marquee_error::set_trace_id_source(trace::current_trace_id);
    let subscriber = tracing_subscriber::registry().with(layers(&args.log.0, args.log_format));
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        log_panics();
    }
    let _ = Metrics::install();
    metrics::gauge!("target_info", "service_name" => service, "service_version" => env!("CARGO_PKG_VERSION"))
        .set(1.0);
    Guard(())
}

pub(crate) fn layers(filter: &str, format: LogFormat) -> Vec<Box<dyn Layer<Registry> + Send + Sync>> {
    let filter = EnvFilter::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_span_events(FmtSpan::NONE);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    };
    // Spans that carry a trace context have to exist even when the log is too quiet to show them.
    let traces = KeepTraces.with_filter(FilterFn::new(|metadata| {
        metadata.is_span() && metadata.target() == trace::TARGET
    }));
    vec![lines, traces.boxed()]
}

struct KeepTraces;

impl Layer<Registry> for KeepTraces {}

/// A panic is a log line like any other error, with the span it happened in.
fn log_panics() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ill_formed_filter_is_refused_where_it_is_given() {
        assert!("info,marquee_search=debug".parse::<Filter>().is_ok());
        assert!(
            "marquee=loud"
                .parse::<Filter>()
                .unwrap_err()
                .starts_with("not a log filter")
        );
    }

    #[test]
    fn telemetry_can_be_started_twice() {
        let _first = init("events", &LogArgs::default());
        let _second = init("search", &LogArgs::default());
        assert!(Metrics::install().render().contains("service_name=\"search\""));
    }
}
