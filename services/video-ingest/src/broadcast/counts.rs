//! What a broadcast adds to the metrics of the process.

use metrics::{Counter, Gauge, counter, gauge};

/// Handles, so that nothing is looked up by name per frame.
pub(super) struct Counts {
    live_streams: Gauge,
    is_counted: bool,
    /// Bytes of frames.
    pub(super) received: Counter,
    pub(super) segments: Counter,
    /// Of the timeline, by the packager.
    pub(super) repairs: Counter,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            live_streams: gauge!("video_ingest_live_streams"),
            is_counted: false,
            received: counter!("video_ingest_received_bytes_total"),
            segments: counter!("video_ingest_segments_written_total"),
            repairs: counter!("video_ingest_timeline_repairs_total"),
        }
    }
}

impl Counts {
    /// Counts the stream among those that are on the air, or not any more.
    pub(super) fn on_air(&mut self, is_live: bool) {
        match (self.is_counted, is_live) {
            (false, true) => self.live_streams.increment(1.0),
            (true, false) => self.live_streams.decrement(1.0),
            _ => {}
        }
        self.is_counted = is_live;
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.on_air(false);
    }
}
