//! One line for each thing that was stored, so that playlists and packager are rebuilt exactly after a crash.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Kind, MediaPlaylist};
use crate::codec::{FrameRate, VideoRange};
use crate::{Error, Result, State, UtcMicros};

/// What a player must know about a generation before it loads anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitRecord {
    /// Which generation, counted from zero over the whole life of the stream.
    pub generation: u32,
    /// The CODECS attribute, video first.
    pub codecs: String,
    /// Width and height; `None` for audio only.
    pub resolution: Option<(u16, u16)>,
    /// Known if the parameter sets or the first frames told.
    pub frame_rate: Option<FrameRate>,
    /// `None` is SDR.
    pub range: Option<VideoRange>,
    /// `PART-TARGET` of the stream in microseconds, fixed by its first generation; `None` in what older builds wrote.
    pub part_target_us: Option<i64>,
    /// `EXT-X-TARGETDURATION` of the stream in seconds, as far as it is known when the generation begins.
    pub target_duration: Option<u32>,
}

/// A finished segment without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Media sequence number.
    pub msn: u64,
    /// Which initialization segment it needs.
    pub generation: u32,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// Whether it starts with a keyframe (or is audio only).
    pub independent: bool,
    /// Microseconds.
    pub duration_us: i64,
    /// The wall clock of its first sample.
    pub program_date_time: UtcMicros,
    /// All its parts together.
    pub bytes: u64,
    /// Media time in microseconds after its last sample of any track.
    pub media_end_us: i64,
    /// `EXT-X-TARGETDURATION` of the stream, fixed by its first segment, in seconds.
    pub target_duration: u32,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An initialization segment was stored.
    Init(InitRecord),
    /// A segment was stored.
    Segment(SegmentRecord),
    /// Segments were shown and not stored, after the last one that was.
    Gap(Gap),
    /// The stream is not to be kept when it is over.
    Unrecorded,
    /// The stream has ended; a later segment takes that back.
    End,
}

/// Segments that players have seen and that are not stored, for want of room. It follows the last stored segment, or stands
/// for more of the same gap when it follows another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last of them, so that media sequence and media time go on after it.
    pub last: SegmentRecord,
    /// How many of the stream's segments up to this one begin with a discontinuity, stored or not.
    pub discontinuities: u64,
}

impl From<InitRecord> for Record {
    fn from(record: InitRecord) -> Self {
        Self::Init(record)
    }
}

impl From<SegmentRecord> for Record {
    fn from(record: SegmentRecord) -> Self {
        Self::Segment(record)
    }
}

impl From<Gap> for Record {
    fn from(gap: Gap) -> Self {
        Self::Gap(gap)
    }
}

impl Record {
    /// The line, with its newline: a line without one was torn by a crash.
    pub fn to_line(&self) -> String {
        let mut line = String::with_capacity(160);
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Init(init) => {
                let _ = write!(line, "init gen={} codecs={}", init.generation, init.codecs);
                if let Some((width, height)) = init.resolution {
                    let _ = write!(line, " size={width}x{height}");
                }
                if let Some(rate) = init.frame_rate {
                    let _ = write!(line, " rate={}/{}", rate.numerator, rate.denominator);
                }
                if let Some(range) = init.range {
                    let _ = write!(line, " range={}", range.name());
                }
                if let Some(part) = init.part_target_us {
                    let _ = write!(line, " part={part}");
                }
                if let Some(target) = init.target_duration {
                    let _ = write!(line, " target={target}");
                }
                writeln!(line)
            }
            Self::Segment(segment) => {
                write_segment(&mut line, "segment", segment).and_then(|()| writeln!(line))
            }
            Self::Gap(gap) => write_segment(&mut line, "gap", &gap.last)
                .and_then(|()| writeln!(line, " discs={}", gap.discontinuities)),
            Self::Unrecorded => writeln!(line, "unrecorded"),
            Self::End => writeln!(line, "end"),
        };
        line
    }

    /// Reads a line, with or without its newline. Unknown fields are passed over, so that an older build can read what a
    /// newer one wrote.
    ///
    /// # Errors
    /// [`Error::Journal`] with line 1.
    pub fn from_line(line: &str) -> Result<Self> {
        Self::read(line).map_err(|reason| Error::Journal { line: 1, reason })
    }

    fn read(line: &str) -> Result<Self, &'static str> {
        let mut words = line.trim_end().split(' ');
        let kind = words.next().unwrap_or_default();
        let fields: HashMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
        match kind {
            "init" => Ok(Self::Init(InitRecord {
                generation: number(&fields, "gen")?,
                codecs: (*fields.get("codecs").ok_or("a field is missing")?).to_owned(),
                resolution: fields.get("size").map(|v| resolution(v)).transpose()?,
                frame_rate: fields.get("rate").map(|v| frame_rate(v)).transpose()?,
                // One that only a newer build knows is left out.
                range: fields.get("range").and_then(|name| VideoRange::from_name(name)),
                part_target_us: optional(&fields, "part")?,
                target_duration: optional(&fields, "target")?,
            })),
            "segment" => Ok(Self::Segment(segment(&fields)?)),
            "gap" => Ok(Self::Gap(Gap {
                last: segment(&fields)?,
                discontinuities: number(&fields, "discs")?,
            })),
            "unrecorded" => Ok(Self::Unrecorded),
            "end" => Ok(Self::End),
            _ => Err("an unknown record"),
        }
    }
}

