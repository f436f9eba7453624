use std::str::FromStr;

use http::Uri;
use tracing_subscriber::EnvFilter;

/// How a process logs, and where its traces go.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TelemetryArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub log: LogArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub export: ExportArgs,
}

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

/// Where the traces of a process go.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ExportArgs {
    /// OpenTelemetry collector that traces are sent to by OTLP over gRPC, for example http://127.0.0.1:4317; without it
    /// none are (needs a binary that was built with the feature otlp)
    #[arg(
        long = "otlp-endpoint",
        value_name = "URL",
        env = "MARQUEE_OTLP_ENDPOINT",
        global = true
    )]
    pub otlp_endpoint: Option<Endpoint>,
    /// Share of the traces that begin here and are recorded, from 0 to 1; what comes with a trace of its caller is
    /// recorded when the caller's is
    #[arg(
        long = "trace-ratio",
        value_name = "RATIO",
        default_value_t = Ratio(1.0),
        env = "MARQUEE_TRACE_RATIO",
        global = true
    )]
    pub trace_ratio: Ratio,
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
pub struct Filter(pub(crate) String);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("not a log filter: {error}")),
        }
    }
}

/// Address of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl Endpoint {
    /// The address.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !cfg!(feature = "otlp") {
            return Err("this binary cannot send traces: build it with --features otlp".to_owned());
        }
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err("not an http:// URL; run a collector beside the process for TLS".to_owned());
        }
        Ok(Self(uri))
    }
}

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// As a number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err("not a number from 0 to 1".to_owned()),
        }
    }
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
    fn a_ratio_is_from_0_to_1() {
        assert_eq!("0.25".parse(), Ok(Ratio(0.25)));
        for text in ["-0.1", "1.1", "NaN", "much"] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn an_endpoint_is_a_plain_http_address() {
        assert!("http://127.0.0.1:4317".parse::<Endpoint>().is_ok());
        for text in ["127.0.0.1:4317", "https://collector", "http:", "/v1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_binary_that_cannot_export_says_how_to_get_one_that_can() {
        let refused = "http://127.0.0.1:4317".parse::<Endpoint>().unwrap_err();
        assert!(refused.contains("--features otlp"), "{refused}");
    }
}
