//! What an encoder may send, and the watch over it.

use std::collections::VecDeque;
use std::time::Duration;

use marquee_error::Violations;
use marquee_hls::{Frame, Track};
use serde::{Deserialize, Serialize};

/// Bounds of one encoder. 0 is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestLimits {
    /// Bits per second of audio and video together, over five seconds of media.
    pub max_bitrate: u64,
    /// Longer side of the picture in pixels.
    pub max_width: u32,
    /// Shorter side of the picture in pixels.
    pub max_height: u32,
    /// Pictures per second, over five seconds of media.
    pub max_frame_rate: f64,
    /// Milliseconds from one keyframe to the next.
    pub max_keyframe_interval_ms: u64,
    /// Bytes of one frame.
    pub max_frame_bytes: u64,
}

/// Rates are means over this much media.
const WINDOW_MS: i64 = 5_000;
/// A step of the timestamps beyond this is a jump.
const JUMP_MS: i64 = 10_000;
/// How much of the window a burst may hold: clocks of encoders stand still for moments.
const BURST: u64 = 2;
/// Rates are measured; that much above the limit is still within it.
const TOLERANCE: f64 = 1.05;

impl IngestLimits {
    /// The tighter of each two.
    #[must_use]
    pub(crate) fn within(self, other: Self) -> Self {
        fn least<T: PartialOrd + Default>(one: T, two: T) -> T {
            let none = T::default();
            if one == none || two != none && two < one {
                two
            } else {
                one
            }
        }
        Self {
            max_bitrate: least(self.max_bitrate, other.max_bitrate),
            max_width: least(self.max_width, other.max_width),
            max_height: least(self.max_height, other.max_height),
            max_frame_rate: least(self.max_frame_rate, other.max_frame_rate),
            max_keyframe_interval_ms: least(self.max_keyframe_interval_ms, other.max_keyframe_interval_ms),
            max_frame_bytes: least(self.max_frame_bytes, other.max_frame_bytes),
        }
    }

    /// What is wrong with limits that an owner wrote.
    pub(crate) fn check(&self, violations: &mut Violations) {
        let rate = self.max_frame_rate;
        violations.check(
            rate.is_finite() && (0.0..=1_000.0).contains(&rate),
            "stream_key.limits.max_frame_rate",
            || "must be from 0 to 1,000".to_owned(),
        );
        violations.check(
            self.max_keyframe_interval_ms <= 120_000,
            "stream_key.limits.max_keyframe_interval",
            || "must be from 0 to 120 seconds".to_owned(),
        );
    }
}

/// A limit that was not kept: which, what was measured, and what to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("the bitrate is {measured} kbit/s, the limit is {limit} kbit/s: lower the encoder's bitrate")]
    Bitrate { measured: u64, limit: u64 },
    #[error(
        "the picture is {width}x{height}, the limit is {max_width}x{max_height}: lower the encoder's resolution"
    )]
    Resolution {
        width: u32,
        height: u32,
        max_width: u32,
        max_height: u32,
    },
    #[error(
        "the frame rate is {measured:.2} per second, the limit is {limit:.2}: lower the encoder's frame rate"
    )]
    FrameRate { measured: f64, limit: f64 },
    #[error(
        "there was no keyframe for {measured:.1} s, the limit is {limit:.1} s: set the encoder's keyframe interval to 2 s"
    )]
    KeyframeInterval { measured: f64, limit: f64 },
    #[error("a frame has {measured} bytes, the limit is {limit}: lower the encoder's bitrate")]
    FrameSize { measured: u64, limit: u64 },
}

impl Exceeded {
    /// For the metrics.
    pub(crate) fn limit(&self) -> &'static str {
        match self {
            Self::Bitrate { .. } => "bitrate",
            Self::Resolution { .. } => "resolution",
            Self::FrameRate { .. } => "frame_rate",
            Self::KeyframeInterval { .. } => "keyframe_interval",
            Self::FrameSize { .. } => "frame_size",
        }
    }
}

/// Holds one encoder to its limits. Time is that of the media: an encoder that catches up after a pause sends no more of
/// it than one that does not.
#[derive(Debug, Default)]
pub(crate) struct Warden {
    limits: IngestLimits,
    /// Time of the media in ms, bytes and pictures until then; of the last five seconds.
    ticks: VecDeque<(i64, u64, u64)>,
    /// The track that the time is taken from, its last timestamp, and the time.
    lead: Option<(Track, u32)>,
    time: i64,
    bytes: u64,
    pictures: u64,
    last_keyframe: Option<i64>,
}

