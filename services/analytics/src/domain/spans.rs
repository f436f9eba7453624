//! When a session was part of the audience.

use super::fold::Step;
use super::presence::Rules;

/// Spans of a session that are kept. Each pause or silence begins another; older ones are in the peak by then.
const MOST: usize = 16;

/// When a session counted, by when its reports arrived: from, and until when if nothing more is heard of it, in
/// milliseconds since 1970; in order, and apart. Who comes and leaves in one moment was there: from and until are the same.
///
/// It is part of the session, so that who was there when is known again after a restart, and to other processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(pub Vec<(i64, i64)>);

impl Spans {
    /// Takes what the session did.
    pub fn take(&mut self, rules: &Rules, step: &Step) {
        let at_ms = step.at_ms;
        let until_ms = rules.counts_until(step).filter(|until| *until > at_ms);
        match (self.0.last_mut().filter(|(_, until)| at_ms < *until), until_ms) {
            (Some((_, until)), Some(told)) => *until = told,
            (Some((_, until)), None) => *until = at_ms,
            (None, Some(until)) => {
                self.0.push((at_ms, until));
                if self.0.len() > MOST {
                    self.0.remove(0);
                }
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{SessionKey, State};
    use super::*;

    fn spans(steps: &[(State, i64)]) -> Vec<(i64, i64)> {
        let mut spans = Spans::default();
        for (state, at_ms) in steps {
            let key = SessionKey {
                viewer: "v".into(),
                session: "s".into(),
                event: "channels/c/events/e".parse().unwrap(),
            };
            let step = Step {
                key,
                state: Some(*state),
                since_ms: *at_ms,
                at_ms: *at_ms,
            };
            spans.take(&Rules::default(), &step);
        }
        spans.0
    }

    #[test]
    fn a_session_counts_from_its_first_report_until_it_pauses_or_is_silent() {
        use State::{Paused, Playing};
        assert_eq!(spans(&[(Playing, 0), (Playing, 10_000)]), [(0, 25_000)]);
        assert_eq!(
            spans(&[(Playing, 0), (Paused, 4_000), (Playing, 9_000)]),
            [(0, 4_000), (9_000, 24_000)]
        );
        assert_eq!(
            spans(&[(Playing, 0), (Playing, 15_000)]),
            [(0, 15_000), (15_000, 30_000)]
        );
    }

    #[test]
    fn who_comes_and_leaves_in_one_moment_was_there() {
        assert_eq!(spans(&[(State::Playing, 5), (State::Paused, 5)]), [(5, 5)]);
        assert_eq!(spans(&[(State::Paused, 5)]), []);
    }

    #[test]
    fn a_session_of_a_thousand_pauses_is_kept_small() {
        let steps: Vec<_> = (0..1_000)
            .map(|n| (if n % 2 == 0 { State::Playing } else { State::Paused }, n * 1_000))
            .collect();
        assert_eq!(spans(&steps).len(), MOST);
    }
}
