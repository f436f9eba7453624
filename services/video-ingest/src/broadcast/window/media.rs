//! Media in memory.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use marquee_hls::{Part, SegmentRecord};

/// What a file name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// `init-{generation}.mp4`
    Init(u32),
    /// `segment-{msn}.m4s`
    Segment(u64),
    /// `part-{run}.{number}.m4s`
    Part { run: u32, number: u64 },
}

impl Name {
    /// None when it is the name of no media.
    pub(crate) fn parse(file: &str) -> Option<Self> {
        let within = |prefix, suffix| file.strip_prefix(prefix)?.strip_suffix(suffix);
        if let Some(generation) = within("init-", ".mp4") {
            return Some(Self::Init(decimal(generation)?));
        }
        if let Some(msn) = within("segment-", ".m4s") {
            return Some(Self::Segment(decimal(msn)?));
        }
        let (run, number) = within("part-", ".m4s")?.split_once('.')?;
        Some(Self::Part {
            run: decimal(run)?,
            number: decimal(number)?,
        })
    }
}

/// One spelling for each number, so that a cache keeps one copy.
fn decimal<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = digits == "0" || !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_decimal && is_shortest)
}

/// Bytes in one or more pieces, none of them copied for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media {
    pieces: Vec<Bytes>,
    len: u64,
}

impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len() as u64,
            pieces: vec![bytes],
        }
    }
}

impl Media {
    /// In bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// A part of it; the range must lie within.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut at = 0;
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let end = at + piece.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                #[expect(clippy::cast_possible_truncation, reason = "within a piece")]
                pieces.push(piece.slice((from - at) as usize..(to - at) as usize));
            }
            at = end;
        }
        Self {
            len: range.end - range.start,
            pieces,
        }
    }

    /// The pieces in order.
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// One piece; copies only when there are several.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        match (self.pieces.pop(), self.pieces.is_empty()) {
            (Some(only), true) => only,
            (last, _) => self
                .pieces
                .into_iter()
                .chain(last)
                .collect::<Vec<_>>()
                .concat()
                .into(),
        }
    }
}

/// The newest segments, the one that is being made, and the initialization segments that they need.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    inits: VecDeque<(u32, Bytes)>,
    /// The last may be open.
    segments: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    msn: u64,
    generation: u32,
    /// None while it is open.
    duration_us: Option<i64>,
    parts: Vec<HeldPart>,
}

#[derive(Debug)]
struct HeldPart {
    run: u32,
    number: u64,
    body: Body,
}

/// A part's bytes.
#[derive(Debug)]
enum Body {
    /// As the encoder's frames came in: dozens of pieces. Most streams are watched by nobody, and are left so.
    Frames(Arc<Part>),
    /// In one piece, which is written to a socket by one system call; made when the first reader asks.
    Whole(Bytes),
}

impl Memory {
    pub(crate) fn init(&mut self, generation: u32, bytes: Bytes) {
        self.inits.push_back((generation, bytes));
    }

    pub(crate) fn part(&mut self, part: Arc<Part>) {
        let (msn, generation) = (part.msn, part.generation);
        if self.segments.back().is_none_or(|last| last.msn != msn) {
            self.segments.push_back(Held {
                msn,
                generation,
                duration_us: None,
                parts: Vec::with_capacity(12),
            });
        }
        if let Some(open) = self.segments.back_mut() {
            open.parts.push(HeldPart {
                run: part.run,
                number: part.number,
                body: Body::Frames(part),
            });
        }
    }

    /// The segment is whole.
    pub(crate) fn segment(&mut self, record: &SegmentRecord) {
        if let Some(open) = self.segments.back_mut().filter(|open| open.msn == record.msn) {
            open.duration_us = Some(record.duration_us);
        }
    }

    /// Drops segments that begin earlier than this before the newest end, and initialization segments of nothing.
    pub(crate) fn forget(&mut self, keep: Duration) {
        let keep_us = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let mut held_us: i64 = self
            .segments
            .iter()
            .filter_map(|segment| segment.duration_us)
            .sum();
        while let Some(oldest) = self.segments.front().and_then(|oldest| oldest.duration_us)
            && held_us - oldest >= keep_us
        {
            held_us -= oldest;
            self.segments.pop_front();
        }
        if let Some(oldest) = self.segments.front() {
            let needed = oldest.generation;
            self.inits.retain(|(generation, _)| *generation >= needed);
        }
    }

    pub(crate) fn get(&mut self, name: Name) -> Option<Media> {
        match name {
            Name::Init(wanted) => {
                let found = self.inits.iter().find(|(generation, _)| *generation == wanted);
                found.map(|(_, bytes)| bytes.clone().into())
            }
            Name::Segment(wanted) => {
                let is_wanted = |held: &&mut Held| held.msn == wanted && held.duration_us.is_some();
                let found = self.segments.iter_mut().find(is_wanted)?;
                let pieces: Vec<Bytes> = found.parts.iter_mut().map(|part| part.body.whole()).collect();
                Some(Media {
                    len: pieces.iter().map(|piece| piece.len() as u64).sum(),
                    pieces,
                })
            }
            Name::Part { run, number } => {
                // Most readers want the newest.
                let place = |part: &HeldPart| (part.run, part.number);
                let begins_before = |held: &&mut Held| {
                    held.parts
                        .first()
                        .is_some_and(|first| place(first) <= (run, number))
                };
                let held = self.segments.iter_mut().rev().find(begins_before)?;
                let at = held.parts.binary_search_by_key(&(run, number), place).ok()?;
                Some(held.parts[at].body.whole().into())
            }
        }
    }
}

impl Body {
    fn whole(&mut self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Frames(part) => {
                let mut whole = BytesMut::with_capacity(part.len());
                for chunk in part.chunks() {
                    whole.extend_from_slice(chunk);
                }
                let whole = whole.freeze();
                *self = Self::Whole(whole.clone());
                whole
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_or_it_is_no_media() {
        assert_eq!(Name::parse("init-3.mp4"), Some(Name::Init(3)));
        assert_eq!(Name::parse("segment-12.m4s"), Some(Name::Segment(12)));
        let part = Name::Part { run: 0, number: 41 };
        assert_eq!(Name::parse("part-0.41.m4s"), Some(part));
        for other in [
            "journal",
            "segment-.m4s",
            "segment-01.m4s",
            "segment-+1.m4s",
            "part-1.m4s",
            "part-1.2.3.m4s",
            "init-99999999999.mp4",
            "../init-0.mp4",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_range_is_cut_across_pieces_without_copying() {
        let pieces = [&b"abc"[..], b"defg", b"hi"].map(Bytes::from_static);
        let media = Media {
            len: 9,
            pieces: pieces.to_vec(),
        };
        for (range, expected) in [
            (0..9, "abcdefghi"),
            (2..4, "cd"),
            (3..7, "defg"),
            (8..9, "i"),
            (4..4, ""),
        ] {
            let slice = media.slice(range.clone());
            assert_eq!(slice.len(), range.end - range.start);
            assert_eq!(slice.into_bytes(), expected);
        }
        let inner = media.slice(3..7).into_pieces();
        assert_eq!(inner[0].as_ptr(), pieces[1].as_ptr());
    }
}
