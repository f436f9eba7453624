//! What the caller sets and announces.

use std::time::Duration;

use crate::{AudioConfig, VideoConfig};

/// Limits and targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A segment ends at the first keyframe after about this long. Default 2 s.
    pub segment_target: Duration,
    /// `EXT-X-TARGETDURATION` in seconds, so that playlists can be had from the first part on. A longer keyframe interval
    /// then makes segments that do not all start with a keyframe. Default `None`: the first segment fixes it, however long
    /// the keyframe interval is, and there is no playlist before.
    pub target_duration: Option<u32>,
    /// A part is about this long. Default 200 ms.
    pub part_target: Duration,
    /// Timestamps that go further forward than this are a jump, and a smaller step is a gap. Default 3 s.
    pub jump_forward: Duration,
    /// Timestamps that go further back than this are a jump. Default 500 ms.
    pub jump_backward: Duration,
    /// How much media is waited for before a track that has not shown up is left out. Default 1 s.
    pub missing_track_wait: Duration,
    /// A generation ends, and the next goes on without sound, when there was none for so long: players would wait for it.
    /// Default 5 s.
    pub silent_track_limit: Duration,
    /// Longest time without a keyframe. Default 30 s.
    pub keyframe_limit: Duration,
    /// A segment that grows over this is cut without a keyframe. Default 64 MiB.
    pub max_segment_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_target: Duration::from_secs(2),
            target_duration: None,
            part_target: Duration::from_millis(200),
            jump_forward: Duration::from_secs(3),
            jump_backward: Duration::from_millis(500),
            missing_track_wait: Duration::from_secs(1),
            silent_track_limit: Duration::from_secs(5),
            keyframe_limit: Duration::from_secs(30),
            max_segment_bytes: 64 << 20,
        }
    }
}

/// A sequence header of either track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaConfig {
    /// Of the pictures.
    Video(VideoConfig),
    /// Of the sound.
    Audio(AudioConfig),
}

/// What the publisher's metadata announces; the packager then waits for all of it, and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// There will be pictures.
    pub video: bool,
    /// There will be sound.
    pub audio: bool,
}
