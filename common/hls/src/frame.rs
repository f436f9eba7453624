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

/// One coded frame. H.264 and H.265 are length-prefixed NAL units as in `mdat`, AV1 is a temporal unit, VP9 a frame or
/// superframe; AAC is a raw access unit (no ADTS), Opus a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The medium.
    pub track: Track,
    /// Decode time in milliseconds, modulo 2^32, as in RTMP and FLV.
    pub dts_ms: u32,
    /// Nanoseconds that the frame is later than its milliseconds say, below 1,000,000 (E-RTMP TimestampOffsetNano).
    pub offset_ns: u32,
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
            offset_ns: 0,
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
            offset_ns: 0,
            composition_ms: 0,
            keyframe: true,
            data,
        }
    }

    /// The same frame so many nanoseconds later; a whole millisecond and more is not believed.
    #[must_use]
    pub fn with_offset_ns(self, offset_ns: u32) -> Self {
        Self {
            offset_ns: if offset_ns < 1_000_000 { offset_ns } else { 0 },
            ..self
        }
    }

    /// The offset in ticks of a track.
    pub(crate) fn nanos_in(&self, timescale: u32) -> i64 {
        (i64::from(self.offset_ns) * i64::from(timescale) + 500_000_000) / 1_000_000_000
    }
}
