//! Video: milliseconds are snapped to the exact frame rate, so that presentation times are uniform and never drift.

use crate::codec::FrameRate;

const TIMESCALE: i64 = crate::fmp4::VIDEO_TIMESCALE as i64;
/// Both ends of a distance are rounded to a millisecond: an exact stream is never further off its grid than this.
const TOLERANCE: i64 = TIMESCALE / 1_000 + 1;
/// Up to here the grid is moved just so far that the frame fits, which follows a slowly drifting clock without a jolt.
const FOLLOWED: i64 = 2 * TOLERANCE;
/// Frames that a rate is estimated from.
const ESTIMATE_FRAMES: usize = 32;
/// Frames off the grid, less those on it, that refute the rate.
const REFUTED: u32 = 8;

const COMMON_RATES: [(u32, u32); 14] = [
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (20, 1),
    (15, 1),
    (10, 1),
    (120, 1),
    (12, 1),
];

/// Decode and presentation time in ticks of 1/90000 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VideoTime {
    pub(crate) dts: i64,
    pub(crate) pts: i64,
}

/// The frame grid: position k is `anchor + k / rate`.
#[derive(Debug)]
pub(crate) struct Grid {
    rate: Option<FrameRate>,
    anchor: i64,
    last_dts: Option<i64>,
    /// The next frame becomes position zero.
    reanchor: bool,
    misses: u32,
    history: Vec<i64>,
}

impl Grid {
    /// `rate` is what the parameter sets say; it is dropped if the frames say otherwise.
    pub(crate) fn new(rate: Option<FrameRate>) -> Self {
        Self {
            rate,
            anchor: 0,
            last_dts: None,
            reanchor: true,
            misses: 0,
            history: Vec::new(),
        }
    }

    /// New parameter sets: another rate, but decode time goes on.
    pub(crate) fn change_rate(&mut self, rate: Option<FrameRate>) {
        if self.rate != rate {
            *self = Self {
                last_dts: self.last_dts,
                ..Self::new(rate)
            };
        }
    }

    /// A frame's length in ticks as far as is known.
    pub(crate) fn nominal(&self) -> i64 {
        self.rate.map_or(TIMESCALE / 30, |rate| position(rate, 1))
    }

    /// Places a frame whose raw times are exact to a millisecond. Decode times strictly increase.
    pub(crate) fn place(&mut self, raw_dts: i64, raw_composition: i64) -> VideoTime {
        if std::mem::take(&mut self.reanchor) {
            self.anchor = raw_dts;
        }
        if self.rate.is_none() {
            self.estimate(raw_dts);
        }
        let mut time = match self.rate {
            None => VideoTime {
                dts: raw_dts,
                pts: raw_dts + raw_composition,
            },
            Some(rate) => self.snap(rate, raw_dts, raw_composition),
        };
        if let Some(last) = self.last_dts {
            time.dts = time.dts.max(last + 1);
        }
        self.last_dts = Some(time.dts);
        time
    }

    fn snap(&mut self, rate: FrameRate, raw_dts: i64, raw_composition: i64) -> VideoTime {
        let mut k = index(rate, raw_dts - self.anchor);
        let error = raw_dts - self.anchor - position(rate, k);
        if error.abs() <= TOLERANCE {
            self.misses = self.misses.saturating_sub(1);
        } else if error.abs() <= FOLLOWED {
            self.anchor += error - error.signum() * TOLERANCE;
        } else {
            self.anchor = raw_dts;
            k = 0;
            self.misses += 2;
            if self.misses > 2 * REFUTED {
                self.rate = None;
                self.misses = 0;
                self.history.clear();
            }
        }
        let dts = self.anchor + position(rate, k);
        let frames = index(rate, raw_composition);
        let pts = if (raw_composition - position(rate, frames)).abs() <= TOLERANCE {
            self.anchor + position(rate, k + frames)
        } else {
            dts + raw_composition
        };
        VideoTime { dts, pts }
    }

    fn estimate(&mut self, raw_dts: i64) {
        self.history.push(raw_dts);
        if self.history.len() < ESTIMATE_FRAMES {
            return;
        }
        let first = self.history[0];
        let worst = |rate: FrameRate| {
            let off = |&raw: &i64| {
                let k = index(rate, raw - first);
                (raw - first - position(rate, k)).abs()
            };
            self.history.iter().map(off).max().unwrap_or(0)
        };
        // One frame per position: a multiple of the true rate fits as well, but leaves positions empty.
        let is_full = |rate: FrameRate| index(rate, raw_dts - first) < self.history.len() as i64 * 3 / 2;
        self.rate = COMMON_RATES
            .iter()
            .filter_map(|&(n, d)| FrameRate::new(n, d))
            .filter(|&rate| is_full(rate))
            .map(|rate| (worst(rate), rate))
            .filter(|&(worst, _)| worst <= TOLERANCE)
            .min_by_key(|&(worst, _)| worst)
            .map(|(_, rate)| rate);
        self.anchor = first;
        self.history.clear();
    }
}

