//! What is left of a live stream.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::{LiveStreamName, RecordingName};
use serde::{Deserialize, Serialize};

/// Why a stream that should be recorded is not, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pause {
    /// The disk has no more than its reserve left.
    DiskFull,
    /// All recordings together have what they may have, and none of them can go.
    Quota,
    /// The same of the channel's own.
    ChannelQuota,
    /// The object store is away, and what waits for it has come to its limit.
    UploadBacklog,
    /// The disk does not answer.
    DiskSlow,
    /// The disk answers with an error.
    DiskFailed,
}

impl Pause {
    /// In logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Quota => "quota",
            Self::ChannelQuota => "channel_quota",
            Self::UploadBacklog => "upload_backlog",
            Self::DiskSlow => "disk_slow",
            Self::DiskFailed => "disk_failed",
        }
    }
}

/// Whether a stream is being recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordingState {
    /// Its key, or the service, says that nothing is kept.
    Off,
    /// All that arrives is kept.
    #[default]
    On,
    /// What arrives now is not kept; the stream goes on.
    Paused(Pause),
}

/// Where a recording is played from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordingStorage {
    /// The disk of the service that recorded it.
    #[default]
    Disk,
    /// That disk, and in part the object store already.
    Uploading,
    /// The object store.
    Objects,
}

/// A recording; it has its live stream's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recording {
    id: String,
    pub(crate) channel: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) start_time: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) size_bytes: u64,
    /// Where it is.
    #[serde(default)]
    pub(crate) stored: RecordingStorage,
}

impl Recording {
    /// The recording of a stream that is over.
    pub(crate) fn of(
        stream: &LiveStreamName,
        start_time: Timestamp,
        duration_ms: u64,
        size_bytes: u64,
        stored: RecordingStorage,
    ) -> Self {
        Self {
            id: stream.live_stream.clone(),
            channel: stream.channel.clone(),
            start_time,
            duration_ms,
            size_bytes,
            stored,
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
