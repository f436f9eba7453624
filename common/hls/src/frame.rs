//! One coded picture or audio frame, as the ingest protocol gives it.

use bytes::Bytes;

/// Which of the two media a frame or a configuration belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Track {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One coded frame. Video is length-prefixed NAL units as in `mdat`, audio a raw AAC access unit (no ADTS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The medium.
    pub track: Track,
    /// Decode time in milliseconds, modulo 2^32, as in RTMP and FLV.
    pub dts_ms: u32,
    /// Presentation time minus decode time in milliseconds; zero for audio.
    pub composition_ms: i32,
    /// Whether decoding can start here. Ignored for audio.
    pub keyframe: bool,
    /// The coded bytes; kept and passed on, never copied.
    pub data: Bytes,
}

impl Frame {
    /// A picture.
    pub fn video(dts_ms: u32, composition_ms: i32, keyframe: bool, data: Bytes) -> Self {
        Self {
            track: Track::Video,
            dts_ms,
            composition_ms,
            keyframe,
            data,
        }
    }

    /// An audio frame.
    pub fn audio(dts_ms: u32, data: Bytes) -> Self {
        Self {
            track: Track::Audio,
            dts_ms,
            composition_ms: 0,
            keyframe: true,
            data,
        }
    }
}
