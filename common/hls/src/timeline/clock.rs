//! One continuous millisecond clock for both tracks, out of 32-bit timestamps that wrap and jump.

use crate::Track;

/// A first frame further than this from the other track's is on another clock altogether.
const OTHER_CLOCK_MS: i64 = 30_000;

#[derive(Debug, Clone, Copy)]
struct Position {
    /// Unwrapped, as sent.
    raw: i64,
    /// What is added to it.
    shift: i64,
    /// Counts the jumps; tracks of the same epoch have the same shift.
    epoch: u64,
    /// Milliseconds between the last two frames.
    step: i64,
}

impl Position {
    fn out(self) -> i64 {
        self.raw + self.shift
    }
}

/// A frame's time on the continuous clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Milliseconds; small steps back are kept, and dealt with where ticks are made.
    pub(crate) ms: i64,
    /// How far from the expected the timestamps jumped, if this frame is the first after a jump.
    pub(crate) jump_ms: Option<i64>,
}

/// Unwraps timestamps and takes jumps out of them, keeping the tracks' offset to each other: the first track to jump sets
/// the new shift, and the other adopts it when it jumps too.
#[derive(Debug)]
pub(crate) struct Clock {
    forward_ms: i64,
    backward_ms: i64,
    positions: [Option<Position>; 2],
}

impl Clock {
    pub(crate) fn new(forward_ms: i64, backward_ms: i64) -> Self {
        Self {
            forward_ms,
            backward_ms,
            positions: [None; 2],
        }
    }

    /// A gap must fit into a segment: once the target duration is fixed, longer ones are jumps.
    pub(crate) fn limit_forward(&mut self, ms: i64) {
        self.forward_ms = self.forward_ms.min(ms);
    }

    pub(crate) fn place(&mut self, track: Track, timestamp: u32) -> Placed {
        let (own, other) = match track {
            Track::Video => (self.positions[0], self.positions[1]),
            Track::Audio => (self.positions[1], self.positions[0]),
        };
        let (position, jump_ms) = match (own, other) {
            (Some(own), other) => self.follow(own, other, timestamp),
            (None, other) => (first(other, timestamp), None),
        };
        self.positions[match track {
            Track::Video => 0,
            Track::Audio => 1,
        }] = Some(position);
        Placed {
            ms: position.out(),
            jump_ms,
        }
    }

    fn follow(&self, own: Position, other: Option<Position>, timestamp: u32) -> (Position, Option<i64>) {
        let raw = unwrap(own.raw, timestamp);
        let delta = raw - own.raw;
        // A track that paused while the other went on has a gap, not a jump.
        let beside_other =
            other.is_some_and(|o| o.epoch == own.epoch && (raw - o.raw).abs() <= self.forward_ms);
        let jumped = delta < -self.backward_ms || delta > self.forward_ms && !beside_other;
        if !jumped {
            let step = if delta > 0 { delta.min(1_000) } else { own.step };
            return (Position { raw, step, ..own }, None);
        }
        let expected = own.out() + own.step;
        if let Some(other) = other.filter(|o| o.epoch > own.epoch)
            && (raw + other.shift - expected).abs() <= self.forward_ms
        {
            let adopted = Position {
                raw,
                shift: other.shift,
                epoch: other.epoch,
                step: own.step,
            };
            return (adopted, None);
        }
        let epoch = 1 + own.epoch.max(other.map_or(0, |o| o.epoch));
        let shift = expected - raw;
        let jumped_by = raw - own.raw - own.step;
        (
            Position {
                raw,
                shift,
                epoch,
                step: own.step,
            },
            Some(jumped_by),
        )
    }
}

fn first(other: Option<Position>, timestamp: u32) -> Position {
    let step = 25;
    let Some(other) = other else {
        return Position {
            raw: i64::from(timestamp),
            shift: 0,
            epoch: 0,
            step,
        };
    };
    let raw = unwrap(other.raw, timestamp);
    let shift = if (raw - other.raw).abs() > OTHER_CLOCK_MS {
        other.out() - raw
    } else {
        other.shift
    };
    Position {
        raw,
        shift,
        epoch: other.epoch,
        step,
    }
}

/// The value nearest to `last` that is `timestamp` modulo 2^32.
fn unwrap(last: i64, timestamp: u32) -> i64 {
    let delta = timestamp.wrapping_sub(last as u32) as i32;
    last + i64::from(delta)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn video(clock: &mut Clock, timestamp: u32) -> i64 {
        clock.place(Track::Video, timestamp).ms
    }

    fn audio(clock: &mut Clock, timestamp: u32) -> i64 {
        clock.place(Track::Audio, timestamp).ms
    }

    fn clock() -> Clock {
        Clock::new(3_000, 500)
    }

    #[test]
    fn goes_on_over_the_wrap() {
        let mut clock = clock();
        let start = video(&mut clock, u32::MAX - 19);
        assert_eq!(video(&mut clock, 20) - start, 40);
    }

    #[test]
    fn a_jump_continues_one_step_later_and_keeps_the_tracks_together() {
        for by in [60_000u32, 0u32.wrapping_sub(60_000)] {
            let mut clock = clock();
            for i in 0..10 {
                video(&mut clock, 100_000 + i * 40);
                audio(&mut clock, 100_010 + i * 40);
            }
            let jumped = clock.place(Track::Video, (100_400u32).wrapping_add(by));
            assert_eq!(jumped.ms, 100_400);
            assert_eq!(jumped.jump_ms, Some(i64::from(by as i32)));
            let followed = clock.place(Track::Audio, (100_410u32).wrapping_add(by));
            assert_eq!(
                followed,
                Placed {
                    ms: 100_410,
                    jump_ms: None
                }
            );
        }
    }

    #[test]
    fn a_pause_of_one_track_is_a_gap() {
        let mut clock = clock();
        audio(&mut clock, 0);
        for i in 0..400 {
            video(&mut clock, i * 25);
        }
        let placed = clock.place(Track::Audio, 9_980);
        assert_eq!(
            placed,
            Placed {
                ms: 9_980,
                jump_ms: None
            }
        );
    }

    #[test]
    fn a_late_track_keeps_its_own_time() {
        let mut clock = clock();
        video(&mut clock, 7_000);
        assert_eq!(audio(&mut clock, 2_000), 2_000);
        assert_eq!(audio(&mut clock, 2_023), 2_023);
    }

    #[test]
    fn a_track_on_another_clock_is_put_beside_the_first() {
        let mut clock = clock();
        video(&mut clock, 3_600_000);
        assert_eq!(audio(&mut clock, 0), 3_600_000);
    }

    proptest! {
        #[test]
        fn no_step_is_larger_than_the_limits(timestamps in prop::collection::vec((any::<bool>(), any::<u32>()), 1..200)) {
            let mut clock = clock();
            let mut last: [Option<i64>; 2] = [None, None];
            for (is_video, timestamp) in timestamps {
                let track = if is_video { Track::Video } else { Track::Audio };
                let ms = clock.place(track, timestamp).ms;
                let own = &mut last[usize::from(is_video)];
                if let Some(previous) = own {
                    prop_assert!(ms - *previous >= -3_000 - 1_000);
                }
                *own = Some(ms);
            }
        }
    }
}