/// The distance of `k` frames, rounded to the nearest tick.
fn position(rate: FrameRate, k: i64) -> i64 {
    let (n, d) = (i128::from(rate.numerator), i128::from(rate.denominator));
    let scaled = i128::from(k) * i128::from(TIMESCALE) * d;
    (2 * scaled + n).div_euclid(2 * n) as i64
}

/// The number of frames nearest to a distance.
fn index(rate: FrameRate, ticks: i64) -> i64 {
    let (n, d) = (i128::from(rate.numerator), i128::from(rate.denominator));
    let unit = i128::from(TIMESCALE) * d;
    (2 * i128::from(ticks) * n + unit).div_euclid(2 * unit) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ntsc() -> FrameRate {
        FrameRate::new(30_000, 1_001).unwrap()
    }

    fn rounded_ms(rate: FrameRate, k: i64) -> i64 {
        let (n, d) = (i64::from(rate.numerator), i64::from(rate.denominator));
        (2 * k * 1_000 * d + n).div_euclid(2 * n)
    }

    #[test]
    fn ten_hours_of_ntsc_in_milliseconds_come_out_exact() {
        let mut grid = Grid::new(Some(ntsc()));
        for k in 0..1_078_921 {
            let composition = [2, 4, 2, 0, 1][k as usize % 5];
            let raw = rounded_ms(ntsc(), k);
            let offset = rounded_ms(ntsc(), k + composition) - raw;
            let time = grid.place(raw * 90, offset * 90);
            assert_eq!(time.dts, k * 3_003, "frame {k}");
            assert_eq!(time.pts, (k + composition) * 3_003, "frame {k}");
        }
    }

    #[test]
    fn the_rate_is_found_when_the_parameter_sets_do_not_tell_it() {
        for (n, d) in [(30_000, 1_001), (25, 1), (60, 1), (15, 1), (24_000, 1_001)] {
            let rate = FrameRate::new(n, d).unwrap();
            let mut grid = Grid::new(None);
            for k in 0..200 {
                grid.place(rounded_ms(rate, k) * 90, 0);
            }
            let found = grid.rate.unwrap();
            assert!(
                (found.as_f64() / rate.as_f64() - 1.0).abs() < 0.002,
                "{found:?} for {rate:?}"
            );
        }
    }

    #[test]
    fn a_wrong_rate_in_the_parameter_sets_is_refuted() {
        let mut grid = Grid::new(FrameRate::new(30, 1));
        for k in 0..100 {
            grid.place(k * 20 * 90, 0);
        }
        assert_eq!(grid.rate, FrameRate::new(50, 1));
    }

    #[test]
    fn a_drifting_clock_is_followed_without_a_jolt() {
        let mut grid = Grid::new(FrameRate::new(30, 1));
        let mut last = None;
        for k in 0..100_000i64 {
            // 200 ppm slow.
            let raw = (k * 1_000_200) / 30_000;
            let time = grid.place(raw * 90, 0);
            assert!((time.dts - raw * 90).abs() <= 2 * FOLLOWED);
            if let Some(last) = last.replace(time.dts) {
                assert!(
                    (time.dts - last - 3_000).abs() <= 91,
                    "frame {k}: {}",
                    time.dts - last
                );
            }
        }
    }

    proptest! {
        #[test]
        fn decode_time_always_increases(steps in prop::collection::vec((-500i64..3_000, -100i64..1_000), 1..200),
                                        hint in prop::option::of(0usize..COMMON_RATES.len())) {
            let hint = hint.and_then(|i| FrameRate::new(COMMON_RATES[i].0, COMMON_RATES[i].1));
            let mut grid = Grid::new(hint);
            let (mut raw, mut last) = (0, i64::MIN);
            for (step, composition) in steps {
                raw += step;
                let time = grid.place(raw * 90, composition * 90);
                prop_assert!(time.dts > last);
                last = time.dts;
            }
        }

        #[test]
        fn no_frame_is_moved_by_more_than_two_milliseconds(steps in prop::collection::vec(1i64..300, 1..300)) {
            let mut grid = Grid::new(Some(ntsc()));
            let mut raw = 0;
            for step in steps {
                raw += step;
                let time = grid.place(raw * 90, 0);
                prop_assert!((time.dts - raw * 90).abs() <= 2 * 91 + 1);
            }
        }
    }
}
