//! What is measured of the media that arrives.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use marquee_hls::{Frame, InitRecord, Journal, Track};

use crate::domain::{Figures, Sample};

/// Rates are means over this long.
const WINDOW: Duration = Duration::from_secs(5);

/// A step of the timestamps beyond this is a jump, not media.
const JUMP_MS: u32 = 10_000;
/// After so many long steps in a row the encoder has another frame rate, and drops nothing.
const NEW_RATE: u32 = 25;

/// Sums at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Tick {
    at: Duration,
    video_bytes: u64,
    audio_bytes: u64,
    pictures: u64,
    keyframes: u64,
    dropped: u64,
    repaired: u64,
}

impl Tick {
    /// Bits per second of `count` bytes since then.
    fn rate(self, now: Duration, count: u64) -> f64 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        if seconds > 0.0 {
            to_f64(count) / seconds
        } else {
            0.0
        }
    }
}

/// Counts frames; time is handed in.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    sums: Tick,
    /// One per read, which is about every second.
    ticks: VecDeque<Tick>,
    /// At the last sample.
    sampled: Tick,
    last_keyframe: Option<u32>,
    keyframe_interval_ms: u64,
    media_ms: u64,
    last_dts: Option<(Track, u32)>,
    last_video: Option<u32>,
    last_audio: Option<u32>,
    /// Usual milliseconds from one picture to the next, and how often in a row it was more.
    step_ms: f64,
    long_steps: u32,
    /// When, and at which timestamp of which track, the clocks were compared first.
    clocks: Option<(Duration, Track, u32)>,
}

