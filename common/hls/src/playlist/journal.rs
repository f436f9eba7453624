//! One line for each thing that was stored, so that playlists and packager are rebuilt exactly after a crash.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Kind, MediaPlaylist};
use crate::codec::FrameRate;
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
    /// The stream has ended; a later segment takes that back.
    End,
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
                match init.frame_rate {
                    Some(rate) => {
                        writeln!(line, " rate={}/{}", rate.numerator, rate.denominator)
                    }
                    None => writeln!(line),
                }
            }
            Self::Segment(s) => writeln!(
                line,
                "segment msn={} gen={} disc={} ind={} dur={} pdt={} bytes={} end={} target={}",
                s.msn,
                s.generation,
                u8::from(s.discontinuity),
                u8::from(s.independent),
                s.duration_us,
                s.program_date_time.0,
                s.bytes,
                s.media_end_us,
                s.target_duration,
            ),
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
            })),
            "segment" => Ok(Self::Segment(SegmentRecord {
                msn: number(&fields, "msn")?,
                generation: number(&fields, "gen")?,
                discontinuity: number::<u8>(&fields, "disc")? == 1,
                independent: number::<u8>(&fields, "ind")? == 1,
                duration_us: number(&fields, "dur")?,
                program_date_time: UtcMicros(number(&fields, "pdt")?),
                bytes: number(&fields, "bytes")?,
                media_end_us: number(&fields, "end")?,
                target_duration: number(&fields, "target")?,
            })),
            "end" => Ok(Self::End),
            _ => Err("an unknown record"),
        }
    }
}

fn number<T: std::str::FromStr>(fields: &HashMap<&str, &str>, name: &str) -> Result<T, &'static str> {
    fields
        .get(name)
        .ok_or("a field is missing")?
        .parse()
        .map_err(|_| "a field is not a number")
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
    /// With consecutive media sequence numbers.
    pub segments: Vec<SegmentRecord>,
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
                if self
                    .segments
                    .last()
                    .is_some_and(|last| last.msn + 1 != segment.msn)
                {
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
            Record::End => {}
        }
        Ok(())
    }

    /// What [`crate::Packager::resume`] needs to go on after the last stored segment.
    pub fn state(&self) -> State {
        let mut state = State::default();
        if let Some(init) = self.inits.last() {
            state.next_generation = init.generation + 1;
        }
        if let Some(last) = self.segments.last() {
            state.next_msn = last.msn + 1;
            state.target_duration = Some(last.target_duration);
            state.media_end_us = last.media_end_us;
            state.program_end = Some(last.program_date_time.plus(last.duration_us));
        }
        state
    }

    /// The playlist as it was before the crash; with ENDLIST if the stream had ended.
    pub fn playlist(&self, kind: Kind) -> MediaPlaylist {
        let mut playlist = MediaPlaylist::new(kind);
        for segment in &self.segments {
            playlist.push(segment.clone());
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
