use std::io::stderr;

use crate::{Metrics, TelemetryArgs, log, trace};

/// Keeps telemetry going until the process ends; dropping it sends what is buffered, within a bound.
#[must_use]
#[derive(Debug)]
pub struct Guard {
    #[cfg(feature = "otlp")]
    exporter: Option<crate::export::Exporter>,
}

impl Guard {
    /// Sends what is buffered, for five seconds at most; what is left then is lost.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(clippy::unused_async, reason = "there is nothing to send")
    )]
    pub async fn shutdown(self) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = self.exporter {
            exporter.shutdown().await;
        }
    }
}

/// Starts logging to standard error, collecting metrics, and sending traces if there is a place to send them; once for
/// the process: a second call changes nothing, so that several instances can run in one process. Must be called within
/// a Tokio runtime when traces are sent.
pub fn init(service: &'static str, args: &TelemetryArgs) -> Guard {
    marquee_error::set_trace_id_source(trace::current_trace_id);
    let subscriber = log::subscriber(&args.log.log.0, args.log.log_format, stderr);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        log::log_panics();
    }
    let _ = Metrics::install();
    metrics::gauge!("target_info", "service_name" => service, "service_version" => env!("CARGO_PKG_VERSION"))
        .set(1.0);
    trace::sample(args.export.trace_ratio.get());
    Guard {
        #[cfg(feature = "otlp")]
        exporter: args
            .export
            .otlp_endpoint
            .as_ref()
            .and_then(|endpoint| crate::export::Exporter::start(service, endpoint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_can_be_started_twice() {
        let _first = init("events", &TelemetryArgs::default());
        let _second = init("search", &TelemetryArgs::default());
        assert!(Metrics::install().render().contains("service_name=\"search\""));
    }
}
