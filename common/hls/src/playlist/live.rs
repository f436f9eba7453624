//! The playlist of a stream that is on the air, with parts (RFC 8216bis, low latency).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::media::{bits_per_second, seconds};
use super::{Bandwidth, Edge, InitRecord, Journal, Kind, MediaPlaylist, SegmentRecord};
use super::{init_name, part_name, segment_name};
use crate::Part;

/// Gaps that stand before the first segment, each as long as a segment may be: AVPlayer does not begin a low-latency stream
/// whose playlist is shorter. They leave like segments do; media sequence numbers in the playlist count them, those in file
/// names do not.
pub const GAPS: u64 = 7;
/// The URI of a gap. It is never to be loaded; players that do not know the tag load it all the same, and should get an empty
/// answer.
pub const GAP_NAME: &str = "gap.m4s";

/// Where another rendition of the same stream stands, for `EXT-X-RENDITION-REPORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of its media playlist, relative to this one.
    pub uri: String,
    /// Where it stands.
    pub edge: Edge,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    run: u32,
    number: u64,
    duration_us: i64,
    independent: bool,
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Open {
    /// As it would be if it ended now.
    record: SegmentRecord,
    parts: Vec<Listed>,
}

/// A live media playlist: finished segments with the parts of the newest, and the parts of the segment that is being made.
#[derive(Debug, Clone)]
pub struct LivePlaylist {
    listed: MediaPlaylist,
    /// How many are left at the start.
    gaps: u64,
    target_duration: Option<u32>,
    part_target_us: Option<i64>,
    /// Of finished segments, by media sequence number without gaps.
    parts: VecDeque<(u64, Vec<Listed>)>,
    next_msn: u64,
    open: Option<Open>,
    /// The part that will come next.
    hint: Option<(u32, u64)>,
}

impl LivePlaylist {
    /// An empty playlist that shows so much; at least three target durations stay.
    pub fn new(window: Duration) -> Self {
        Self {
            listed: MediaPlaylist::new(Kind::Live { window }),
            gaps: GAPS,
            target_duration: None,
            part_target_us: None,
            parts: VecDeque::new(),
            next_msn: 0,
            open: None,
            hint: None,
        }
    }

    /// The playlist after what is stored: without parts, which are not. With ENDLIST if the stream had ended.
    pub fn of(journal: &Journal, window: Duration) -> Self {
        let mut playlist = Self::new(window);
        for init in &journal.inits {
            playlist.init(init);
        }
        let state = journal.state();
        playlist.target_duration = playlist.target_duration.or(state.target_duration);
        playlist.next_msn = state.next_msn;
        playlist.listed = journal.playlist(Kind::Live { window });
        let first = playlist.listed.segments().next();
        if first.map_or(state.next_msn, |first| first.msn) > 0 {
            playlist.gaps = 0;
        }
        playlist.shed_gaps();
        if journal.ended {
            playlist.end();
        }
        playlist
    }

    /// A generation begins.
    pub fn init(&mut self, init: &InitRecord) {
        self.part_target_us = self.part_target_us.or(init.part_target_us);
        self.target_duration = self.target_duration.or(init.target_duration);
    }

    /// A part is complete. It is listed from now on, and the one after it hinted.
    pub fn part(&mut self, part: &Part) {
        self.listed.resume();
        let listed = Listed {
            run: part.run,
            number: part.number,
            duration_us: part.duration_us,
            independent: part.independent,
            bytes: part.len() as u64,
        };
        self.hint = Some((part.run, part.number + 1));
        let target_duration = self.target_duration.unwrap_or(0);
        let open = self.open.get_or_insert_with(|| Open {
            record: SegmentRecord {
                msn: part.msn,
                generation: part.generation,
                discontinuity: part.discontinuity,
                independent: part.independent,
                duration_us: 0,
                program_date_time: part.program_date_time,
                bytes: 0,
                media_end_us: 0,
                target_duration,
            },
            parts: Vec::with_capacity(16),
        });
        open.record.duration_us += listed.duration_us;
        open.record.bytes += listed.bytes;
        open.parts.push(listed);
    }

