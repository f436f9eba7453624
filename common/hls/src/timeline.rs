//! From 32-bit milliseconds to exact media time that never goes back.

mod clock;
mod grid;
mod samples;

pub(crate) use clock::{Clock, Placed};
pub(crate) use grid::Grid;
pub(crate) use samples::{SampleClock, SampleTime};

/// Where media time zero lies on the unwrapped millisecond clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The millisecond of the first sample of a publish.
    pub(crate) ms: i64,
    /// The media time that it gets, in microseconds: after all that earlier publishes left.
    pub(crate) media_us: i64,
}

impl Origin {
    /// Media time in microseconds.
    pub(crate) fn micros(self, ms: i64) -> i64 {
        (ms - self.ms) * 1_000 + self.media_us
    }

    /// Media time in ticks of a track, rounded to the nearest.
    pub(crate) fn ticks(self, ms: i64, timescale: u32) -> i64 {
        let scaled = i128::from(self.micros(ms)) * i128::from(timescale);
        ((scaled + 500_000).div_euclid(1_000_000)) as i64
    }
}

/// Microseconds of a time in ticks, rounded down.
pub(crate) fn ticks_to_micros(ticks: i64, timescale: u32) -> i64 {
    (i128::from(ticks) * 1_000_000).div_euclid(i128::from(timescale)) as i64
}
