//! The audience over time, for the peak: by when beacons arrived, whatever the order in which partitions are folded and
//! however long after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use marquee_proto::name::EventName;

use super::report::SessionKey;
use super::spans::Spans;

/// How far behind the latest beacon one of another partition may be and still find those who were there with it.
const KEPT_MS: i64 = 60_000;

/// Sessions that are kept at most; beyond, the oldest minutes are let go although somebody may still be behind.
const MOST: usize = 500_000;

/// An event's audience: how many there were at first, each change since, and how many came and left in one moment.
#[derive(Debug, Default)]
struct Line {
    first: i64,
    changes: BTreeMap<i64, i64>,
    moments: BTreeMap<i64, i64>,
}

impl Line {
    /// Takes a span, or takes it back where `count` is -1.
    fn add(&mut self, (from, until): (i64, i64), count: i64) {
        if from == until {
            add(&mut self.moments, from, count);
        } else {
            add(&mut self.changes, from, count);
            add(&mut self.changes, until, -count);
        }
    }

    fn peak(&self) -> i64 {
        let mut moments = self.moments.keys().peekable();
        let (mut level, mut peak) = (self.first, self.first);
        for (at, change) in &self.changes {
            while moments.next_if(|moment| *moment < at).is_some() {
                // Those of one moment came one after the other.
                peak = peak.max(level + 1);
            }
            level += change;
            peak = peak.max(level);
        }
        peak.max(moments.next().map_or(0, |_| level + 1))
    }

    fn forget_before(&mut self, floor_ms: i64) {
        let kept = self.changes.split_off(&floor_ms);
        self.first += self.changes.values().sum::<i64>();
        self.changes = kept;
        self.moments = self.moments.split_off(&floor_ms);
    }
}

fn add(counts: &mut BTreeMap<i64, i64>, at_ms: i64, count: i64) {
    let sum = counts.entry(at_ms).or_default();
    *sum += count;
    if *sum == 0 {
        counts.remove(&at_ms);
    }
}

/// Who was there when, over the last minute or as far as partitions are apart. It holds the spans of sessions: what it is
/// told twice, or by another process, it holds once.
#[derive(Debug)]
pub struct Timeline {
    /// When each was last heard of, and when it was there.
    views: HashMap<SessionKey, (i64, Vec<(i64, i64)>)>,
    lines: HashMap<EventName, Line>,
    /// Events that changed since peaks were asked for.
    touched: BTreeSet<EventName>,
    latest_ms: i64,
    floor_ms: i64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            views: HashMap::new(),
            lines: HashMap::new(),
            touched: BTreeSet::new(),
            latest_ms: i64::MIN,
            floor_ms: i64::MIN,
        }
    }
}

impl Timeline {
    /// Takes when a session was there, in place of what was known of it, unless that was later; `at_ms` is when it was last
    /// heard of.
    pub fn put(&mut self, key: &SessionKey, spans: &Spans, at_ms: i64) {
        self.latest_ms = self.latest_ms.max(at_ms);
        let spans: Vec<_> = spans
            .0
            .iter()
            .filter(|(_, until)| *until > self.floor_ms)
            .map(|(from, until)| ((*from).max(self.floor_ms), *until))
            .collect();
        let before = match self.views.get_mut(key) {
            None if spans.is_empty() => return,
            Some((known_ms, before)) if at_ms < *known_ms || *before == spans => return,
            Some((known_ms, before)) => {
                *known_ms = at_ms;
                std::mem::replace(before, spans.clone())
            }
            None => {
                self.views.insert(key.clone(), (at_ms, spans.clone()));
                Vec::new()
            }
        };
        if spans.is_empty() {
            self.views.remove(key);
        }
        let line = self.lines.entry(key.event.clone()).or_default();
        for span in before {
            line.add(span, -1);
        }
        for span in spans {
            line.add(span, 1);
        }
        self.touched.insert(key.event.clone());
    }

    /// From when on it knows who was there, in milliseconds since 1970.
    pub fn floor_ms(&self) -> i64 {
        self.floor_ms
    }