    /// A segment is complete. Returns those that leave the window; see [`MediaPlaylist::push`] for how long their media has to
    /// stay.
    pub fn segment(&mut self, record: SegmentRecord) -> Vec<SegmentRecord> {
        let target = *self.target_duration.get_or_insert(record.target_duration);
        self.next_msn = record.msn + 1;
        if let Some(open) = self.open.take() {
            self.parts.push_back((record.msn, open.parts));
        }
        let left = self.listed.push(record);
        self.shed_gaps();
        let target_us = i64::from(target) * 1_000_000;
        // Parts are of use near the end only (RFC 8216bis 6.2.2).
        let mut behind_us = 0;
        let mut oldest = self.next_msn;
        for segment in self.listed.segments().rev() {
            if behind_us > 3 * target_us {
                break;
            }
            oldest = segment.msn;
            behind_us += segment.duration_us;
        }
        while self.parts.front().is_some_and(|(msn, _)| *msn < oldest) {
            self.parts.pop_front();
        }
        left
    }

    /// The encoder is gone: no part can be promised.
    pub fn interrupt(&mut self) {
        self.hint = None;
    }

    /// Nothing will follow, unless another part comes.
    pub fn end(&mut self) {
        self.listed.end();
        self.hint = None;
        self.open = None;
        self.parts.clear();
        self.gaps = 0;
    }

    /// Where it stands; `None` while there is nothing to render.
    pub fn edge(&self) -> Option<Edge> {
        let target_duration = self.target_duration?;
        if self.listed.is_empty() && self.open.is_none() {
            return None;
        }
        Some(Edge {
            last_msn: GAPS + self.next_msn - 1,
            last_parts: self.parts.back().map_or(0, |(_, parts)| parts.len() as u64),
            parts: self.open.as_ref().map_or(0, |open| open.parts.len() as u64),
            hint: self.hint,
            ended: self.listed.ended(),
            target_duration,
            part_target_us: self.part_target_us.unwrap_or(0),
        })
    }