impl Meter {
    /// Takes a frame that arrived.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        let bytes = frame.data.len() as u64;
        match frame.track {
            Track::Video => {
                self.sums.video_bytes += bytes;
                self.sums.pictures += 1;
                if frame.keyframe {
                    self.sums.keyframes += 1;
                    if let Some(last) = self.last_keyframe {
                        self.keyframe_interval_ms = u64::from(frame.dts_ms.wrapping_sub(last));
                    }
                    self.last_keyframe = Some(frame.dts_ms);
                }
                if let Some(last) = self.last_video.replace(frame.dts_ms) {
                    self.step(frame.dts_ms.wrapping_sub(last));
                }
            }
            Track::Audio => {
                self.sums.audio_bytes += bytes;
                self.last_audio = Some(frame.dts_ms);
            }
        }
        match self.last_dts {
            // Only one track is followed.
            Some((track, last)) if track == frame.track => {
                let step = frame.dts_ms.wrapping_sub(last);
                if step < JUMP_MS {
                    self.media_ms += u64::from(step);
                } else {
                    self.clocks = None;
                }
                self.last_dts = Some((track, frame.dts_ms));
            }
            Some((Track::Video, _)) => {}
            _ => self.last_dts = Some((frame.track, frame.dts_ms)),
        }
    }

    /// From one picture to the next: what is missing in between, the encoder left out.
    fn step(&mut self, step: u32) {
        if step == 0 || step > JUMP_MS {
            return;
        }
        let step = f64::from(step);
        if self.step_ms == 0.0 {
            self.step_ms = step;
        } else if step < self.step_ms * 1.5 {
            self.step_ms = self.step_ms * 0.9 + step * 0.1;
            self.long_steps = 0;
        } else {
            self.long_steps += 1;
            if self.long_steps >= NEW_RATE {
                self.step_ms = step;
                self.long_steps = 0;
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at least 1, and at most ten seconds of pictures"
                )]
                let missing = (step / self.step_ms).round() as u64;
                self.sums.dropped += missing.saturating_sub(1);
            }
        }
    }

    /// A timestamp had to be repaired.
    pub(crate) fn repaired(&mut self) {
        self.sums.repaired += 1;
    }

    /// Goes on with the sums of what was stored.
    pub(crate) fn resume(journal: &Journal) -> Self {
        Self {
            sums: Tick {
                video_bytes: journal.segments.iter().map(|segment| segment.bytes).sum(),
                ..Tick::default()
            },
            media_ms: u64::try_from(journal.duration().as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }

    /// Bytes of all frames so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.sums.video_bytes + self.sums.audio_bytes
    }

    /// An encoder begins: rates are counted from now on.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.last_keyframe = None;
        self.last_dts = None;
        self.last_video = None;
        self.last_audio = None;
        self.step_ms = 0.0;
        self.clocks = None;
        self.ticks.clear();
        self.sums.at = now;
        self.sampled = self.sums;
        self.ticks.push_back(self.sums);
    }

    /// The encoder is gone. What is left are the sums; the rates are zero.
    pub(crate) fn interrupt(&mut self, now: Duration, init: Option<&InitRecord>) -> Figures {
        self.ticks.clear();
        self.clocks = None;
        self.read(now, init)
    }

    /// How much further the media went than the clock since both were first read.
    fn clock_drift_ms(&mut self, now: Duration) -> i64 {
        let Some((track, dts)) = self.last_dts else {
            return 0;
        };
        match self.clocks {
            Some((at, lead, first)) if lead == track => {
                let media = i64::from(dts.wrapping_sub(first).cast_signed());
                media - i64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(i64::MAX)
            }
            _ => {
                self.clocks = Some((now, track, dts));
                0
            }
        }
    }

    fn audio_offset_ms(&self) -> i64 {
        match (self.last_audio, self.last_video) {
            (Some(audio), Some(video)) => i64::from(audio.wrapping_sub(video).cast_signed()),
            _ => 0,
        }
    }

    /// What came since the last sample; `time` is when that was on the wall clock. Call it after [`read`](Self::read).
    pub(crate) fn sample(&mut self, time: Timestamp, figures: &Figures) -> Sample {
        let since = std::mem::replace(&mut self.sampled, self.sums);
        let now = self.sums;
        Sample {
            time,
            video_bitrate: bits(since.rate(now.at, now.video_bytes - since.video_bytes)),
            audio_bitrate: bits(since.rate(now.at, now.audio_bytes - since.audio_bytes)),
            frames: now.pictures - since.pictures,
            dropped_frames: now.dropped - since.dropped,
            repaired_frames: now.repaired - since.repaired,
            keyframes: now.keyframes - since.keyframes,
            clock_drift_ms: figures.clock_drift_ms,
            audio_offset_ms: figures.audio_offset_ms,
        }
    }

    /// The figures at `now`, counted from any fixed moment. Call it about once a second.
    pub(crate) fn read(&mut self, now: Duration, init: Option<&InitRecord>) -> Figures {
        self.sums.at = now;
        self.ticks.push_back(self.sums);
        while self.ticks.len() > 2
            && self
                .ticks
                .front()
                .is_some_and(|tick| now.saturating_sub(tick.at) > WINDOW)
        {
            self.ticks.pop_front();
        }
        let since = self.ticks.front().copied().unwrap_or(self.sums);
        let video = since.rate(now, self.sums.video_bytes - since.video_bytes);
        let audio = since.rate(now, self.sums.audio_bytes - since.audio_bytes);
        let pictures = since.rate(now, self.sums.pictures - since.pictures);
        let (width, height) = init.and_then(|init| init.resolution).unwrap_or_default();
        let codecs = init.map(|init| init.codecs.as_str()).unwrap_or_default();
        let codec = |audio: bool| {
            codecs
                .split(',')
                .find(|codec| is_audio(codec) == audio && !codec.is_empty())
                .unwrap_or_default()
        };
        Figures {
            video_codec: codec(false).to_owned(),
            audio_codec: codec(true).to_owned(),
            width: width.into(),
            height: height.into(),
            frame_rate: (pictures * 100.0).round() / 100.0,
            bitrate: bits(video + audio),
            keyframe_interval_ms: self.keyframe_interval_ms,
            media_duration_ms: self.media_ms,
            bytes: self.bytes(),
            video_bitrate: bits(video),
            audio_bitrate: bits(audio),
            dropped_frames: self.sums.dropped,
            repaired_frames: self.sums.repaired,
            clock_drift_ms: self.clock_drift_ms(now),
            audio_offset_ms: self.audio_offset_ms(),
        }
    }
}

