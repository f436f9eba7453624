//! A session: its reports put in order, each counted once.

use super::progress::{Mark, Progress};
use super::report::{Received, State};
use super::spans::Spans;
use super::totals::Totals;

/// Reports that are kept apart, so that one that comes after its successors still finds its place. A player reports every
/// few seconds: 64 reports are minutes.
pub const WINDOW: usize = 64;

/// Ranges of sequence numbers that are remembered. More are only needed when most of what was sent never came.
const RANGES: usize = 64;

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It counts.
    Counted,
    /// It was there before.
    Duplicate,
    /// Its successors were summed up already; it is counted as late and adds nothing else.
    Late,
}

/// A session after some of its reports, in whatever order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The view up to the first report of the window.
    pub base: Progress,
    /// The latest reports, in order.
    pub window: Vec<Mark>,
    /// Sequence numbers that came, as ranges with both ends, in order.
    pub seen: Vec<(u64, u64)>,
    /// When its first report arrived.
    pub first_received_ms: i64,
    /// When its last report arrived.
    pub last_received_ms: i64,
    /// When the report arrived that brought its present state.
    pub since_ms: i64,
    /// When it was part of the audience.
    pub spans: Spans,
    /// Device, country and platform, as the first report that named them did.
    pub device: String,
    /// See `device`.
    pub country: String,
    /// See `device`.
    pub platform: String,
}

impl Session {
    /// Takes a report of this session.
    pub fn take(&mut self, received: &Received) -> Verdict {
        let report = &received.report;
        if self.has_seen(report.sequence) {
            return Verdict::Duplicate;
        }
        let before = self.latest().map(|latest| latest.state);
        self.remember(report.sequence);
        if self.first_received_ms == 0 {
            self.first_received_ms = received.at_ms;
        }
        self.first_received_ms = self.first_received_ms.min(received.at_ms);
        self.last_received_ms = self.last_received_ms.max(received.at_ms);
        for (known, told) in [
            (&mut self.device, &report.device),
            (&mut self.country, &report.country),
            (&mut self.platform, &report.platform),
        ] {
            if known.is_empty() {
                known.clone_from(told);
            }
        }
        if self.base.last.is_some_and(|last| report.sequence < last.sequence) {
            return Verdict::Late;
        }

        let mark = Mark {
            sequence: report.sequence,
            time_ms: received.event_time_ms(),
            state: report.state,
            startup_ms: report.startup_ms,
        };
        let place = self
            .window
            .partition_point(|known| known.sequence < mark.sequence);
        self.window.insert(place, mark);
        if self.window.len() > WINDOW {
            let oldest = self.window.remove(0);
            self.base.push(oldest);
        }
        if self.latest().map(|latest| latest.state) != before {
            self.since_ms = received.at_ms;
        }
        Verdict::Counted
    }

    /// The view as far as it is known.
    pub fn progress(&self) -> Progress {
        let mut progress = self.base.clone();
        for mark in &self.window {
            progress.push(*mark);
        }
        progress
    }

    /// What the session adds to the sums of its event.
    pub fn totals(&self) -> Totals {
        if self.seen.is_empty() {
            Totals::default()
        } else {
            Totals::of_view(&self.progress())
        }
    }

    /// What the player does now: the state of its latest report, or `None` once the view has ended.
    pub fn state(&self) -> Option<State> {
        if self.progress().ending.is_some() {
            return None;
        }
        self.latest().map(|latest| latest.state)
    }

    fn latest(&self) -> Option<&Mark> {
        self.window.last().or(self.base.last.as_ref())
    }

    fn has_seen(&self, sequence: u64) -> bool {
        let after = self.seen.partition_point(|(first, _)| *first <= sequence);
        after
            .checked_sub(1)
            .and_then(|at| self.seen.get(at))
            .is_some_and(|(_, last)| *last >= sequence)
    }

    fn remember(&mut self, sequence: u64) {
        let at = self.seen.partition_point(|(first, _)| *first < sequence);
        self.seen.insert(at, (sequence, sequence));
        self.seen.dedup_by(|next, range| {
            let touches = next.0 <= range.1.saturating_add(1);
            if touches {
                range.1 = range.1.max(next.1);
            }
            touches
        });
        if self.seen.len() > RANGES {
            // What is missing between the two lowest is not waited for any more.
            let lowest = self.seen.remove(0);
            if let Some(next) = self.seen.first_mut() {
                next.0 = lowest.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::{Report, SessionKey};

    fn report(sequence: u64, seconds: i64, state: State) -> Received {
        let key = SessionKey {
            viewer: "v".into(),
            session: "s".into(),
            event: "channels/c/events/e".parse().unwrap(),
        };
        Received {
            report: Report {
                key,
                sequence,
                time_ms: seconds * 1000,
                state,
                startup_ms: None,
                device: String::new(),
                country: String::new(),
                platform: String::new(),
            },
            at_ms: seconds * 1000,
        }
    }

    #[test]
    fn a_report_counts_once() {
        let mut session = Session::default();
        assert_eq!(session.take(&report(1, 0, State::Playing)), Verdict::Counted);
        assert_eq!(session.take(&report(1, 0, State::Playing)), Verdict::Duplicate);
    }

    #[test]
    fn a_report_that_comes_after_its_successor_finds_its_place() {
        let mut session = Session::default();
        for report in [
            report(3, 30, State::Ended),
            report(1, 0, State::Playing),
            report(2, 10, State::Paused),
        ] {
            assert_eq!(session.take(&report), Verdict::Counted);
        }
        assert_eq!(session.progress().watched_ms, 10_000);
    }

    #[test]
    fn a_report_from_before_the_window_is_late_and_the_second_time_a_duplicate() {
        let mut session = Session::default();
        for sequence in 2..=WINDOW as u64 + 3 {
            session.take(&report(sequence, sequence as i64, State::Playing));
        }
        assert_eq!(session.take(&report(1, 0, State::Playing)), Verdict::Late);
        assert_eq!(session.take(&report(1, 0, State::Playing)), Verdict::Duplicate);
        assert_eq!(session.take(&report(2, 2, State::Playing)), Verdict::Duplicate);
    }

    #[test]
    fn a_long_session_is_kept_small() {
        let mut session = Session::default();
        for n in 0..10_000_u64 {
            // Every other number is missing: the worst there is for the ranges.
            session.take(&report(n * 2 + 1, n as i64, State::Playing));
        }
        assert!(session.window.len() <= WINDOW && session.seen.len() <= RANGES);
        assert_eq!(session.progress().watched_ms, 9_999_000);
    }

    #[test]
    fn a_clock_hours_ahead_measures_by_when_its_reports_arrive() {
        let mut session = Session::default();
        for (sequence, arrived, state) in [(1, 0, State::Playing), (2, 20, State::Ended)] {
            let mut received = report(sequence, arrived, state);
            received.report.time_ms += 7_200_000 + 13 * arrived * 1000;
            session.take(&received);
        }
        assert_eq!(session.progress().watched_ms, 20_000);
    }

    #[test]
    fn an_ended_session_does_nothing_any_more_whatever_comes_later() {
        let mut session = Session::default();
        session.take(&report(2, 10, State::Ended));
        assert_eq!(session.state(), None);
        session.take(&report(1, 0, State::Playing));
        session.take(&report(3, 20, State::Playing));
        assert_eq!(session.state(), None);
    }
}
