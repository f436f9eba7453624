//! The audience over time, for the peak: by when beacons arrived, whatever the order in which partitions are folded and
//! however long after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use marquee_proto::name::EventName;

use super::fold::Step;
use super::presence::Rules;
use super::report::SessionKey;

/// How far behind the latest beacon one of another partition may be and still find those who were there with it.
const KEPT_MS: i64 = 60_000;

/// Sessions that are kept at most; beyond, the oldest minutes are let go although somebody may still be behind.
const MOST: usize = 500_000;

/// An event's audience: how many there were at first, and each change since.
#[derive(Debug, Default)]
struct Line {
    first: i64,
    changes: BTreeMap<i64, i64>,
}

impl Line {
    fn add(&mut self, at_ms: i64, change: i64) {
        let sum = self.changes.entry(at_ms).or_default();
        *sum += change;
        if *sum == 0 {
            self.changes.remove(&at_ms);
        }
    }

    fn level(&self, at_ms: i64) -> i64 {
        self.first
            + self
                .changes
                .range(..=at_ms)
                .map(|(_, change)| change)
                .sum::<i64>()
    }

    fn peak(&self) -> i64 {
        let levels = self.changes.values().scan(self.first, |level, change| {
            *level += change;
            Some(*level)
        });
        levels.fold(self.first, i64::max)
    }

    fn forget_before(&mut self, floor_ms: i64) {
        let kept = self.changes.split_off(&floor_ms);
        self.first += self.changes.values().sum::<i64>();
        self.changes = kept;
    }
}

/// Who was there when, over the last minute or as far as partitions are apart.
#[derive(Debug)]
pub struct Timeline {
    rules: Rules,
    /// From when until when a session counts, as far as is known.
    views: HashMap<SessionKey, (i64, i64)>,
    lines: HashMap<EventName, Line>,
    /// Events that changed since peaks were asked for, and the most that were seen at a moment that left no trace.
    touched: BTreeMap<EventName, i64>,
    latest_ms: i64,
    floor_ms: i64,
}

