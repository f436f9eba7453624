//! The fold beside a straightforward computation over everything at once: whatever the order of delivery, however often,
//! in whatever batches.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, HashMap, HashSet};

use marquee_analytics::domain::{Ledger, Received, Report, Rules, Session, SessionKey, State, Totals, fold};
use marquee_proto::name::EventName;
use proptest::prelude::*;

const STATES: [State; 6] = [
    State::Starting,
    State::Playing,
    State::Paused,
    State::Rebuffering,
    State::Ended,
    State::Failed,
];

/// One session's reports, in order: a state and the time since the report before, each.
fn session(reports: usize) -> impl Strategy<Value = Vec<(usize, i64)>> {
    // Ends are rare, and now and then a silence is longer than an hour.
    let state = prop_oneof![20 => 0..4_usize, 1 => 4..6_usize];
    let gap = prop_oneof![20 => 0..60_000_i64, 1 => 3_500_000..3_700_000_i64];
    prop::collection::vec((state, gap), 1..reports)
}

fn reports(number: usize, marks: &[(usize, i64)]) -> Vec<Received> {
    let key = SessionKey {
        viewer: format!("v{}", number % 3),
        session: format!("s{number}"),
        event: format!("channels/c/events/e{}", number % 2).parse().unwrap(),
    };
    let mut time_ms = 1_000_000;
    marks
        .iter()
        .zip(1..)
        .map(|((state, gap), sequence)| {
            time_ms += gap;
            let startup_ms = (time_ms % 3 == 0).then_some(700);
            let none = String::new;
            let (device, country, platform) = (none(), none(), none());
            let (key, state) = (key.clone(), STATES[*state]);
            let report = Report {
                key,
                sequence,
                time_ms,
                state,
                startup_ms,
                device,
                country,
                platform,
            };
            Received {
                report,
                at_ms: time_ms + 20,
            }
        })
        .collect()
}

fn folded(batches: &[&[Received]]) -> (BTreeMap<EventName, Totals>, Ledger) {
    let mut store: HashMap<SessionKey, Session> = HashMap::new();
    let mut totals: BTreeMap<EventName, Totals> = BTreeMap::new();
    let mut ledger = Ledger::default();
    for batch in batches {
        let folded = fold(&Rules::default(), |key| store.get(key).cloned(), *batch);
        store.extend(folded.sessions);
        for (event, added) in folded.totals {
            *totals.entry(event).or_default() += added;
        }
        ledger += folded.ledger;
    }
    (totals, ledger)
}

/// All reports at once: sorted, then summed up interval by interval.
fn oracle(all: &[Received]) -> BTreeMap<EventName, Totals> {
    let mut sessions: BTreeMap<SessionKey, BTreeMap<u64, &Report>> = BTreeMap::new();
    for received in all {
        let report = &received.report;
        sessions
            .entry(report.key.clone())
            .or_default()
            .insert(report.sequence, report);
    }
    let mut totals: BTreeMap<EventName, Totals> = BTreeMap::new();
    for (key, reports) in sessions {
        let reports: Vec<_> = reports.into_values().collect();
        let end = reports
            .iter()
            .position(|r| matches!(r.state, State::Ended | State::Failed));
        let lived = &reports[..end.map_or(reports.len(), |end| end + 1)];
        let first_frame = lived.iter().position(|r| r.state == State::Playing);
        let total = totals.entry(key.event).or_default();
        total.views += 1;
        for (n, pair) in lived.windows(2).enumerate() {
            let length = pair[1].time_ms - pair[0].time_ms;
            if length > 3_600_000 {
                continue;
            }
            let shown = first_frame.is_some_and(|first| first <= n);
            total.watched_ms += if pair[0].state == State::Paused { 0 } else { length };
            total.playing_ms += if pair[0].state == State::Playing {
                length
            } else {
                0
            };
            total.stalled_ms += if pair[0].state == State::Rebuffering && shown {
                length
            } else {
                0
            };
        }
        if let Some(first) = first_frame {
            total.started += 1;
            let requested = lived[..first].iter().find(|r| r.state == State::Starting);
            let measured = lived[first].startup_ms.map(i64::from);
            let startup = measured.or(requested.map(|r| lived[first].time_ms - r.time_ms));
            total.startups += i64::from(startup.is_some());
            total.startup_ms += startup.unwrap_or(0);
            total.watched_ms += if first == 0 { measured.unwrap_or(0) } else { 0 };
        } else if let Some(end) = end {
            let failed = reports[end].state == State::Failed;
            total.start_failures += i64::from(failed);
            total.exits_before_start += i64::from(!failed);
        }
    }
    totals
}

/// Cuts the deliveries into batches at these places.
fn cut<'d>(deliveries: &'d [Received], places: &[prop::sample::Index]) -> Vec<&'d [Received]> {
    let mut places: Vec<_> = places
        .iter()
        .map(|place| place.index(deliveries.len() + 1))
        .collect();
    places.extend([0, deliveries.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| &deliveries[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_repetition_and_any_batches_give_the_same_sums(
        sessions in prop::collection::vec(session(60), 1..5),
        order in any::<u64>(),
        repeated in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let all: Vec<_> = sessions.iter().enumerate().flat_map(|(n, marks)| reports(n, marks)).collect();
        let mut deliveries = all.clone();
        deliveries.extend(repeated.iter().map(|place| place.get(&all).clone()));
        let mut shuffled: Vec<_> = deliveries.iter().enumerate().collect();
        shuffled.sort_by_key(|(n, _)| (*n as u64).wrapping_mul(order | 1).rotate_left(17) ^ order);
        let deliveries: Vec<_> = shuffled.into_iter().map(|(_, received)| received.clone()).collect();

        let (totals, ledger) = folded(&cut(&deliveries, &places));
        prop_assert_eq!(totals, oracle(&all));
        prop_assert_eq!(ledger.counted, all.len() as u64);
        prop_assert_eq!(ledger.duplicate, repeated.len() as u64);
        prop_assert_eq!(ledger.sum(), deliveries.len() as u64);
    }

    #[test]
    fn long_sessions_in_nearly_the_right_order_give_the_same_sums(
        marks in session(600),
        delays in prop::collection::vec(0..30_u64, 600),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let all = reports(0, &marks);
        let mut delayed: Vec<_> = all.iter().zip(&delays).enumerate().map(|(n, (r, delay))| (n as u64 + delay, r.clone())).collect();
        delayed.sort_by_key(|(place, _)| *place);
        let deliveries: Vec<_> = delayed.into_iter().map(|(_, received)| received).collect();
        let (totals, ledger) = folded(&cut(&deliveries, &places));
        prop_assert_eq!(totals, oracle(&all));
        prop_assert_eq!(ledger.counted, all.len() as u64);
    }

    #[test]
    fn whatever_comes_is_accounted_for_once(
        sequences in prop::collection::vec(1..2_000_u64, 1..600),
    ) {
        let template = &reports(0, &[(1, 0)])[0];
        let deliveries: Vec<_> = sequences
            .iter()
            .map(|sequence| {
                let report = Report { sequence: *sequence, ..template.report.clone() };
                Received { report, ..template.clone() }
            })
            .collect();
        let (_, ledger) = folded(&[&deliveries]);
        let distinct: HashSet<_> = sequences.iter().collect();
        prop_assert_eq!(ledger.sum(), sequences.len() as u64);
        prop_assert!(ledger.counted + ledger.late <= distinct.len() as u64);
    }
}
