//! A live stream and its states: live <-> interrupted, either -> ended.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::LiveStreamName;
use serde::{Deserialize, Serialize};

use super::RecordingState;

/// Where a broadcast stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Media arrives.
    Live,
    /// The encoder is gone, the grace period runs.
    Interrupted,
    /// Over.
    Ended,
}

impl State {
    /// As it stands in the store.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Interrupted => "interrupted",
            Self::Ended => "ended",
        }
    }
}

/// What is measured of the media that arrives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) video_codec: String,
    pub(crate) audio_codec: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Frames per second.
    pub(crate) frame_rate: f64,
    /// Bits per second.
    pub(crate) bitrate: u64,
    pub(crate) keyframe_interval_ms: u64,
    pub(crate) media_duration_ms: u64,
    pub(crate) bytes: u64,
    /// Bits per second.
    #[serde(default)]
    pub(crate) video_bitrate: u64,
    #[serde(default)]
    pub(crate) audio_bitrate: u64,
    /// Pictures that the encoder left out, as its timestamps show it.
    #[serde(default)]
    pub(crate) dropped_frames: u64,
    /// Timestamps that the packager repaired.
    #[serde(default)]
    pub(crate) repaired_frames: u64,
    /// Media time minus wall time since the encoder connected.
    #[serde(default)]
    pub(crate) clock_drift_ms: i64,
    /// Newest audio minus newest video.
    #[serde(default)]
    pub(crate) audio_offset_ms: i64,
}

/// One second of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// When it was over.
    pub(crate) time: Timestamp,
    pub(crate) video_bitrate: u64,
    pub(crate) audio_bitrate: u64,
    pub(crate) frames: u64,
    pub(crate) dropped_frames: u64,
    pub(crate) repaired_frames: u64,
    pub(crate) keyframes: u64,
    pub(crate) clock_drift_ms: i64,
    pub(crate) audio_offset_ms: i64,
}

/// One broadcast of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LiveStream {
    id: String,
    pub(crate) channel: String,
    pub(crate) state: State,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) start_time: Timestamp,
    #[serde(with = "marquee_documents::sortable_time::option")]
    pub(crate) end_time: Option<Timestamp>,
    pub(crate) reconnects: u32,
    pub(crate) figures: Figures,
    /// Whether it is being recorded now.
    #[serde(default)]
    pub(crate) recording: RecordingState,
}

impl LiveStream {
    /// A broadcast whose first media has just arrived.
    pub(crate) fn start(name: &LiveStreamName, now: Timestamp) -> Self {
        Self {
            id: name.live_stream.clone(),
            channel: name.channel.clone(),
            state: State::Live,
            start_time: now,
            end_time: None,
            reconnects: 0,
            figures: Figures::default(),
            recording: RecordingState::default(),
        }
    }

    /// The encoder went away. False when there is nothing to change.
    pub(crate) fn interrupt(&mut self) -> bool {
        let live = self.state == State::Live;
        if live {
            self.state = State::Interrupted;
        }
        live
    }

    /// The encoder came back. False when there is nothing to change.
    pub(crate) fn resume(&mut self) -> bool {
        let interrupted = self.state == State::Interrupted;
        if interrupted {
            self.state = State::Live;
            self.reconnects += 1;
        }
        interrupted
    }

    /// It is over, for good. False when it was before.
    pub(crate) fn end(&mut self, now: Timestamp) -> bool {
        let running = self.state != State::Ended;
        if running {
            self.state = State::Ended;
            self.end_time = Some(now.max(self.start_time));
        }
        running
    }

    /// Its resource name.
    pub(crate) fn name(&self) -> LiveStreamName {
        LiveStreamName {
            channel: self.channel.clone(),
            live_stream: self.id.clone(),
        }
    }

    /// Path of its multivariant playlist.
    pub(crate) fn playback_path(&self) -> String {
        format!("/live/{}/{}/index.m3u8", self.channel, self.id)
    }
}

impl Document for LiveStream {
    const COLLECTION: &'static str = "live_streams";
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
        Index {
            name: "by_state",
            fields: &["state", "start_time"],
            unique: false,
        },
        Index {
            name: "by_channel_and_state",
            fields: &["channel", "state", "start_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> LiveStream {
        LiveStream::start(&LiveStreamName::new("c", "s").unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_reconnect_is_counted_once() {
        let mut stream = stream();
        assert!(!stream.resume(), "a live stream has nothing to resume");
        assert!(stream.interrupt() && !stream.interrupt());
        assert!(stream.resume() && !stream.resume());
        assert_eq!((stream.state, stream.reconnects), (State::Live, 1));
    }

    #[test]
    fn an_ended_stream_stays_ended() {
        let mut stream = stream();
        assert!(stream.end(Timestamp::UNIX_EPOCH));
        assert!(!stream.interrupt() && !stream.resume() && !stream.end(Timestamp::MAX));
        assert_eq!(stream.end_time, Some(Timestamp::UNIX_EPOCH));
    }
}
