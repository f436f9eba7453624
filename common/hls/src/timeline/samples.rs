//! Audio: time is the count of samples, so that frames touch exactly; timestamps only correct real drift.

/// Frames of drift that are put down to rounding and jitter.
const TOLERATED_FRAMES: i64 = 2;
/// Frames of drift that are believed at once.
const CERTAIN_FRAMES: i64 = 10;
/// Frames in a row that must be off before a smaller drift is believed.
const SUSTAINED: u32 = 8;

/// What becomes of an audio frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleTime {
    /// It starts here, right after the one before.
    Continues(i64),
    /// It starts here, after a gap of so many samples.
    AfterGap { start: i64, gap: i64 },
    /// Its time has been filled already. `Some` with the overlap in samples at the first of a row.
    Overlaps(Option<i64>),
}

/// Counts the samples of one audio track.
#[derive(Debug)]
pub(crate) struct SampleClock {
    samples_per_frame: i64,
    next: Option<i64>,
    off_in_a_row: u32,
    dropping: bool,
}

impl SampleClock {
    pub(crate) fn new(samples_per_frame: u32) -> Self {
        Self {
            samples_per_frame: i64::from(samples_per_frame),
            next: None,
            off_in_a_row: 0,
            dropping: false,
        }
    }

    /// Places a frame of so many samples whose raw time, in samples, is exact to a millisecond or so. Frames need not all be
    /// of the usual length.
    pub(crate) fn place(&mut self, raw: i64, samples: u32) -> SampleTime {
        let samples = i64::from(samples);
        let Some(next) = self.next else {
            self.next = Some(raw + samples);
            return SampleTime::Continues(raw);
        };
        let drift = raw - next;
        if self.dropping {
            if drift < -self.samples_per_frame / 2 {
                return SampleTime::Overlaps(None);
            }
            self.dropping = false;
        }
        if drift.abs() <= TOLERATED_FRAMES * self.samples_per_frame {
            self.off_in_a_row = 0;
        } else {
            self.off_in_a_row += 1;
            if self.off_in_a_row >= SUSTAINED || drift.abs() > CERTAIN_FRAMES * self.samples_per_frame {
                self.off_in_a_row = 0;
                if drift < 0 {
                    self.dropping = true;
                    return SampleTime::Overlaps(Some(-drift));
                }
                self.next = Some(raw + samples);
                return SampleTime::AfterGap {
                    start: raw,
                    gap: drift,
                };
            }
        }
        self.next = Some(next + samples);
        SampleTime::Continues(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl SampleClock {
        fn next(&mut self, raw: i64) -> SampleTime {
            self.place(raw, 1_024)
        }
    }

    /// Samples at 44.1 kHz of the rounded-down millisecond of frame k.
    fn raw(k: i64) -> i64 {
        let ms = k * 1_024 * 1_000 / 44_100;
        ms * 44_100 / 1_000
    }

    #[test]
    fn millisecond_rounding_never_shows() {
        let mut clock = SampleClock::new(1_024);
        for k in 0..1_000_000 {
            assert_eq!(clock.next(raw(k)), SampleTime::Continues(k * 1_024));
        }
    }

    #[test]
    fn jitter_of_a_frame_or_two_never_shows() {
        let mut clock = SampleClock::new(1_024);
        for k in 0..1_000 {
            let jitter = [0, 900, -900, 2_000, -1_500][k as usize % 5];
            let expected = if k == 0 { jitter } else { k * 1_024 };
            assert_eq!(clock.next(k * 1_024 + jitter), SampleTime::Continues(expected));
        }
    }

    #[test]
    fn frames_of_changing_length_touch() {
        let mut clock = SampleClock::new(960);
        let mut end = 0;
        for k in 0..1_000 {
            let samples = [960, 480, 1_920, 120][k % 4];
            assert_eq!(clock.place(end, samples), SampleTime::Continues(end));
            end += i64::from(samples);
        }
    }

    #[test]
    fn a_long_gap_is_kept_at_once() {
        let mut clock = SampleClock::new(1_024);
        clock.next(0);
        assert_eq!(
            clock.next(50_000),
            SampleTime::AfterGap {
                start: 50_000,
                gap: 48_976
            }
        );
        assert_eq!(clock.next(51_024), SampleTime::Continues(51_024));
    }

    #[test]
    fn a_short_gap_is_kept_once_it_has_lasted() {
        let mut clock = SampleClock::new(1_024);
        clock.next(0);
        let lost = 4 * 1_024;
        let places: Vec<_> = (1..12).map(|k| clock.next(k * 1_024 + lost)).collect();
        let gaps = places
            .iter()
            .filter(|p| matches!(p, SampleTime::AfterGap { .. }))
            .count();
        assert_eq!(gaps, 1);
        assert_eq!(places[10], SampleTime::Continues(11 * 1_024 + lost));
    }

    #[test]
    fn frames_that_overlap_are_left_out_until_audio_fits_again() {
        let mut clock = SampleClock::new(1_024);
        for k in 0..20 {
            clock.next(k * 1_024);
        }
        let back = 12 * 1_024;
        assert_eq!(clock.next(20 * 1_024 - back), SampleTime::Overlaps(Some(back)));
        let left_out = (21..).take_while(|k| matches!(clock.next(k * 1_024 - back), SampleTime::Overlaps(_)));
        assert_eq!(left_out.count(), 11);
    }

    proptest! {
        #[test]
        fn frames_never_overlap(steps in prop::collection::vec(-30_000i64..60_000, 1..300)) {
            let mut clock = SampleClock::new(1_024);
            let (mut raw, mut end) = (0, i64::MIN);
            for step in steps {
                raw += step;
                let start = match clock.next(raw) {
                    SampleTime::Continues(start) | SampleTime::AfterGap { start, .. } => start,
                    SampleTime::Overlaps(_) => continue,
                };
                prop_assert!(start >= end);
                end = start + 1_024;
            }
        }
    }
}
