//! The audience now: who starts, plays or waits for media.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use marquee_proto::name::EventName;

use super::fold::Step;
use super::report::{SessionKey, State};

/// When a session is no longer part of the audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Nothing was heard of it for so long.
    pub gone_after: Duration,
    /// It has been waiting for media for so long.
    pub stalled_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            gone_after: Duration::from_secs(15),
            stalled_after: Duration::from_secs(5 * 60),
        }
    }
}

impl Rules {
    /// Until when a session counts that did this, if nothing more is heard of it; `None` when it does not count.
    pub fn counts_until(&self, step: &Step) -> Option<i64> {
        let gone_ms = step.at_ms.saturating_add(millis(self.gone_after));
        let stalled_ms = step.since_ms.saturating_add(millis(self.stalled_after));
        match step.state? {
            State::Starting | State::Playing => Some(gone_ms),
            State::Rebuffering => Some(gone_ms.min(stalled_ms)),
            State::Paused | State::Ended | State::Failed => None,
        }
    }
}

/// What a session does, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Activity {
    state: State,
    since_ms: i64,
    at_ms: i64,
    /// The next moment at which it may stop counting, or be forgotten.
    deadline_ms: i64,
    counts: bool,
}

/// The sessions that were heard of lately, and how many of them watch each event.
#[derive(Debug, Default)]
pub struct Presence {
    rules: Rules,
    sessions: HashMap<SessionKey, Activity>,
    counts: HashMap<EventName, u64>,
    deadlines: BTreeSet<(i64, SessionKey)>,
}

impl Presence {
    /// Nobody is there.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Takes what a session did. Returns whether its event's audience changed.
    pub fn see(&mut self, step: &Step, now_ms: i64) -> bool {
        let counted = self.forget(&step.key);
        let activity = step.state.map(|state| {
            let gone_ms = step.at_ms.saturating_add(millis(self.rules.gone_after));
            let counting = self.rules.counts_until(step).filter(|until| now_ms < *until);
            let (counts, deadline_ms) = (counting.is_some(), counting.unwrap_or(gone_ms));
            Activity {
                state,
                since_ms: step.since_ms,
                at_ms: step.at_ms,
                deadline_ms,
                counts,
            }
        });
        let counts = activity.is_some_and(|activity| activity.counts);
        if let Some(activity) = activity.filter(|activity| now_ms < activity.deadline_ms) {
            self.sessions.insert(step.key.clone(), activity);
            self.deadlines.insert((activity.deadline_ms, step.key.clone()));
            if counts {
                *self.counts.entry(step.key.event.clone()).or_default() += 1;
            }
        }
        counts != counted
    }

    /// Lets time pass. Returns the events whose audience changed.
    pub fn advance(&mut self, now_ms: i64) -> Vec<EventName> {
        let mut changed = Vec::new();
        while let Some((_, key)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now_ms) {
            let key = key.clone();
            let Some(activity) = self.sessions.get(&key).copied() else {
                self.deadlines.pop_first();
                continue;
            };
            let step = Step {
                state: Some(activity.state),
                since_ms: activity.since_ms,
                at_ms: activity.at_ms,
                key,
            };
            if self.see(&step, now_ms) && !changed.contains(&step.key.event) {
                changed.push(step.key.event);
            }
        }
        changed
    }

    /// When [`Presence::advance`] has something to do next.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// When a session was last heard of that is there, or was lately.
    pub fn last_heard_ms(&self, key: &SessionKey) -> Option<i64> {
        self.sessions.get(key).map(|activity| activity.at_ms)
    }

    /// How many watch the event.
    pub fn count(&self, event: &EventName) -> u64 {
        self.counts.get(event).copied().unwrap_or_default()
    }

    /// How many watch anything.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Forgets a session; whether it counted.
    fn forget(&mut self, key: &SessionKey) -> bool {
        let Some(activity) = self.sessions.remove(key) else {
            return false;
        };
        self.deadlines.remove(&(activity.deadline_ms, key.clone()));
        if activity.counts
            && let Some(count) = self.counts.get_mut(&key.event)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key.event);
            }
        }
        activity.counts
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventName {
        "channels/c/events/e".parse().unwrap()
    }

    fn step(session: &str, state: State, since_s: i64, at_s: i64) -> Step {
        let key = SessionKey {
            viewer: "v".into(),
            session: session.into(),
            event: event(),
        };
        Step {
            key,
            state: Some(state),
            since_ms: since_s * 1000,
            at_ms: at_s * 1000,
        }
    }

    fn see(presence: &mut Presence, step: &Step) -> u64 {
        presence.see(step, step.at_ms);
        presence.count(&event())
    }

    #[test]
    fn those_who_start_play_or_wait_are_the_audience_and_those_who_pause_are_not() {
        let mut presence = Presence::new(Rules::default());
        assert_eq!(see(&mut presence, &step("a", State::Starting, 0, 0)), 1);
        assert_eq!(see(&mut presence, &step("b", State::Rebuffering, 0, 0)), 2);
        assert_eq!(see(&mut presence, &step("a", State::Playing, 1, 1)), 2);
        assert_eq!(see(&mut presence, &step("a", State::Paused, 2, 2)), 1);
    }

    #[test]
    fn a_session_is_gone_fifteen_seconds_after_its_last_beacon() {
        let mut presence = Presence::new(Rules::default());
        see(&mut presence, &step("a", State::Playing, 0, 0));
        assert_eq!(presence.next_deadline_ms(), Some(15_000));
        assert!(presence.advance(14_999).is_empty());
        assert_eq!(presence.advance(15_000), [event()]);
        assert_eq!((presence.count(&event()), presence.next_deadline_ms()), (0, None));
    }

    #[test]
    fn a_beacon_keeps_a_session_for_fifteen_seconds_more() {
        let mut presence = Presence::new(Rules::default());
        see(&mut presence, &step("a", State::Playing, 0, 0));
        see(&mut presence, &step("a", State::Playing, 0, 10));
        assert!(presence.advance(24_999).is_empty());
        assert_eq!(presence.advance(25_000), [event()]);
    }

    #[test]
    fn a_stall_of_five_minutes_is_no_audience_although_beacons_come() {
        let mut presence = Presence::new(Rules::default());
        for at in (0..300).step_by(10) {
            assert_eq!(see(&mut presence, &step("a", State::Rebuffering, 0, at)), 1);
        }
        assert_eq!(presence.advance(300_000), [event()]);
        assert_eq!(see(&mut presence, &step("a", State::Rebuffering, 0, 301)), 0);
        assert_eq!(see(&mut presence, &step("a", State::Playing, 302, 302)), 1);
    }

    #[test]
    fn who_leaves_is_gone_at_once() {
        let mut presence = Presence::new(Rules::default());
        see(&mut presence, &step("a", State::Playing, 0, 0));
        let left = Step {
            state: None,
            ..step("a", State::Ended, 1, 1)
        };
        assert!(presence.see(&left, 1_000));
        assert_eq!(presence.total(), 0);
    }

    #[test]
    fn what_is_read_long_after_it_was_sent_is_no_audience_now() {
        let mut presence = Presence::new(Rules::default());
        assert!(!presence.see(&step("a", State::Playing, 0, 0), 60_000));
        assert_eq!((presence.total(), presence.next_deadline_ms()), (0, None));
    }
}