impl Timeline {
    /// Nobody was there.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            views: HashMap::new(),
            lines: HashMap::new(),
            touched: BTreeMap::new(),
            latest_ms: i64::MIN,
            floor_ms: i64::MIN,
        }
    }

    /// Takes what a session did. Those of one session come in the order in which they arrived.
    pub fn take(&mut self, step: &Step) {
        let at_ms = step.at_ms.max(self.floor_ms);
        self.latest_ms = self.latest_ms.max(step.at_ms);
        let until_ms = self.rules.counts_until(step).filter(|until| *until > at_ms);
        let there = self
            .views
            .get(&step.key)
            .copied()
            .filter(|(_, until)| at_ms < *until);
        if until_ms.is_none() && there.is_none() {
            return;
        }
        let line = self.lines.entry(step.key.event.clone()).or_default();
        let most = self.touched.entry(step.key.event.clone()).or_default();
        match there {
            // Taken before.
            Some((since, _)) if at_ms < since => {}
            Some((since, known)) => {
                if until_ms.is_none() && since == at_ms {
                    *most = (*most).max(line.level(at_ms));
                }
                line.add(known, 1);
                line.add(until_ms.unwrap_or(at_ms), -1);
                match until_ms {
                    Some(until) => self.views.insert(step.key.clone(), (since, until)),
                    None => self.views.remove(&step.key),
                };
            }
            None => {
                if let Some(until) = until_ms {
                    line.add(at_ms, 1);
                    line.add(until, -1);
                    self.views.insert(step.key.clone(), (at_ms, until));
                }
            }
        }
    }

    /// The most that were there at once, of the events that something was told of since the last time. `behind` says that
    /// partitions have beacons to come from before those that were taken: then there is no answer yet, and nothing is
    /// forgotten.
    pub fn peaks(&mut self, behind: bool) -> BTreeMap<EventName, u64> {
        if behind && self.views.len() < MOST {
            return BTreeMap::new();
        }
        let mut peaks = BTreeMap::new();
        for (event, most) in std::mem::take(&mut self.touched) {
            let line = self.lines.get(&event).map_or(0, Line::peak);
            let peak = u64::try_from(line.max(most)).unwrap_or_default();
            if peak > 0 {
                peaks.insert(event, peak);
            }
        }
        let floor_ms = self.latest_ms.saturating_sub(KEPT_MS);
        if floor_ms > self.floor_ms.saturating_add(KEPT_MS / 6) {
            self.forget_before(floor_ms);
        }
        peaks
    }

    fn forget_before(&mut self, floor_ms: i64) {
        self.floor_ms = floor_ms;
        self.views.retain(|_, (_, until)| *until > floor_ms);
        let gone: BTreeSet<_> = self
            .lines
            .iter_mut()
            .filter_map(|(event, line)| {
                line.forget_before(floor_ms);
                line.changes.is_empty().then(|| event.clone())
            })
            .collect();
        self.lines.retain(|event, _| !gone.contains(event));
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    fn event() -> EventName {
        "channels/c/events/e".parse().unwrap()
    }

    fn step(session: &str, state: State, at_s: i64) -> Step {
        let key = SessionKey {
            viewer: "v".into(),
            session: session.into(),
            event: event(),
        };
        Step {
            key,
            state: Some(state),
            since_ms: at_s * 1000,
            at_ms: at_s * 1000,
        }
    }

    fn peak(steps: &[Step]) -> Option<u64> {
        let mut timeline = Timeline::new(Rules::default());
        for step in steps {
            timeline.take(step);
        }
        timeline.peaks(false).get(&event()).copied()
    }

    #[test]
    fn the_peak_does_not_depend_on_which_partition_is_folded_first() {
        use State::{Ended, Playing};
        let a = [
            step("a", Playing, 0),
            step("a", Playing, 10),
            step("a", Ended, 20),
        ];
        let b = [step("b", Playing, 18), step("b", Ended, 25)];
        let c = [step("c", Playing, 21), step("c", Ended, 24)];
        for order in [[&a[..], &b, &c], [&c, &b, &a], [&b, &a, &c]] {
            assert_eq!(peak(&order.concat()), Some(2));
        }
    }

    #[test]
    fn who_is_silent_for_fifteen_seconds_does_not_meet_who_comes_then() {
        let playing = |session, at| step(session, State::Playing, at);
        assert_eq!(peak(&[playing("a", 0), playing("b", 15)]), Some(1));
        assert_eq!(peak(&[playing("a", 0), playing("b", 14)]), Some(2));
    }

    #[test]
    fn who_comes_and_leaves_in_one_moment_was_there() {
        let visit = |session| [step(session, State::Playing, 5), step(session, State::Paused, 5)];
        assert_eq!(peak(&[visit("a"), visit("b")].concat()), Some(1));
        assert_eq!(peak(&[step("a", State::Paused, 5)]), None);
    }

    #[test]
    fn there_is_no_peak_until_nobody_is_behind() {
        let mut timeline = Timeline::new(Rules::default());
        timeline.take(&step("a", State::Playing, 3_000));
        assert!(timeline.peaks(true).is_empty());
        timeline.take(&step("b", State::Playing, 0));
        timeline.take(&step("c", State::Playing, 1));
        assert_eq!(timeline.peaks(false)[&event()], 2);
    }

    #[test]
    fn those_who_are_gone_are_forgotten_and_those_who_stay_still_count() {
        let mut timeline = Timeline::new(Rules::default());
        for n in 0..1_000 {
            timeline.take(&step("stays", State::Playing, n * 10));
            timeline.take(&step(&n.to_string(), State::Playing, n * 10));
            timeline.peaks(false);
        }
        assert!(timeline.views.len() < 12, "{}", timeline.views.len());
        assert!(timeline.lines[&event()].changes.len() < 24);
        timeline.take(&step("another", State::Playing, 9_990));
        assert_eq!(timeline.peaks(false)[&event()], 4);
    }
}