fn write_segment(line: &mut String, kind: &str, s: &SegmentRecord) -> std::fmt::Result {
    write!(
        line,
        "{kind} msn={} gen={} disc={} ind={} dur={} pdt={} bytes={} end={} target={}",
        s.msn,
        s.generation,
        u8::from(s.discontinuity),
        u8::from(s.independent),
        s.duration_us,
        s.program_date_time.0,
        s.bytes,
        s.media_end_us,
        s.target_duration,
    )
}

fn segment(fields: &HashMap<&str, &str>) -> Result<SegmentRecord, &'static str> {
    Ok(SegmentRecord {
        msn: number(fields, "msn")?,
        generation: number(fields, "gen")?,
        discontinuity: number::<u8>(fields, "disc")? == 1,
        independent: number::<u8>(fields, "ind")? == 1,
        duration_us: number(fields, "dur")?,
        program_date_time: UtcMicros(number(fields, "pdt")?),
        bytes: number(fields, "bytes")?,
        media_end_us: number(fields, "end")?,
        target_duration: number(fields, "target")?,
    })
}

fn number<T: std::str::FromStr>(fields: &HashMap<&str, &str>, name: &str) -> Result<T, &'static str> {
    fields
        .get(name)
        .ok_or("a field is missing")?
        .parse()
        .map_err(|_| "a field is not a number")
}

fn optional<T: std::str::FromStr>(
    fields: &HashMap<&str, &str>,
    name: &str,
) -> Result<Option<T>, &'static str> {
    fields
        .contains_key(name)
        .then(|| number(fields, name))
        .transpose()
}

fn resolution(value: &str) -> Result<(u16, u16), &'static str> {
    let (width, height) = value.split_once('x').ok_or("a malformed size")?;
    match (width.parse(), height.parse()) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err("a malformed size"),
    }
}

fn frame_rate(value: &str) -> Result<FrameRate, &'static str> {
    let (numerator, denominator) = value.split_once('/').ok_or("a malformed rate")?;
    match (numerator.parse(), denominator.parse()) {
        (Ok(n), Ok(d)) => FrameRate::new(n, d).ok_or("a malformed rate"),
        _ => Err("a malformed rate"),
    }
}

/// All that was stored for one stream, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    /// One for each generation.
    pub inits: Vec<InitRecord>,
    /// Those that are stored. Media sequence numbers are consecutive but where there is a gap.
    pub segments: Vec<SegmentRecord>,
    /// Gaps, each as it was when the next segment was stored, or the stream was left.
    pub gaps: Vec<Gap>,
    /// The stream is not kept when it is over.
    pub unrecorded: bool,
    /// Whether the last record was [`Record::End`].
    pub ended: bool,
    /// Bytes of whole lines: truncate the file to this length before appending, since a torn line may follow.
    pub valid_bytes: u64,
}

