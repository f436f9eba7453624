//! Samples into parts, parts into segments: where to cut, and the numbers that go on for the life of a stream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Config, Output, Segment, State, Warning};
use crate::fmp4::{AUDIO_TRACK, Run, Sample, VIDEO_TIMESCALE, VIDEO_TRACK, Writer};
use crate::timeline::ticks_to_micros;
use crate::{Part, SegmentRecord, UtcMicros, VideoConfig};

/// What a sample costs beside its bytes, so that a flood of empty ones is bounded too.
const SAMPLE_COST: u64 = 128;
/// A segment may be this much longer than its target duration, since EXTINF is rounded (RFC 8216bis 4.4.3.1).
const ROUNDING_US: i64 = 490_000;

/// A picture with its time in ticks of 1/90000 s.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) dts: i64,
    pub(super) pts: i64,
    pub(super) keyframe: bool,
    pub(super) data: Bytes,
}

/// The tracks of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) video: bool,
    /// Timescale and samples per frame.
    pub(super) audio: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Open {
    start_us: i64,
    program_date_time: UtcMicros,
    discontinuity: bool,
    independent: bool,
    parts: Vec<Arc<Part>>,
    bytes: u64,
}

#[derive(Debug)]
pub(super) struct Segmenter {
    target_us: i64,
    wanted_part_us: i64,
    fixed_target: Option<u32>,
    max_bytes: u64,
    state: State,
    generation: u32,
    /// The first generation of the publish, and how many parts it has given out.
    run: u32,
    next_part: u64,
    publish_begins: bool,
    layout: Layout,
    /// What keyframes are given that lack something.
    video_config: Option<VideoConfig>,
    writer: Writer,
    video: Run,
    /// The newest picture waits for the next one, which tells its duration.
    held: Option<Picture>,
    audio: Run,
    audio_end: i64,
    /// Microseconds after the last picture that is shown. An encoder that dies leaves a picture that is shown after others
    /// that never came, so that this may be later than where the last one is decoded.
    shown_until_us: i64,
    part_start_us: i64,
    cost: u64,
    open: Option<Open>,
    discontinuity: bool,
    /// Wall clock minus media time.
    program_anchor: Option<i64>,
    cut_at_keyframe: bool,
}