impl Warden {
    pub(crate) fn new(limits: IngestLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Other limits from now on.
    pub(crate) fn set(&mut self, limits: IngestLimits) {
        self.limits = limits;
    }

    /// Looks at a sequence header's picture.
    pub(crate) fn picture(&self, width: u32, height: u32) -> Result<(), Exceeded> {
        let (longer, shorter) = (width.max(height), width.min(height));
        let IngestLimits {
            max_width,
            max_height,
            ..
        } = self.limits;
        let is_beyond = |side: u32, limit: u32| limit > 0 && side > limit;
        if is_beyond(longer, max_width) || is_beyond(shorter, max_height) {
            return Err(Exceeded::Resolution {
                width,
                height,
                max_width,
                max_height,
            });
        }
        Ok(())
    }

    /// Looks at a frame.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<(), Exceeded> {
        let limits = self.limits;
        let size = frame.data.len() as u64;
        if limits.max_frame_bytes > 0 && size > limits.max_frame_bytes {
            return Err(Exceeded::FrameSize {
                measured: size,
                limit: limits.max_frame_bytes,
            });
        }
        self.bytes += size;
        let is_picture = frame.track == Track::Video;
        self.pictures += u64::from(is_picture);
        self.pass(frame);
        if is_picture {
            self.keyframe(frame.keyframe)?;
        }
        self.rates()
    }

    /// Goes on in time: by the video as soon as there is one.
    fn pass(&mut self, frame: &Frame) {
        match self.lead {
            Some((track, last)) if track == frame.track => {
                // The difference of two 32-bit times, as the signed number that it is.
                let step = i64::from(frame.dts_ms.wrapping_sub(last).cast_signed());
                self.lead = Some((track, frame.dts_ms));
                if (0..=JUMP_MS).contains(&step) {
                    self.time += step;
                } else {
                    self.begin();
                }
            }
            Some((Track::Video, _)) => {}
            _ => {
                self.lead = Some((frame.track, frame.dts_ms));
                self.begin();
            }
        }
        self.ticks.push_back((self.time, self.bytes, self.pictures));
        while self
            .ticks
            .front()
            .is_some_and(|(time, ..)| self.time - time > WINDOW_MS)
        {
            self.ticks.pop_front();
        }
    }

    /// Measures anew from here on.
    fn begin(&mut self) {
        self.ticks.clear();
        self.last_keyframe = self.last_keyframe.map(|_| self.time);
    }

    fn keyframe(&mut self, is_key: bool) -> Result<(), Exceeded> {
        let since = self.time - *self.last_keyframe.get_or_insert(self.time);
        let limit = self.limits.max_keyframe_interval_ms;
        if limit > 0 && since.unsigned_abs() > limit {
            let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
            return Err(Exceeded::KeyframeInterval {
                measured: seconds(since.unsigned_abs()),
                limit: seconds(limit),
            });
        }
        if is_key {
            self.last_keyframe = Some(self.time);
        }
        Ok(())
    }

