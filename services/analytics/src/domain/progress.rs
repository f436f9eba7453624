//! The state machine of a view: what each report in turn adds to its times.

use super::report::State;

/// A view is closed when nothing came for this long; a longer silence within a session is nobody watching.
pub const CLOSED_AFTER_MS: i64 = 60 * 60 * 1000;

/// How a view ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The viewer left, or the item was over.
    Ended,
    /// A fatal error.
    Failed,
}

/// One report, as far as the times of a view depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its place in the session.
    pub sequence: u64,
    /// When it happened.
    pub time_ms: i64,
    /// What the player does from then on.
    pub state: State,
    /// Request to first frame, where the player measured it.
    pub startup_ms: Option<u32>,
}

/// A view after some of its reports, taken in the order of their sequence numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Wall clock without pauses.
    pub watched_ms: i64,
    /// Watched time without startup and stalls.
    pub playing_ms: i64,
    /// Waiting for media after the first frame.
    pub stalled_ms: i64,
    /// When the item was requested, if a report said so.
    pub requested_ms: Option<i64>,
    /// True once a frame was shown.
    pub started: bool,
    /// Request to first frame.
    pub startup_ms: Option<i64>,
    /// How it ended; what comes after that adds nothing.
    pub ending: Option<Ending>,
    /// The last report.
    pub last: Option<Mark>,
}

impl Progress {
    /// Takes the next report.
    pub fn push(&mut self, mark: Mark) {
        let mut mark = mark;
        if let Some(last) = self.last {
            mark.time_ms = mark.time_ms.max(last.time_ms);
            if self.ending.is_none() {
                self.pass(last.state, mark.time_ms - last.time_ms);
            }
        }
        if self.ending.is_none() {
            self.enter(mark);
        }
        self.last = Some(mark);
    }

    /// The player did `state` for so long.
    fn pass(&mut self, state: State, for_ms: i64) {
        if for_ms > CLOSED_AFTER_MS {
            return;
        }
        match state {
            State::Starting => self.watched_ms += for_ms,
            State::Playing => {
                self.watched_ms += for_ms;
                self.playing_ms += for_ms;
            }
            State::Rebuffering => {
                self.watched_ms += for_ms;
                // Before the first frame all waiting is startup.
                if self.started {
                    self.stalled_ms += for_ms;
                }
            }
            State::Paused | State::Ended | State::Failed => {}
        }
    }

    fn enter(&mut self, mark: Mark) {
        match mark.state {
            State::Starting => self.requested_ms = self.requested_ms.or(Some(mark.time_ms)),
            State::Playing if !self.started => {
                self.started = true;
                let told = mark.startup_ms.map(i64::from);
                self.startup_ms =
                    told.or_else(|| self.requested_ms.map(|requested| mark.time_ms - requested));
                if self.last.is_none() {
                    // The first thing heard of the view is its first frame: the request was so much earlier.
                    self.watched_ms += told.unwrap_or_default();
                }
            }
            State::Ended => self.ending = Some(Ending::Ended),
            State::Failed => self.ending = Some(Ending::Failed),
            State::Playing | State::Paused | State::Rebuffering => {}
        }
    }

    /// True when it failed before the first frame.
    pub fn failed_to_start(&self) -> bool {
        !self.started && self.ending == Some(Ending::Failed)
    }

    /// True when the viewer left before the first frame.
    pub fn left_before_start(&self) -> bool {
        !self.started && self.ending == Some(Ending::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(marks: &[(i64, State)]) -> Progress {
        let mut progress = Progress::default();
        for ((seconds, state), sequence) in marks.iter().zip(1..) {
            progress.push(Mark {
                sequence,
                time_ms: seconds * 1000,
                state: *state,
                startup_ms: None,
            });
        }
        progress
    }

    #[test]
    fn a_minute_of_video_ten_seconds_of_stall_and_a_pause_are_seventy_seconds_watched() {
        use State::*;
        let view = view(&[
            (0, Playing),
            (30, Rebuffering),
            (40, Playing),
            (50, Paused),
            (80, Playing),
            (100, Ended),
        ]);
        assert_eq!(
            (view.watched_ms, view.playing_ms, view.stalled_ms),
            (70_000, 60_000, 10_000)
        );
    }

    #[test]
    fn startup_is_watched_but_not_played() {
        let view = view(&[(0, State::Starting), (2, State::Playing), (12, State::Ended)]);
        assert_eq!((view.watched_ms, view.playing_ms), (12_000, 10_000));
        assert_eq!(view.startup_ms, Some(2_000));
    }

    #[test]
    fn a_view_that_is_first_heard_of_when_it_plays_began_its_startup_earlier() {
        let mut view = Progress::default();
        view.push(Mark {
            sequence: 1,
            time_ms: 5_000,
            state: State::Playing,
            startup_ms: Some(800),
        });
        assert_eq!(
            (view.watched_ms, view.playing_ms, view.startup_ms),
            (800, 0, Some(800))
        );
    }

    #[test]
    fn waiting_before_the_first_frame_is_startup_and_no_stall() {
        let view = view(&[
            (0, State::Starting),
            (1, State::Rebuffering),
            (3, State::Playing),
            (4, State::Ended),
        ]);
        assert_eq!(
            (view.watched_ms, view.stalled_ms, view.startup_ms),
            (4_000, 0, Some(3_000))
        );
    }

    #[test]
    fn an_error_before_the_first_frame_is_a_start_failure_and_leaving_then_is_an_exit() {
        let failed = view(&[(0, State::Starting), (3, State::Failed)]);
        assert!(failed.failed_to_start() && !failed.left_before_start());
        let left = view(&[(0, State::Starting), (3, State::Ended)]);
        assert!(left.left_before_start() && !left.failed_to_start());
        let played = view(&[(0, State::Playing), (3, State::Failed)]);
        assert!(!played.failed_to_start() && !played.left_before_start());
    }

    #[test]
    fn after_the_end_nothing_counts() {
        let view = view(&[
            (0, State::Playing),
            (10, State::Ended),
            (20, State::Playing),
            (30, State::Failed),
        ]);
        assert_eq!((view.watched_ms, view.ending), (10_000, Some(Ending::Ended)));
    }

    #[test]
    fn a_silence_of_more_than_an_hour_is_nobody_watching() {
        let view = view(&[
            (0, State::Playing),
            (3_600, State::Playing),
            (7_201, State::Playing),
            (7_211, State::Ended),
        ]);
        assert_eq!(view.watched_ms, 3_610_000);
    }

    #[test]
    fn a_clock_that_is_set_back_takes_nothing_away() {
        let view = view(&[
            (0, State::Playing),
            (10, State::Playing),
            (4, State::Playing),
            (12, State::Ended),
        ]);
        assert_eq!(view.watched_ms, 12_000);
    }
}