    /// Finished segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &SegmentRecord> + ExactSizeIterator {
        self.listed.segments()
    }

    /// Measured over everything there ever was; of the first parts, while there is no segment.
    pub fn bandwidth(&self) -> Bandwidth {
        match &self.open {
            Some(open) if self.listed.is_empty() => {
                let rate = bits_per_second(open.record.bytes, open.record.duration_us);
                Bandwidth {
                    peak: rate,
                    average: rate,
                }
            }
            _ => self.listed.bandwidth(),
        }
    }

    /// The text; `None` while there is nothing to play. With `skip`, a delta update if there is something old enough to be
    /// left out (RFC 8216bis 6.2.5.1). Render once per change and serve the same bytes to all.
    pub fn render(&self, skip: bool, reports: &[Report]) -> Option<String> {
        let edge = self.edge()?;
        let ended = edge.ended;
        let count = self.gaps as usize + self.listed.segments().len();
        let skipped = if skip && !ended {
            self.skippable(edge.target_duration)
        } else {
            0
        };
        let listed_parts: usize = self.parts.iter().map(|(_, parts)| parts.len()).sum();
        let mut text = String::with_capacity(512 + (count - skipped) * 64 + (listed_parts + 16) * 72);
        self.head(&mut text, &edge);
        if skipped > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        let mut generation = None;
        let first = self
            .listed
            .segments()
            .next()
            .or(self.open.as_ref().map(|open| &open.record));
        if self.gaps as usize > skipped {
            if let Some(first) = first {
                map(&mut text, &mut generation, first);
            }
            for _ in skipped..self.gaps as usize {
                let _ = writeln!(
                    text,
                    "#EXT-X-GAP\n#EXTINF:{}.000000,\n{GAP_NAME}",
                    edge.target_duration
                );
            }
        }
        let skipped = skipped.saturating_sub(self.gaps as usize);
        let mut dated = false;
        let mut parts = self.parts.iter().peekable();
        for segment in self.listed.segments().skip(skipped) {
            tags(&mut text, &mut generation, &mut dated, segment);
            while parts.next_if(|(msn, _)| *msn < segment.msn).is_some() {}
            if let Some((_, parts)) = parts.next_if(|(msn, _)| *msn == segment.msn) {
                part_lines(&mut text, parts);
            }
            let name = segment_name(segment.msn);
            let _ = writeln!(text, "#EXTINF:{},\n{name}", seconds(segment.duration_us));
        }
        if let Some(open) = &self.open {
            tags(&mut text, &mut generation, &mut dated, &open.record);
            part_lines(&mut text, &open.parts);
        }
        if let Some((run, number)) = self.hint {
            let name = part_name(run, number);
            let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\"");
        }
        for Report { uri, edge } in reports.iter().filter(|_| !ended) {
            report(&mut text, uri, edge);
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        Some(text)
    }

    fn head(&self, text: &mut String, edge: &Edge) {
        let target = u64::from(edge.target_duration);
        // 9: EXT-X-SKIP (RFC 8216bis section 8).
        let _ = writeln!(text, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}");
        if let Some(part_us) = self.part_target_us {
            let (skip, hold_back) = (6 * target, 3 * target);
            let (part_hold_back, part) = (seconds(3 * part_us), seconds(part_us));
            let _ = writeln!(
                text,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={skip}.0,HOLD-BACK={hold_back}.0,PART-HOLD-BACK={part_hold_back}\n\
                 #EXT-X-PART-INF:PART-TARGET={part}"
            );
        }
        let first = self
            .listed
            .segments()
            .next()
            .map_or(self.next_msn, |first| first.msn);
        let first = GAPS + first - self.gaps;
        let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{first}");
        let discontinuities = self.listed.discontinuity_sequence();
        if discontinuities > 0 {
            let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}");
        }
        let open_is_independent = self.open.as_ref().is_none_or(|open| open.record.independent);
        if open_is_independent && self.listed.independent_segments() {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
    }

    /// Gaps and segments whose end is further from the end of the last finished segment than CAN-SKIP-UNTIL.
    fn skippable(&self, target: u32) -> usize {
        if self.part_target_us.is_none() {
            return 0;
        }
        let boundary_us = 6 * i64::from(target) * 1_000_000;
        let mut behind_us = i64::try_from(self.listed.duration().as_micros()).unwrap_or(i64::MAX);
        let mut count = 0;
        let gaps = (0..self.gaps).map(|later| behind_us + gaps_us(later, target));
        count += gaps.filter(|&end_behind_us| end_behind_us > boundary_us).count();
        for segment in self.listed.segments() {
            behind_us -= segment.duration_us;
            if behind_us <= boundary_us {
                break;
            }
            count += 1;
        }
        count
    }

    /// Gaps leave the window first.
    fn shed_gaps(&mut self) {
        let target = self.target_duration.unwrap_or(0);
        while let Some(fewer) = self.gaps.checked_sub(1)
            && self.listed.has_enough_after(gaps_us(fewer, target), target)
        {
            self.gaps = fewer;
        }
    }
}

fn gaps_us(gaps: u64, target: u32) -> i64 {
    i64::try_from(gaps).unwrap_or(0) * i64::from(target) * 1_000_000
}

/// What stands before a segment, or before its first part (RFC 8216bis 4.4.4.9).
fn tags(text: &mut String, generation: &mut Option<u32>, dated: &mut bool, segment: &SegmentRecord) {
    if segment.discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    map(text, generation, segment);
    if !*dated || segment.discontinuity {
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", segment.program_date_time);
    }
    *dated = true;
}

fn map(text: &mut String, generation: &mut Option<u32>, segment: &SegmentRecord) {
    if generation.replace(segment.generation) != Some(segment.generation) {
        let name = init_name(segment.generation);
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{name}\"");
    }
}

fn part_lines(text: &mut String, parts: &[Listed]) {
    for part in parts {
        let name = part_name(part.run, part.number);
        let _ = write!(
            text,
            "#EXT-X-PART:DURATION={},URI=\"{name}\"",
            seconds(part.duration_us)
        );
        text.push_str(if part.independent {
            ",INDEPENDENT=YES\n"
        } else {
            "\n"
        });
    }
}

/// The last part that the rendition lists (RFC 8216bis 4.4.5.4).
fn report(text: &mut String, uri: &str, edge: &Edge) {
    let (msn, parts) = if edge.parts > 0 {
        (edge.last_msn + 1, edge.parts)
    } else {
        (edge.last_msn, edge.last_parts)
    };
    let _ = write!(text, "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={msn}");
    match parts.checked_sub(1) {
        Some(part) => {
            let _ = writeln!(text, ",LAST-PART={part}");
        }
        None => text.push('\n'),
    }
}
