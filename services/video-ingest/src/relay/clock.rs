//! Timestamps that go on when another encoder begins.

/// Between the last frame of one encoder and the first of the next, milliseconds, while nothing better is known.
const STEP: u32 = 40;
/// A longer way between two frames is no frame's duration.
const LONGEST_STEP: u32 = 1_000;
/// Sound and pictures are this far apart at most; what is farther is a jump, milliseconds.
const JUMP: u32 = 10_000;

/// Keeps an encoder's timestamps as they are, but for the first one's those of a later encoder go on where the one before it
/// stopped: a player sees one stream.
#[derive(Debug, Default)]
pub(super) struct Clock {
    offset: u32,
    /// The newest timestamp given out; none before the first.
    newest: Option<u32>,
    pictures: Pace,
    sounds: Pace,
    is_fresh: bool,
}

/// Of one kind of frames.
#[derive(Debug, Default)]
struct Pace {
    last: Option<u32>,
    /// From one to the next.
    step: Option<u32>,
}

impl Clock {
    /// Another encoder begins.
    pub(super) fn restart(&mut self) {
        self.is_fresh = true;
    }

    /// The newest timestamp given out; 0 before the first.
    pub(super) fn newest(&self) -> u32 {
        self.newest.unwrap_or(0)
    }

    /// The timestamp of a header, which encoders also send with 0.
    pub(super) fn header(&self, timestamp: u32) -> u32 {
        match self.newest {
            None => timestamp,
            Some(newest) if self.is_fresh => newest,
            Some(newest) => {
                let moved = timestamp.wrapping_add(self.offset);
                if distance(moved, newest) > JUMP {
                    newest
                } else {
                    moved
                }
            }
        }
    }

    /// The timestamp of a frame.
    pub(super) fn frame(&mut self, timestamp: u32, is_picture: bool) -> u32 {
        let pace = if is_picture {
            &mut self.pictures
        } else {
            &mut self.sounds
        };
        if std::mem::take(&mut self.is_fresh)
            && let Some(newest) = self.newest
        {
            let last = pace.last.take().unwrap_or(newest);
            let next = last.wrapping_add(pace.step.unwrap_or(STEP));
            let next = if is_after(next, newest) {
                next
            } else {
                newest.wrapping_add(1)
            };
            self.offset = next.wrapping_sub(timestamp);
        }
        let moved = timestamp.wrapping_add(self.offset);
        let step = pace.last.map(|last| moved.wrapping_sub(last));
        pace.step = step
            .filter(|step| (1..=LONGEST_STEP).contains(step))
            .or(pace.step);
        pace.last = Some(moved);
        match self.newest {
            Some(newest) if !is_after(moved, newest) && distance(moved, newest) <= JUMP => {}
            _ => self.newest = Some(moved),
        }
        moved
    }

    /// Milliseconds from a timestamp to the newest one; 0 for one that is later.
    pub(super) fn age(&self, timestamp: u32) -> u32 {
        let newest = self.newest();
        if is_after(newest, timestamp) {
            newest.wrapping_sub(timestamp)
        } else {
            0
        }
    }
}

/// Serial number arithmetic (RFC 1982): timestamps wrap after 49.7 days.
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn distance(a: u32, b: u32) -> u32 {
    a.wrapping_sub(b).min(b.wrapping_sub(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_encoders_timestamps_stay_as_they_are() {
        let mut clock = Clock::default();
        clock.restart();
        assert_eq!(clock.header(0), 0);
        for timestamp in [5_000, 5_021, 5_040] {
            assert_eq!(clock.frame(timestamp, true), timestamp);
        }
    }

    #[test]
    fn the_next_encoder_goes_on_one_frame_later() {
        let mut clock = Clock::default();
        for timestamp in [0, 33, 66] {
            clock.frame(timestamp, true);
        }
        clock.frame(59, false);
        clock.frame(80, false);
        clock.restart();
        assert_eq!(clock.header(0), 80);
        assert_eq!(clock.frame(7_000, true), 99);
        assert_eq!(clock.frame(6_990, false), 89);
        assert_eq!(clock.frame(7_033, true), 132);
        // Now sound comes first.
        clock.restart();
        assert_eq!(clock.frame(0, false), 133, "never before what was sent");
        assert_eq!(clock.frame(0, true), 133);
    }

    #[test]
    fn ages_are_told_across_the_wrap() {
        let mut clock = Clock::default();
        clock.frame(u32::MAX - 9, true);
        assert_eq!(clock.frame(30, true), 30);
        assert_eq!(clock.age(u32::MAX - 9), 40);
        assert_eq!(clock.age(31), 0);
    }

    #[test]
    fn a_jump_back_is_followed() {
        let mut clock = Clock::default();
        clock.frame(100_000, true);
        clock.frame(0, true);
        assert_eq!(clock.newest(), 0);
        clock.restart();
        assert_eq!(clock.frame(500, true), 40);
    }
}
