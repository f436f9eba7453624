//! Where librdkafka's log goes: to ours, at levels that an operator can live with.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// For clients that need no more than the log.
pub(super) struct Quiet;

impl rdkafka::consumer::ConsumerContext for Quiet {}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        trouble(&error, reason);
    }
}

/// A broker that cannot be reached is told once by [`Probe`](super::probe::Probe), and not by each client at each try.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    let connection = matches!(facility, "FAIL" | "ERROR" | "MAXPOLL" | "REQTMOUT" | "SESSTMOUT");
    // GETPID: a broker that has just started loads its coordinator. CONFWARN: a setting that we have chosen knowingly (ADR 0007).
    let expected = matches!(facility, "GETPID" | "CONFWARN");
    match level {
        _ if connection || expected => tracing::debug!(target: "librdkafka", facility, "{text}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::debug!(target: "librdkafka", facility, "{text}");
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility, "{text}"),
    }
}

/// What librdkafka tells about itself; it goes on by itself.
pub(super) fn trouble(error: &KafkaError, reason: &str) {
    tracing::debug!(target: "librdkafka", %error, "{reason}");
}