fn is_audio(codec: &str) -> bool {
    codec.starts_with("mp4a") || codec.eq_ignore_ascii_case("opus")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive rate of bytes"
)]
fn bits(bytes_per_second: f64) -> u64 {
    (bytes_per_second * 8.0) as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a few seconds are far below 2^52"
)]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds_and_sums_of_the_whole_stream() {
        let mut meter = Meter::default();
        let mut figures = Figures::default();
        for second in 0..20_u32 {
            for picture in 0..30 {
                let dts = second * 1_000 + picture * 1_000 / 30;
                meter.frame(&Frame::video(
                    dts,
                    0,
                    picture == 0,
                    Bytes::from_static(&[0; 1_000]),
                ));
            }
            figures = meter.read(Duration::from_secs(u64::from(second) + 1), None);
        }
        assert_eq!(figures.frame_rate, 30.0);
        assert_eq!(figures.bitrate, 240_000);
        assert_eq!(figures.keyframe_interval_ms, 1_000);
        assert_eq!(figures.bytes, 600_000);
        assert_eq!(figures.media_duration_ms, 19_966);
    }

    #[test]
    fn a_timestamp_jump_is_not_counted_as_media() {
        let mut meter = Meter::default();
        for dts in [0, 40, 600_000, 600_040] {
            meter.frame(&Frame::video(dts, 0, true, Bytes::new()));
        }
        assert_eq!(meter.read(Duration::ZERO, None).media_duration_ms, 80);
    }

    /// Reads the meter after each second of 25 pictures and 50 frames of audio; `edit` changes a picture's timestamp or
    /// leaves it out.
    fn seconds(count: u32, edit: impl Fn(u32) -> Option<u32>) -> (Figures, Vec<Sample>) {
        let mut meter = Meter::default();
        let mut figures = Figures::default();
        let mut samples = Vec::new();
        meter.begin(Duration::ZERO);
        for second in 0..count {
            for picture in second * 25..(second + 1) * 25 {
                if let Some(dts) = edit(picture * 40) {
                    let data = Bytes::from_static(&[0; 1_000]);
                    meter.frame(&Frame::video(dts, 0, picture % 50 == 0, data));
                }
                for half in [0, 20] {
                    meter.frame(&Frame::audio(picture * 40 + half, Bytes::from_static(&[0; 100])));
                }
            }
            let now = Duration::from_secs(u64::from(second) + 1);
            figures = meter.read(now, None);
            samples.push(meter.sample(Timestamp::UNIX_EPOCH, &figures));
        }
        (figures, samples)
    }

    #[test]
    fn a_sample_is_of_one_second() {
        let (figures, samples) = seconds(10, Some);
        assert_eq!((figures.video_bitrate, figures.audio_bitrate), (200_000, 40_000));
        assert_eq!((figures.clock_drift_ms, figures.dropped_frames), (0, 0));
        assert_eq!(figures.audio_offset_ms, 20);
        for (second, sample) in samples.iter().enumerate() {
            assert_eq!((sample.video_bitrate, sample.audio_bitrate), (200_000, 40_000));
            assert_eq!(
                (sample.frames, sample.keyframes),
                (25, u64::from(second % 2 == 0))
            );
        }
    }

    #[test]
    fn pictures_that_are_left_out_are_counted_and_a_lower_rate_is_not() {
        // Two pictures of the fourth second.
        let (figures, samples) = seconds(6, |dts| (dts != 3_400 && dts != 3_440).then_some(dts));
        assert_eq!(figures.dropped_frames, 2);
        assert_eq!(samples[3].dropped_frames, 2);
        let (halved, _) = seconds(20, |dts| (dts < 4_000 || dts % 80 == 0).then_some(dts));
        assert!(
            halved.dropped_frames < u64::from(NEW_RATE),
            "{}",
            halved.dropped_frames
        );
    }

    #[test]
    fn a_clock_that_runs_fast_drifts_and_a_jump_does_not() {
        // One in a thousand.
        let (figures, _) = seconds(61, |dts| Some(dts + dts / 1_000));
        assert!(
            (58..=61).contains(&figures.clock_drift_ms),
            "{}",
            figures.clock_drift_ms
        );
        let (jumped, _) = seconds(20, |dts| Some(if dts < 10_000 { dts } else { dts + 600_000 }));
        assert!(jumped.clock_drift_ms.abs() <= 40, "{}", jumped.clock_drift_ms);
    }
}
