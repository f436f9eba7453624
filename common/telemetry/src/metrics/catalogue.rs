//! Every metric of Marquee, so that each has its help, and `docs/OPERATIONS.md` can be compared with what there is.

use std::fmt;

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// The type of a metric, as Prometheus names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// A metric and what it tells.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// What it tells, in one sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Described {
    Described {
        name,
        kind: MetricKind::Counter,
        help,
    }
}

const fn gauge(name: &'static str, help: &'static str) -> Described {
    Described {
        name,
        kind: MetricKind::Gauge,
        help,
    }
}

const fn histogram(name: &'static str, help: &'static str) -> Described {
    Described {
        name,
        kind: MetricKind::Histogram,
        help,
    }
}

/// All of them. Names follow OpenTelemetry's semantic conventions in Prometheus' form where there is one, else they begin
/// with `marquee_` or the service's name.
pub const METRICS: &[Described] = &[
    // Calls.
    histogram(
        "rpc_server_duration_seconds",
        "How long RPCs took, streams until their end",
    ),
    gauge(
        "rpc_server_active_requests",
        "RPCs that are being answered, open streams among them",
    ),
    histogram(
        "rpc_client_duration_seconds",
        "How long calls of other services took, retries included",
    ),
    histogram(
        "http_server_request_duration_seconds",
        "How long REST requests took until their answer began",
    ),
    gauge("marquee_server_connections", "Connections that are open"),
    counter(
        "process_network_io_bytes_total",
        "Bytes read from and written to clients, without RTMP",
    ),
    // Messages.
    histogram(
        "messaging_publish_duration_seconds",
        "How long the bus took until a batch was durable",
    ),
    counter(
        "messaging_client_sent_messages_total",
        "Messages that the bus has taken",
    ),
    histogram(
        "messaging_process_duration_seconds",
        "How long handlers took for a message, each attempt by itself",
    ),
    counter(
        "messaging_client_consumed_messages_total",
        "Messages that came to consumers",
    ),
    counter(
        "marquee_consumer_retries_total",
        "Attempts to handle a message that failed and are made again",
    ),
    counter(
        "marquee_consumer_dead_letters_total",
        "Messages that can never be handled",
    ),
    gauge(
        "marquee_consumer_lag_messages",
        "Messages that the group has before it, in the partitions of this process",
    ),
    gauge(
        "marquee_outbox_depth_messages",
        "Committed messages that the bus does not have yet",
    ),
    gauge(
        "marquee_outbox_lag_seconds",
        "How long the oldest of them has been waiting",
    ),
    // Stores.
    histogram(
        "db_client_operation_duration_seconds",
        "How long operations of stores and indexes took",
    ),
    // The process.
    gauge("process_resident_memory_bytes", "Memory that is in use"),
    gauge("process_virtual_memory_bytes", "Address space that is in use"),
    counter(
        "process_cpu_seconds_total",
        "Time that processors spent on the process",
    ),
    gauge("process_threads", "Threads"),
    gauge("process_open_fds", "Open files and sockets"),
    gauge("process_max_fds", "How many may be open"),
    gauge(
        "process_start_time_seconds",
        "When the process was started, since 1970",
    ),
    gauge("target_info", "Which service this is"),
    gauge("marquee_build_info", "Which build this is"),
    counter(
        "otel_sdk_exporter_span_exported_total",
        "Spans that were sent to the collector, or could not be",
    ),
    counter(
        "otel_sdk_processor_span_processed_total",
        "Spans that were dropped since the queue was full",
    ),
    // video-ingest.
    gauge("video_ingest_live_streams", "Streams that are on the air"),
    counter(
        "video_ingest_received_bytes_total",
        "Bytes of media that encoders sent",
    ),
    counter("video_ingest_segments_written_total", "Segments that were made"),
    counter(
        "video_ingest_segments_not_stored_total",
        "Segments that were shown and are missing in the recording",
    ),
    gauge(
        "video_ingest_recordings_paused",
        "Streams that should be recorded and are not now",
    ),
    gauge("video_ingest_media_bytes", "Bytes of media in the media folder"),
    gauge(
        "video_ingest_media_free_bytes",
        "Bytes left on the disk of the media folder",
    ),
    gauge(
        "video_ingest_upload_backlog_bytes",
        "Bytes that wait to be brought to the object store",
    ),
    counter(
        "video_ingest_uploaded_bytes_total",
        "Bytes brought to the object store",
    ),
    histogram(
        "video_ingest_upload_duration_seconds",
        "Bringing one file to the object store",
    ),
    counter(
        "video_ingest_upload_failures_total",
        "Tries to reach the object store that failed",
    ),
    gauge(
        "video_ingest_object_store_up",
        "Whether the last request to the object store was answered",
    ),
    counter(
        "video_ingest_recordings_deleted_total",
        "Recordings that were deleted",
    ),
    counter(
        "video_ingest_timeline_repairs_total",
        "Timestamps of encoders that had to be repaired",
    ),
    counter(
        "video_ingest_connections_refused_total",
        "Connections of encoders that were refused",
    ),
    counter(
        "video_ingest_publishes_refused_total",
        "Attempts to publish that were refused",
    ),
    gauge("video_ingest_viewers", "Viewers whose requests reach the process"),
    counter("video_ingest_webhooks_total", "Calls of webhooks"),
    counter(
        "video_ingest_waiting_refused_total",
        "Players that were refused since too many wait",
    ),
    counter(
        "video_ingest_tracks_left_out_total",
        "Tracks of encoders that are not carried",
    ),
    gauge("video_ingest_players", "Players of RTMP and HTTP-FLV"),
    counter(
        "video_ingest_players_refused_total",
        "Players of RTMP and HTTP-FLV that were refused",
    ),
    counter(
        "video_ingest_players_stalled_total",
        "Players of RTMP and HTTP-FLV that took nothing any more",
    ),
    counter(
        "video_ingest_relay_lost_tags_total",
        "Messages that readers of the relay were too slow for",
    ),
    gauge(
        "video_ingest_forwarding_jobs",
        "Streams that are to be forwarded now",
    ),
    gauge(
        "video_ingest_forwarding_live",
        "Streams that another server takes",
    ),
    counter(
        "video_ingest_forwarding_failures_total",
        "Attempts to forward that failed",
    ),
    counter(
        "video_ingest_forwarded_bytes_total",
        "Bytes sent to other servers",
    ),
    // search.
    counter(
        "search_indexed_records_total",
        "Messages whose change is in the index",
    ),
    histogram(
        "search_index_delay_seconds",
        "From a change to its being searchable",
    ),
    counter("search_dead_letters_total", "Messages that cannot be indexed"),
    // analytics.
    gauge("analytics_concurrent_viewers", "Viewers who are watching"),
    counter(
        "analytics_beacons_accepted_total",
        "Beacons of players that were taken",
    ),
    counter(
        "analytics_beacons_rejected_total",
        "Beacons of players that were refused",
    ),
    counter(
        "analytics_playback_messages_total",
        "Playback messages that were handled",
    ),
    counter(
        "analytics_playback_produced_total",
        "Playback messages that were there to be handled",
    ),
    counter(
        "analytics_store_retries_total",
        "Transactions that were made again since another replica came between",
    ),
    counter(
        "analytics_swept_sessions_total",
        "Sessions that were closed since their player fell silent",
    ),
];

pub(super) fn described(name: &str) -> Option<&'static Described> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Gives each its help; after the recorder was installed.
pub(super) fn describe() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_unit_and_are_told_once() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        assert!(
            names.windows(2).all(|pair| pair.first() != pair.last()),
            "{names:?}"
        );
        for metric in METRICS {
            let total = metric.name.ends_with("_total");
            assert_eq!(total, metric.kind == MetricKind::Counter, "{}", metric.name);
            if metric.kind == MetricKind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }
}