impl Journal {
    /// Reads a journal. What follows the last newline was being written when the process died, and is passed over.
    ///
    /// # Errors
    /// [`Error::Journal`] on a whole line that cannot be read or that is out of order.
    pub fn replay(bytes: &[u8]) -> Result<Self> {
        let mut journal = Self::default();
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
        while let Some((index, line)) = lines.next().filter(|(_, line)| line.ends_with(b"\n")) {
            let refuse = |reason| Error::Journal {
                line: index + 1,
                reason,
            };
            let text = std::str::from_utf8(line).map_err(|_| refuse("not utf-8"))?;
            let record = Record::read(text).map_err(refuse)?;
            journal.apply(record).map_err(refuse)?;
            journal.valid_bytes += line.len() as u64;
        }
        Ok(journal)
    }

    fn apply(&mut self, record: Record) -> Result<(), &'static str> {
        self.ended = matches!(record, Record::End);
        match record {
            Record::Init(init) => {
                if self
                    .inits
                    .last()
                    .is_some_and(|last| last.generation >= init.generation)
                {
                    return Err("a generation goes back");
                }
                self.inits.push(init);
            }
            Record::Segment(segment) => {
                if self.last().is_some_and(|last| last.msn + 1 != segment.msn) {
                    return Err("a media sequence number is missing");
                }
                if self
                    .inits
                    .last()
                    .is_none_or(|init| init.generation != segment.generation)
                {
                    return Err("a segment without its initialization segment");
                }
                self.segments.push(segment);
            }
            Record::Gap(gap) => {
                if self.last().is_some_and(|last| last.msn >= gap.last.msn) {
                    return Err("a media sequence number goes back");
                }
                if self.trailing_gap().is_some() {
                    self.gaps.pop();
                }
                self.gaps.push(gap);
            }
            Record::Unrecorded => self.unrecorded = true,
            Record::End => {}
        }
        Ok(())
    }

    /// The last segment that there was, stored or not.
    pub fn last(&self) -> Option<&SegmentRecord> {
        self.trailing_gap().map(|gap| &gap.last).or(self.segments.last())
    }

    /// The gap after the last stored segment.
    fn trailing_gap(&self) -> Option<&Gap> {
        let stored = self.segments.last();
        self.gaps
            .last()
            .filter(|gap| stored.is_none_or(|stored| stored.msn < gap.last.msn))
    }

    /// What [`crate::Packager::resume`] needs to go on after the last stored segment.
    pub fn state(&self) -> State {
        let mut state = State::default();
        if let Some(init) = self.inits.last() {
            state.next_generation = init.generation + 1;
            state.part_target_us = init.part_target_us;
            state.target_duration = init.target_duration;
        }
        if let Some(last) = self.last() {
            // The initialization segment of one that is not stored need not be stored either.
            state.next_generation = state.next_generation.max(last.generation + 1);
            state.next_msn = last.msn + 1;
            state.target_duration = Some(last.target_duration);
            state.media_end_us = last.media_end_us;
            state.program_end = Some(last.program_date_time.plus(last.duration_us));
        }
        state
    }

    /// The playlist as it was before the crash; with ENDLIST if the stream had ended. A live one begins after the last gap:
    /// what was shown from memory cannot be shown any more. In the others each gap is a discontinuity.
    pub fn playlist(&self, kind: Kind) -> MediaPlaylist {
        let mut playlist = MediaPlaylist::new(kind);
        let mut gaps = self.gaps.iter().peekable();
        for segment in &self.segments {
            let mut segment = segment.clone();
            while let Some(gap) = gaps.next_if(|gap| gap.last.msn < segment.msn) {
                if matches!(kind, Kind::Live { .. }) {
                    playlist = MediaPlaylist::after(kind, gap.discontinuities);
                } else {
                    segment.discontinuity = true;
                }
            }
            playlist.push(segment);
        }
        if let (Kind::Live { .. }, Some(gap)) = (kind, gaps.next()) {
            playlist = MediaPlaylist::after(kind, gap.discontinuities);
        }
        if self.ended {
            playlist.end();
        }
        playlist
    }

    /// The length of what was recorded.
    pub fn duration(&self) -> Duration {
        let micros: i64 = self.segments.iter().map(|segment| segment.duration_us).sum();
        Duration::from_micros(micros.unsigned_abs())
    }
}
