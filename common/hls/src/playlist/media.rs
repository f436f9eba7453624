//! The media playlist (RFC 8216bis 4.4.3, 4.4.4 and 6.2.2).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::{SegmentRecord, init_name, segment_name};

/// How a playlist grows and shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Old segments leave. At least three target durations stay, however short the window.
    Live {
        /// How much stays; longer for a DVR window.
        window: Duration,
    },
    /// Nothing leaves.
    Event,
    /// A recording: everything, and it always has its ENDLIST.
    Vod,
}

/// Measured bits per second of media, for BANDWIDTH and AVERAGE-BANDWIDTH (RFC 8216bis 4.4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// The largest of any segment that is at least half a target duration long.
    pub peak: u64,
    /// Over all segments there ever were.
    pub average: u64,
}

/// A media playlist: finished segments, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPlaylist {
    kind: Kind,
    segments: VecDeque<SegmentRecord>,
    listed_us: i64,
    discontinuity_sequence: u64,
    ended: bool,
    peak: u64,
    total_bytes: u64,
    total_us: i64,
}

impl MediaPlaylist {
    /// An empty playlist.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            segments: VecDeque::new(),
            listed_us: 0,
            discontinuity_sequence: 0,
            ended: false,
            peak: 0,
            total_bytes: 0,
            total_us: 0,
        }
    }

    /// An empty playlist of a stream of which something was passed over, and this many discontinuities with it.
    pub(super) fn after(kind: Kind, discontinuities: u64) -> Self {
        Self {
            discontinuity_sequence: discontinuities,
            ..Self::new(kind)
        }
    }

    /// Appends a segment and returns those that leave the window. Their files must stay until players that hold the last
    /// playlist with them are done: for the segment's own duration and that of the playlist (RFC 8216bis 6.2.2).
    pub fn push(&mut self, segment: SegmentRecord) -> Vec<SegmentRecord> {
        self.ended = false;
        self.measure(&segment);
        self.listed_us += segment.duration_us;
        let target_duration = segment.target_duration;
        self.segments.push_back(segment);
        let Kind::Live { window } = self.kind else {
            return Vec::new();
        };
        let keep_us = keep_us(window, target_duration);
        let mut left = Vec::new();
        while let Some(oldest) = self.segments.front()
            && self.listed_us - oldest.duration_us >= keep_us
            && let Some(oldest) = self.segments.pop_front()
        {
            self.listed_us -= oldest.duration_us;
            self.discontinuity_sequence += u64::from(oldest.discontinuity);
            left.push(oldest);
        }
        left
    }

    fn measure(&mut self, segment: &SegmentRecord) {
        self.total_bytes += segment.bytes;
        self.total_us += segment.duration_us;
        let is_long = segment.duration_us * 2 >= i64::from(segment.target_duration) * 1_000_000;
        if is_long || self.peak == 0 {
            self.peak = self.peak.max(bits_per_second(segment.bytes, segment.duration_us));
        }
    }

    /// Nothing will follow, unless [`Self::push`] is called again.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The stream goes on after all.
    pub(super) fn resume(&mut self) {
        self.ended = false;
    }

    /// Whether ENDLIST is written.
    pub fn ended(&self) -> bool {
        self.ended || self.kind == Kind::Vod
    }

    /// The listed segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &SegmentRecord> + ExactSizeIterator {
        self.segments.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether what is listed is as long as it has to be, with so much before it.
    pub(super) fn has_enough_after(&self, before_us: i64, target_duration: u32) -> bool {
        let Kind::Live { window } = self.kind else {
            return true;
        };
        before_us + self.listed_us >= keep_us(window, target_duration)
    }

    /// The sum of what is listed.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.listed_us.unsigned_abs())
    }

    /// Discontinuities that have left the window.
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// Whether every listed segment starts with a keyframe.
    pub fn independent_segments(&self) -> bool {
        self.segments.iter().all(|segment| segment.independent)
    }

    /// Measured over everything that was pushed.
    pub fn bandwidth(&self) -> Bandwidth {
        let average = bits_per_second(self.total_bytes, self.total_us);
        Bandwidth {
            peak: self.peak.max(average),
            average,
        }
    }

    /// The text; `None` while there is no segment, since the target duration is not known before. `base` is put before
    /// each URI: empty, or a path that ends with a slash. Render once per change and serve the same bytes to all.
    pub fn render(&self, base: &str) -> Option<String> {
        let first = self.segments.front()?;
        let mut text = String::with_capacity(256 + self.segments.len() * (48 + base.len()));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}",
            first.target_duration, first.msn
        );
        if self.discontinuity_sequence > 0 {
            let _ = writeln!(
                text,
                "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
                self.discontinuity_sequence
            );
        }
        match self.kind {
            Kind::Live { .. } => {}
            Kind::Event => text.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Kind::Vod => text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
        }
        if self.independent_segments() {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        let mut generation = None;
        for segment in &self.segments {
            if segment.discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if generation != Some(segment.generation) {
                let name = init_name(segment.generation);
                let _ = writeln!(text, "#EXT-X-MAP:URI=\"{base}{name}\"");
            }
            if generation.is_none() || segment.discontinuity {
                let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", segment.program_date_time);
            }
            generation = Some(segment.generation);
            let (length, name) = (seconds(segment.duration_us), segment_name(segment.msn));
            let _ = writeln!(text, "#EXTINF:{length},\n{base}{name}");
        }
        if self.ended() {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        Some(text)
    }
}

/// What a live playlist never goes below (RFC 8216bis 6.2.2).
fn keep_us(window: Duration, target_duration: u32) -> i64 {
    let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    window_us.max(3 * i64::from(target_duration) * 1_000_000)
}

/// Seconds with six decimals, as they stand in playlists.
pub(super) fn seconds(micros: i64) -> impl std::fmt::Display {
    std::fmt::from_fn(move |f| write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000))
}

pub(super) fn bits_per_second(bytes: u64, micros: i64) -> u64 {
    let micros = u128::from(micros.max(1).unsigned_abs());
    u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX)
}