impl Segmenter {
    pub(super) fn new(config: &Config, state: State) -> Self {
        let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self {
            target_us: micros(config.segment_target),
            wanted_part_us: micros(config.part_target).max(1_000),
            fixed_target: config.target_duration,
            max_bytes: config.max_segment_bytes,
            state,
            generation: 0,
            run: 0,
            next_part: 0,
            publish_begins: true,
            layout: Layout {
                video: false,
                audio: None,
            },
            video_config: None,
            writer: Writer::default(),
            video: Run::new(VIDEO_TRACK),
            held: None,
            audio: Run::new(AUDIO_TRACK),
            audio_end: 0,
            shown_until_us: 0,
            part_start_us: 0,
            cost: 0,
            open: None,
            discontinuity: false,
            program_anchor: None,
            cut_at_keyframe: false,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The longest a segment can be once the target duration is fixed.
    pub(super) fn max_segment_us(&self) -> Option<i64> {
        let target = i64::from(self.state.target_duration?);
        Some(target * 1_000_000 + ROUNDING_US)
    }

    /// Starts the next generation; all samples of the one before must have been closed. Returns its number.
    pub(super) fn begin(&mut self, layout: Layout, video: Option<&VideoConfig>) -> u32 {
        self.generation = self.state.next_generation;
        self.state.next_generation += 1;
        self.layout = layout;
        self.video_config = video.cloned();
        self.discontinuity = self.state.next_msn > 0;
        self.cut_at_keyframe = false;
        if std::mem::take(&mut self.publish_begins) {
            self.run = self.generation;
            self.next_part = 0;
        }
        let frame_us = match (video, layout.audio) {
            (Some(video), _) => video
                .frame_rate()
                .map(|rate| i64::from(rate.denominator) * 1_000_000 / i64::from(rate.numerator.max(1))),
            (None, Some((rate, samples))) => Some(i64::from(samples) * 1_000_000 / i64::from(rate.max(1))),
            (None, None) => None,
        };
        let wanted = self.wanted_part_us;
        self.state
            .part_target_us
            .get_or_insert_with(|| part_target(wanted, frame_us));
        self.state.target_duration = self.state.target_duration.or(self.fixed_target);
        self.generation
    }

    /// `PART-TARGET`, see [`part_target`].
    fn part_target_us(&self) -> i64 {
        self.state.part_target_us.unwrap_or(self.wanted_part_us)
    }

    /// Media time no longer follows the wall clock as before: cuts at the next keyframe, with a discontinuity.
    pub(super) fn splice(&mut self) {
        self.cut_at_keyframe = true;
    }

    /// After [`Self::close`] at the end of a publish: what follows has another wall clock and other names.
    pub(super) fn end_publish(&mut self) {
        self.program_anchor = None;
        self.publish_begins = true;
    }

    pub(super) fn picture(&mut self, picture: Picture, nominal: i64, now: UtcMicros, out: &mut Vec<Output>) {
        let at_us = ticks_to_micros(picture.dts, VIDEO_TIMESCALE);
        if self.is_overfull() {
            return;
        }
        if let Some(held) = self.held.take() {
            let held_us = ticks_to_micros(held.dts, VIDEO_TIMESCALE);
            // A gap before this picture would make the segment too long: the held one starts the next.
            if self.is_too_long(at_us) && self.has_content_before(held_us) {
                let boundary = self.close_segment(held_us, out);
                self.warn_cut(held.keyframe, out);
                self.open(boundary, held.keyframe, now);
            }
            self.take_video(held, picture.dts);
            let end_us = ticks_to_micros(picture.dts + nominal, VIDEO_TIMESCALE);
            // Where the rate is not what it was said to be, the next picture is as long as the last one.
            let likely_end_us = at_us + (at_us - held_us);
            self.cut(at_us, [end_us, likely_end_us], picture.keyframe, now, out);
        }
        if self.open.is_none() {
            self.open(at_us, picture.keyframe, now);
        }
        let shown_until_us = ticks_to_micros(picture.pts + nominal, VIDEO_TIMESCALE);
        self.shown_until_us = self.shown_until_us.max(shown_until_us);
        self.held = Some(picture);
    }

    /// Takes a frame of so many samples.
    pub(super) fn sound(
        &mut self,
        start: i64,
        samples: u32,
        data: Bytes,
        now: UtcMicros,
        out: &mut Vec<Output>,
    ) {
        let Some((timescale, _)) = self.layout.audio else {
            return;
        };
        if self.is_overfull() {
            return;
        }
        let at_us = ticks_to_micros(start, timescale);
        if self.layout.video {
            let end_us = ticks_to_micros(start + i64::from(samples), timescale);
            self.cut_while_pictures_stall(at_us, end_us, now, out);
        } else if self.open.is_some() {
            let end_us = ticks_to_micros(start + i64::from(samples), timescale);
            self.cut(at_us, [end_us, end_us], true, now, out);
        }
        if !self.layout.video && self.open.is_none() {
            self.open(at_us, true, now);
        }
        if self.audio.samples.is_empty() {
            self.audio.start = start;
        } else if start > self.audio_end
            && let Some(last) = self.audio.samples.last_mut()
        {
            last.duration = last.duration.saturating_add((start - self.audio_end) as u32);
        }
        self.audio_end = start + i64::from(samples);
        self.cost += data.len() as u64 + SAMPLE_COST;
        self.audio.samples.push(Sample {
            head: Bytes::new(),
            data,
            duration: samples,
            composition: 0,
            sync: true,
        });
    }

    /// Closes what is open: at the given decode time of the next picture, else where the last sample ends.
    pub(super) fn close(&mut self, next_dts: Option<i64>, nominal: i64, out: &mut Vec<Output>) {
        let video_end = self.held.take().map(|held| {
            let end = next_dts.unwrap_or(held.dts + nominal).max(held.dts + 1);
            self.take_video(held, end);
            ticks_to_micros(end, VIDEO_TIMESCALE)
        });
        let audio_end = self.audio_end_us();
        let boundary = match (self.layout.video, video_end) {
            (true, Some(end)) => Some(end),
            // Sound after the last picture, if there is any.
            _ => audio_end,
        };
        if let Some(open) = &self.open
            && let Some(boundary) = boundary
            && boundary > open.start_us
        {
            self.close_segment(boundary, out);
        }
        self.open = None;
        self.video.samples.clear();
        self.audio.samples.clear();
        self.cost = 0;
    }

    fn audio_end_us(&self) -> Option<i64> {
        let (timescale, _) = self.layout.audio?;
        Some(ticks_to_micros(self.audio_end, timescale))
    }

    fn is_too_long(&self, end_us: i64) -> bool {
        match (&self.open, self.max_segment_us()) {
            (Some(open), Some(max)) => end_us - open.start_us > max,
            _ => false,
        }
    }

    fn bytes_held(&self) -> u64 {
        self.cost + self.open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Whether timestamps that stand still keep the open segment from being cut.
    fn is_overfull(&self) -> bool {
        self.bytes_held() > self.max_bytes.saturating_mul(2)
    }

    fn has_content_before(&self, at_us: i64) -> bool {
        self.open.is_some() && self.part_start_us < at_us
    }

    fn take_video(&mut self, picture: Picture, next_dts: i64) {
        if self.video.samples.is_empty() {
            self.video.start = picture.dts;
        }
        self.cost += picture.data.len() as u64 + SAMPLE_COST;
        let composition = (picture.pts - picture.dts).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let (head, data) = self.with_parameter_sets(picture.keyframe, picture.data);
        self.video.samples.push(Sample {
            head,
            duration: u32::try_from(next_dts - picture.dts).unwrap_or(1),
            composition: composition as i32,
            sync: picture.keyframe,
            data,
        });
    }

    /// Puts the parameter sets before a keyframe, where they belong there.
    fn with_parameter_sets(&self, keyframe: bool, data: Bytes) -> (Bytes, Bytes) {
        let Some(video) = self.video_config.as_ref().filter(|_| keyframe) else {
            return (Bytes::new(), data);
        };
        let starts_segment =
            self.video.samples.is_empty() && self.open.as_ref().is_some_and(|open| open.parts.is_empty());
        // libavformat reads only the first initialization segment of a playlist: from the second on, segments carry the
        // parameter sets as well, so that its players survive another resolution.
        let sets = video.in_band(&data, starts_segment && self.generation > 0);
        if sets.is_empty() {
            return (sets, data);
        }
        let delimiter = video.delimiter_len(&data);
        let mut head = BytesMut::from(&data[..delimiter]);
        head.extend_from_slice(&sets);
        (head.freeze(), data.slice(delimiter..))
    }

    /// Decides what ends at `at_us`, before a sample that would end at the first of `ends_us`, or maybe at the second.
    fn cut(&mut self, at_us: i64, ends_us: [i64; 2], keyframe: bool, now: UtcMicros, out: &mut Vec<Output>) {
        let [end_us, likely_end_us] = ends_us;
        let Some(open) = &self.open else {
            return;
        };
        let duration = at_us - open.start_us;
        // A track that lags behind the cut that the other made.
        if at_us <= self.part_start_us {
            return;
        }
        // A segment that could not start with a keyframe ends at the next one, so that the following start with one again.
        let is_full = duration >= self.target_us - self.target_us / 10 || !open.independent;
        let wanted = keyframe && (is_full || self.cut_at_keyframe);
        let forced = self.is_too_long(end_us) || self.bytes_held() > self.max_bytes;
        if wanted || forced {
            let boundary = self.close_segment(at_us, out);
            self.warn_cut(keyframe, out);
            if keyframe && self.cut_at_keyframe {
                self.cut_at_keyframe = false;
                self.discontinuity = true;
                self.program_anchor = None;
            }
            self.open(boundary, keyframe, now);
            return;
        }
        // As long as the target allows, so that all are at least 85 % of it (RFC 8216bis 4.4.4.9). An independent part may
        // be shorter; a keyframe starts a part of its own unless the one before would be too short.
        let target = self.part_target_us();
        let long_enough = (at_us - self.part_start_us) * 100 >= target * 85;
        let fits = |end_us: i64| end_us - self.part_start_us <= target;
        let before_keyframe = keyframe
            && self.layout.video
            && (long_enough || self.video.samples.first().is_some_and(|s| s.sync));
        if !fits(end_us) || !fits(likely_end_us) && long_enough || before_keyframe {
            self.close_part(at_us, out);
        }
    }

    /// Sound goes on while no picture comes: the segment cannot wait for the next picture for ever.
    fn cut_while_pictures_stall(&mut self, at_us: i64, end_us: i64, now: UtcMicros, out: &mut Vec<Output>) {
        let stalled = self.is_too_long(end_us) || self.bytes_held() > self.max_bytes;
        if !stalled || at_us <= self.part_start_us || self.open.is_none() {
            return;
        }
        if let Some(held) = self.held.take() {
            let at = (i128::from(at_us) * i128::from(VIDEO_TIMESCALE) / 1_000_000) as i64;
            let end = at.max(held.dts + 1);
            self.take_video(held, end);
        }
        let boundary = self.close_segment(at_us, out);
        self.warn_cut(false, out);
        self.open(boundary, false, now);
    }

    fn warn_cut(&self, keyframe: bool, out: &mut Vec<Output>) {
        if !keyframe {
            let msn = self.state.next_msn;
            out.push(Output::Warning(Warning::CutWithoutKeyframe { msn }));
        }
    }

    fn open(&mut self, start_us: i64, independent: bool, now: UtcMicros) {
        let earliest = self.state.program_end.unwrap_or(UtcMicros(i64::MIN)).0;
        let anchor = self.program_anchor.unwrap_or(now.0 - start_us);
        // Where tracks change, the new ones may begin before the old ones ended.
        let program_start = start_us.saturating_add(anchor).max(earliest);
        self.program_anchor = Some(program_start - start_us);
        self.part_start_us = start_us;
        self.open = Some(Open {
            start_us,
            program_date_time: UtcMicros(program_start),
            discontinuity: std::mem::take(&mut self.discontinuity),
            independent,
            parts: Vec::with_capacity(16),
            bytes: 0,
        });
    }

    fn close_part(&mut self, end_us: i64, out: &mut Vec<Output>) {
        let Some(open) = &mut self.open else {
            return;
        };
        let starts_with_keyframe = self.video.samples.first().is_some_and(|sample| sample.sync);
        let Some(mut part) = self.writer.write([&mut self.video, &mut self.audio]) else {
            return;
        };
        self.cost = 0;
        part.msn = self.state.next_msn;
        part.index = open.parts.len() as u32;
        part.run = self.run;
        part.number = self.next_part;
        self.next_part += 1;
        part.discontinuity = open.discontinuity;
        part.program_date_time = open.program_date_time;
        part.generation = self.generation;
        part.duration_us = end_us - self.part_start_us;
        part.independent = starts_with_keyframe || !self.layout.video;
        self.part_start_us = end_us;
        open.bytes += part.len() as u64;
        let part = Arc::new(part);
        open.parts.push(Arc::clone(&part));
        out.push(Output::Part(part));
    }

    /// Ends the segment, at the latest where its target duration allows. Returns where the next one starts.
    fn close_segment(&mut self, end_us: i64, out: &mut Vec<Output>) -> i64 {
        let latest = match (&self.open, self.max_segment_us()) {
            (Some(open), Some(max)) => open.start_us + max,
            _ => i64::MAX,
        };
        let end_us = end_us.min(latest);
        self.close_part(end_us, out);
        let Some(open) = self.open.take() else {
            return end_us;
        };
        if open.parts.is_empty() {
            self.discontinuity |= open.discontinuity;
            return end_us;
        }
        let duration_us = end_us - open.start_us;
        let target = *self
            .state
            .target_duration
            .get_or_insert_with(|| target_duration(self.target_us, duration_us));
        self.state.media_end_us = self
            .state
            .media_end_us
            .max(end_us)
            .max(self.shown_until_us)
            .max(self.audio_end_us().unwrap_or(0));
        self.state.program_end = Some(open.program_date_time.plus(duration_us));
        let record = SegmentRecord {
            msn: self.state.next_msn,
            generation: self.generation,
            discontinuity: open.discontinuity,
            independent: open.independent,
            duration_us,
            program_date_time: open.program_date_time,
            bytes: open.bytes,
            media_end_us: self.state.media_end_us,
            target_duration: target,
        };
        self.state.next_msn += 1;
        out.push(Output::Segment(Segment {
            record,
            parts: open.parts,
        }));
        end_us
    }
}

/// `PART-TARGET`: 5 % over what is wanted, which leaves room for whole frames of every common rate (24 to 60 per second give
/// 200 to 208 ms of 210 ms). Where the frames are so long that no number of them is between 85 % and all of it, the next
/// longer number of frames.
fn part_target(wanted_us: i64, frame_us: Option<i64>) -> i64 {
    let roomy = wanted_us + wanted_us / 20;
    match frame_us.filter(|&frame| frame > 0) {
        Some(frame) if roomy / frame * frame * 100 < roomy * 86 => {
            let whole = (wanted_us + frame - 1) / frame * frame;
            whole + whole / 50
        }
        _ => roomy,
    }
}

/// Fixed by the first segment for the life of the stream: the wanted length, or the keyframe interval if that is longer,
/// with some room for intervals that are not all the same.
fn target_duration(wanted_us: i64, first_us: i64) -> u32 {
    let wanted = wanted_us.saturating_add(500_000) / 1_000_000;
    let first = first_us.saturating_add(700_000) / 1_000_000;
    u32::try_from(wanted.max(first).max(1)).unwrap_or(u32::MAX)
}
