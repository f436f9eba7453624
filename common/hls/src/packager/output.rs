//! What the packager gives out.

use std::sync::Arc;

use bytes::Bytes;

use crate::playlist::Record;
use crate::{InitRecord, Part, SegmentRecord, Track, UtcMicros};

/// Where a stream stands between two publishers, or two lives of the process. The default is a new stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The media sequence number of the next segment.
    pub next_msn: u64,
    /// The next generation.
    pub next_generation: u32,
    /// `EXT-X-TARGETDURATION` in seconds, once the first segment has fixed it.
    pub target_duration: Option<u32>,
    /// `PART-TARGET` in microseconds, once the first generation has fixed it.
    pub part_target_us: Option<i64>,
    /// Media time in microseconds after all that was stored.
    pub media_end_us: i64,
    /// Wall clock of that end: program date-times never go back.
    pub program_end: Option<UtcMicros>,
}

/// An initialization segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// What the playlists need to know.
    pub record: InitRecord,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
}

/// A finished segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What the playlists and the journal need to know.
    pub record: SegmentRecord,
    /// Its parts, the same that were given out before.
    pub parts: Vec<Arc<Part>>,
}

impl Segment {
    /// The file's content in order, for a vectored write.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter().flat_map(|part| part.chunks())
    }
}

/// What the packager gives out, in an order that may be stored as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Before the first part of each generation.
    Init(Init),
    /// As soon as it is complete.
    Part(Arc<Part>),
    /// After its last part.
    Segment(Segment),
    /// Something was left out or repaired; worth a log line and a counter.
    Warning(Warning),
}

impl Output {
    /// The journal's line for it, if it has one.
    pub fn record(&self) -> Option<Record> {
        match self {
            Self::Init(init) => Some(init.record.clone().into()),
            Self::Segment(segment) => Some(segment.record.clone().into()),
            Self::Part(_) | Self::Warning(_) => None,
        }
    }
}

/// What was left out or repaired. Each is given once per occurrence, not once per frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Frames of a track came before its sequence header.
    #[error("{0:?} frames before their sequence header are left out")]
    FrameBeforeConfig(Track),
    /// Pictures came before the first keyframe.
    #[error("pictures before the first keyframe are left out")]
    BeforeKeyframe,
    /// Timestamps jumped; the timeline goes on without a gap.
    #[error("{track:?} timestamps jumped by {by_ms} ms")]
    TimestampJump {
        /// The track that jumped first.
        track: Track,
        /// How far from what was expected.
        by_ms: i64,
    },
    /// Audio timestamps had drifted from the sample count.
    #[error("audio was {by_ms} ms off its sample count")]
    AudioResynchronised {
        /// Positive: a gap is left. Negative: frames are left out until audio fits again.
        by_ms: i64,
    },
    /// A segment had to end without a keyframe, since the target duration is fixed or its bytes are bounded.
    #[error("segment {msn} was cut without a keyframe")]
    CutWithoutKeyframe {
        /// Its media sequence number.
        msn: u64,
    },
    /// A track began, changed or stopped, so that a new generation starts here.
    #[error("the tracks changed: a new generation starts")]
    TracksChanged,
}
