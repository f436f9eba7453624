//! What is left of a live stream.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::{LiveStreamName, RecordingName};
use serde::{Deserialize, Serialize};

/// A recording; it has its live stream's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recording {
    id: String,
    pub(crate) channel: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) start_time: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) size_bytes: u64,
}

impl Recording {
    /// The recording of a stream that is over.
    pub(crate) fn of(
        stream: &LiveStreamName,
        start_time: Timestamp,
        duration_ms: u64,
        size_bytes: u64,
    ) -> Self {
        Self {
            id: stream.live_stream.clone(),
            channel: stream.channel.clone(),
            start_time,
            duration_ms,
            size_bytes,
        }
    }

    /// Its resource name.
    pub(crate) fn name(&self) -> RecordingName {
        RecordingName {
            channel: self.channel.clone(),
            recording: self.id.clone(),
        }
    }

    /// The live stream it comes from.
    pub(crate) fn live_stream(&self) -> LiveStreamName {
        LiveStreamName {
            channel: self.channel.clone(),
            live_stream: self.id.clone(),
        }
    }

    /// Path of its playlist.
    pub(crate) fn playback_path(&self) -> String {
        format!("/recordings/{}/{}/index.m3u8", self.channel, self.id)
    }
}

impl Document for Recording {
    const COLLECTION: &'static str = "recordings";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_start",
            fields: &["start_time"],
            unique: false,
        },
        Index {
            name: "by_channel",
            fields: &["channel", "start_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}
