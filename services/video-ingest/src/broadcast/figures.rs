//! What is measured of the media that arrives.

use std::collections::VecDeque;
use std::time::Duration;

use marquee_hls::{Frame, InitRecord, Journal, Track};

use crate::domain::Figures;

/// Rates are means over this long.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts frames; time is handed in.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Per tick of about a second: when, bytes, pictures.
    ticks: VecDeque<(Duration, u64, u64)>,
    bytes: u64,
    pictures: u64,
    last_keyframe: Option<u32>,
    keyframe_interval_ms: u64,
    media_ms: u64,
    last_dts: Option<(Track, u32)>,
}

impl Meter {
    /// Takes a frame that arrived.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.bytes += frame.data.len() as u64;
        if frame.track == Track::Video {
            self.pictures += 1;
            if frame.keyframe {
                if let Some(last) = self.last_keyframe {
                    self.keyframe_interval_ms = u64::from(frame.dts_ms.wrapping_sub(last));
                }
                self.last_keyframe = Some(frame.dts_ms);
            }
        }
        match self.last_dts {
            // Only one track is followed; a step of more than ten seconds is a jump, not media.
            Some((track, last)) if track == frame.track => {
                let step = frame.dts_ms.wrapping_sub(last);
                if step < 10_000 {
                    self.media_ms += u64::from(step);
                }
                self.last_dts = Some((track, frame.dts_ms));
            }
            Some((Track::Video, _)) => {}
            _ => self.last_dts = Some((frame.track, frame.dts_ms)),
        }
    }

    /// Goes on with the sums of what was stored.
    pub(crate) fn resume(journal: &Journal) -> Self {
        Self {
            bytes: journal.segments.iter().map(|segment| segment.bytes).sum(),
            media_ms: u64::try_from(journal.duration().as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }

    /// Bytes of all frames so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An encoder begins: rates are counted from now on.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.last_keyframe = None;
        self.last_dts = None;
        self.ticks.clear();
        self.ticks.push_back((now, self.bytes, self.pictures));
    }

    /// The encoder is gone. What is left are the sums; the rates are zero.
    pub(crate) fn interrupt(&mut self, now: Duration, init: Option<&InitRecord>) -> Figures {
        self.ticks.clear();
        self.read(now, init)
    }

    /// The figures at `now`, counted from any fixed moment. Call it about once a second.
    pub(crate) fn read(&mut self, now: Duration, init: Option<&InitRecord>) -> Figures {
        self.ticks.push_back((now, self.bytes, self.pictures));
        while self.ticks.len() > 2
            && self
                .ticks
                .front()
                .is_some_and(|(at, ..)| now.saturating_sub(*at) > WINDOW)
        {
            self.ticks.pop_front();
        }
        let (since, bytes, pictures) =
            self.ticks
                .front()
                .copied()
                .unwrap_or((now, self.bytes, self.pictures));
        let seconds = now.saturating_sub(since).as_secs_f64();
        let rate = |count: u64| {
            if seconds > 0.0 {
                to_f64(count) / seconds
            } else {
                0.0
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive rate of bits"
        )]
        let bitrate = (rate(self.bytes - bytes) * 8.0) as u64;
        let (width, height) = init.and_then(|init| init.resolution).unwrap_or_default();
        let codecs = init.map(|init| init.codecs.as_str()).unwrap_or_default();
        let codec = |audio: bool| {
            codecs
                .split(',')
                .find(|codec| codec.starts_with("mp4a") == audio && !codec.is_empty())
                .unwrap_or_default()
        };
        Figures {
            video_codec: codec(false).to_owned(),
            audio_codec: codec(true).to_owned(),
            width: width.into(),
            height: height.into(),
            frame_rate: (rate(self.pictures - pictures) * 100.0).round() / 100.0,
            bitrate,
            keyframe_interval_ms: self.keyframe_interval_ms,
            media_duration_ms: self.media_ms,
            bytes: self.bytes,
        }
    }
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
}