    /// The most that were there at once, of the events that something was told of since the last time. `behind` says that
    /// partitions have beacons to come from before those that were taken: then there is no answer yet, and nothing is
    /// forgotten.
    pub fn peaks(&mut self, behind: bool) -> BTreeMap<EventName, u64> {
        if behind && self.views.len() < MOST {
            return BTreeMap::new();
        }
        let mut peaks = BTreeMap::new();
        for event in std::mem::take(&mut self.touched) {
            let peak = self.lines.get(&event).map_or(0, Line::peak);
            let peak = u64::try_from(peak).unwrap_or_default();
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
        self.views.retain(|_, (_, spans)| {
            spans.retain(|(_, until)| *until > floor_ms);
            for (from, _) in spans.iter_mut() {
                *from = (*from).max(floor_ms);
            }
            !spans.is_empty()
        });
        let gone: BTreeSet<_> = self
            .lines
            .iter_mut()
            .filter_map(|(event, line)| {
                line.forget_before(floor_ms);
                (line.changes.is_empty() && line.moments.is_empty()).then(|| event.clone())
            })
            .collect();
        self.lines.retain(|event, _| !gone.contains(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventName {
        "channels/c/events/e".parse().unwrap()
    }

    fn key(session: &str) -> SessionKey {
        SessionKey {
            viewer: "v".into(),
            session: session.into(),
            event: event(),
        }
    }

    fn put(timeline: &mut Timeline, session: &str, spans: &[(i64, i64)]) {
        let last = spans.last().map_or(0, |(_, until)| until - 15);
        let ms = spans.iter().map(|(from, until)| (from * 1000, until * 1000));
        timeline.put(&key(session), &Spans(ms.collect()), last * 1000);
    }

    type Told<'a> = (&'a str, &'a [(i64, i64)]);

    fn peak(told: &[Told<'_>]) -> Option<u64> {
        let mut timeline = Timeline::default();
        for (session, spans) in told {
            put(&mut timeline, session, spans);
        }
        timeline.peaks(false).get(&event()).copied()
    }

    #[test]
    fn the_peak_does_not_depend_on_which_partition_is_folded_first() {
        let (a, b, c): (Told<'_>, Told<'_>, Told<'_>) =
            (("a", &[(0, 20)]), ("b", &[(18, 25)]), ("c", &[(21, 24)]));
        for order in [[a, b, c], [c, b, a], [b, a, c]] {
            assert_eq!(peak(&order), Some(2));
        }
    }

    #[test]
    fn who_is_gone_does_not_meet_who_comes_then() {
        assert_eq!(peak(&[("a", &[(0, 15)]), ("b", &[(15, 30)])]), Some(1));
        assert_eq!(peak(&[("a", &[(0, 15)]), ("b", &[(14, 29)])]), Some(2));
    }

    #[test]
    fn who_comes_and_leaves_in_one_moment_meets_who_is_there_and_not_each_other() {
        assert_eq!(peak(&[("a", &[(5, 5)]), ("b", &[(5, 5)])]), Some(1));
        assert_eq!(
            peak(&[("a", &[(5, 5)]), ("b", &[(4, 19)]), ("c", &[(0, 5)])]),
            Some(2)
        );
        assert_eq!(peak(&[("a", &[(5, 5)]), ("b", &[(6, 21)])]), Some(1));
    }

    #[test]
    fn what_is_told_of_a_session_replaces_what_was_known() {
        let told: [Told<'_>; 4] = [
            ("a", &[(0, 15)]),
            ("b", &[(5, 20)]),
            ("a", &[(0, 4), (30, 45)]),
            ("a", &[(0, 4), (30, 45)]),
        ];
        assert_eq!(peak(&told), Some(1));
    }

    #[test]
    fn there_is_no_peak_until_nobody_is_behind() {
        let mut timeline = Timeline::default();
        put(&mut timeline, "a", &[(3_000, 3_015)]);
        assert!(timeline.peaks(true).is_empty());
        put(&mut timeline, "b", &[(0, 15)]);
        put(&mut timeline, "c", &[(1, 16)]);
        assert_eq!(timeline.peaks(false)[&event()], 2);
    }

    #[test]
    fn those_who_are_gone_are_forgotten_and_those_who_stay_still_count() {
        let mut timeline = Timeline::default();
        for n in 0..1_000 {
            put(&mut timeline, "stays", &[(0, n * 10 + 15)]);
            put(&mut timeline, &n.to_string(), &[(n * 10, n * 10 + 15)]);
            timeline.peaks(false);
        }
        assert!(timeline.views.len() < 12, "{}", timeline.views.len());
        assert!(timeline.lines[&event()].changes.len() < 24);
        put(&mut timeline, "another", &[(9_990, 10_005)]);
        assert_eq!(timeline.peaks(false)[&event()], 4);
    }
}