    fn rates(&self) -> Result<(), Exceeded> {
        let Some((since, bytes, pictures)) = self.ticks.front().copied() else {
            return Ok(());
        };
        let span = (self.time - since).unsigned_abs();
        let bits = (self.bytes - bytes) * 8;
        let limit = self.limits.max_bitrate;
        let whole = span >= WINDOW_MS.unsigned_abs() - 500;
        if limit > 0 {
            let most = limit.saturating_mul(BURST * WINDOW_MS.unsigned_abs() / 1_000);
            let measured = bits.saturating_mul(1_000) / span.max(1);
            if whole && to_f64(measured) > to_f64(limit) * TOLERANCE || bits > most {
                return Err(Exceeded::Bitrate {
                    measured: measured / 1_000,
                    limit: limit / 1_000,
                });
            }
        }
        let limit = self.limits.max_frame_rate;
        if limit > 0.0 && whole {
            let measured = to_f64(self.pictures - pictures) * 1_000.0 / to_f64(span);
            if measured > limit * TOLERANCE {
                return Err(Exceeded::FrameRate { measured, limit });
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Seconds of a stream of 25 pictures a second, `bytes` each, a keyframe every `gop` pictures; until it is stopped.
    fn sent(limits: IngestLimits, seconds: u32, bytes: usize, gop: u32) -> Result<(), Exceeded> {
        let mut warden = Warden::new(limits);
        for picture in 0..seconds * 25 {
            let data = Bytes::from(vec![0; bytes]);
            warden.frame(&Frame::video(picture * 40, 0, picture % gop == 0, data))?;
            warden.frame(&Frame::audio(picture * 40, Bytes::from_static(&[0; 10])))?;
        }
        Ok(())
    }

    #[test]
    fn a_stream_within_its_limits_is_left_alone() {
        let limits = IngestLimits {
            max_bitrate: 202_000,
            max_frame_rate: 25.0,
            max_keyframe_interval_ms: 2_000,
            max_frame_bytes: 1_000,
            ..IngestLimits::default()
        };
        assert_eq!(sent(limits, 60, 1_000, 50), Ok(()));
        assert_eq!(sent(IngestLimits::default(), 60, 100_000, 10_000), Ok(()));
    }

    #[test]
    fn each_limit_says_what_was_measured_and_what_to_change() {
        let none = IngestLimits::default();
        for (limits, said) in [
            (
                IngestLimits {
                    max_bitrate: 100_000,
                    ..none
                },
                "the bitrate is 202 kbit/s, the limit is 100 kbit/s: lower the encoder's bitrate",
            ),
            (
                IngestLimits {
                    max_frame_rate: 20.0,
                    ..none
                },
                "the frame rate is 25.00 per second, the limit is 20.00: lower the encoder's frame rate",
            ),
            (
                IngestLimits {
                    max_keyframe_interval_ms: 1_000,
                    ..none
                },
                "there was no keyframe for 1.0 s, the limit is 1.0 s: set the encoder's keyframe interval to 2 s",
            ),
            (
                IngestLimits {
                    max_frame_bytes: 999,
                    ..none
                },
                "a frame has 1000 bytes, the limit is 999: lower the encoder's bitrate",
            ),
        ] {
            let exceeded = sent(limits, 60, 1_000, 50).unwrap_err();
            assert_eq!(exceeded.to_string(), said);
        }
    }

    #[test]
    fn the_picture_may_stand_upright() {
        let limits = IngestLimits {
            max_width: 1_920,
            max_height: 1_080,
            ..IngestLimits::default()
        };
        let warden = Warden::new(limits);
        assert_eq!(warden.picture(1_920, 1_080), Ok(()));
        assert_eq!(warden.picture(1_080, 1_920), Ok(()));
        assert!(warden.picture(2_560, 1_080).is_err() && warden.picture(1_440, 1_440).is_err());
    }

    #[test]
    fn a_clock_that_stands_still_is_no_way_around_the_bitrate() {
        let limits = IngestLimits {
            max_bitrate: 1_000_000,
            ..IngestLimits::default()
        };
        let mut warden = Warden::new(limits);
        let stopped = (0..1_000).find(|_| {
            let frame = Frame::video(0, 0, true, Bytes::from(vec![0; 10_000]));
            warden.frame(&frame).is_err()
        });
        assert!(stopped.is_some_and(|frames| frames <= 130), "{stopped:?}");
    }

    #[test]
    fn a_jump_of_the_timestamps_is_not_measured() {
        let limits = IngestLimits {
            max_bitrate: 250_000,
            max_keyframe_interval_ms: 1_000,
            ..IngestLimits::default()
        };
        let mut warden = Warden::new(limits);
        for start in [0_u32, 60_000, 1_000, u32::MAX - 2_000] {
            for picture in 0..100 {
                let dts = start.wrapping_add(picture * 40);
                let frame = Frame::video(dts, 0, picture % 25 == 0, Bytes::from_static(&[0; 1_000]));
                assert_eq!(warden.frame(&frame), Ok(()), "{start} {picture}");
            }
        }
    }

    #[test]
    fn the_tighter_limit_counts_and_none_is_no_limit() {
        let service = IngestLimits {
            max_bitrate: 100,
            max_width: 10,
            ..IngestLimits::default()
        };
        let key = IngestLimits {
            max_bitrate: 200,
            max_height: 20,
            ..IngestLimits::default()
        };
        let both = service.within(key);
        assert_eq!((both.max_bitrate, both.max_width, both.max_height), (100, 10, 20));
        assert_eq!(key.within(service), both);
    }
}
