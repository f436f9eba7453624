//! What clients saw: which calls succeeded when, and which had to be made again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Kinds of calls, in the order of the table.
pub(crate) const KINDS: [&str; 14] = [
    "register", "join", "follow", "remind", "account", "schedule", "update", "event", "beacon", "audience",
    "inbox", "search", "stream", "playlist",
];

#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    successes: BTreeMap<&'static str, Vec<Instant>>,
    failures: Vec<Instant>,
    reopened: Vec<Instant>,
    /// What must not be, in words.
    faults: Vec<String>,
}

/// What a kill cost.
pub(crate) struct Cost {
    /// By kind: the longest time without a success, beyond the usual.
    pub(crate) gaps: BTreeMap<&'static str, Duration>,
    /// Calls that failed and were made again.
    pub(crate) failures: usize,
    /// Streams that broke and were opened again.
    pub(crate) reopened: usize,
}

impl Meter {
    pub(crate) fn success(&self, kind: &'static str) {
        let mut state = self.0.lock();
        state.successes.entry(kind).or_default().push(Instant::now());
    }

    pub(crate) fn failure(&self) {
        self.0.lock().failures.push(Instant::now());
    }

    pub(crate) fn reopened(&self) {
        self.0.lock().reopened.push(Instant::now());
    }

    /// Notes what must not be; the run goes on and fails at its end.
    pub(crate) fn fault(&self, fault: impl Into<String>) {
        let fault = fault.into();
        let mut state = self.0.lock();
        if state.faults.len() < 1_000 {
            println!("FAULT: {fault}");
            state.faults.push(fault);
        }
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.0.lock().faults.clone()
    }

    /// How many calls succeeded in all.
    pub(crate) fn total(&self) -> usize {
        self.0.lock().successes.values().map(Vec::len).sum()
    }

    /// Whether calls of every kind have succeeded since.
    pub(crate) fn silent_since(&self, since: Instant) -> Vec<&'static str> {
        let state = self.0.lock();
        let heard = |kind: &&'static str| {
            let last = state.successes.get(kind).and_then(|times| times.last());
            last.is_some_and(|last| *last >= since)
        };
        KINDS.into_iter().filter(|kind| !heard(kind)).collect()
    }

    pub(crate) fn cost(&self, from: Instant, until: Instant) -> Cost {
        let state = self.0.lock();
        let gaps = state.successes.iter().map(|(kind, times)| {
            let longest = gaps(times, from, until).max().unwrap_or_default();
            (*kind, longest.saturating_sub(usual(times)))
        });
        let within = |times: &[Instant]| times.iter().filter(|at| (from..until).contains(at)).count();
        Cost {
            gaps: gaps.collect(),
            failures: within(&state.failures),
            reopened: within(&state.reopened),
        }
    }
}

/// The times between successes that overlap this span.
fn gaps(times: &[Instant], from: Instant, until: Instant) -> impl Iterator<Item = Duration> {
    times
        .windows(2)
        .filter(move |pair| pair[1] > from && pair[0] < until)
        .map(|pair| pair[1] - pair[0])
}

/// What nine of ten gaps are not longer than.
fn usual(times: &[Instant]) -> Duration {
    let mut all: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    all.sort_unstable();
    all.get(all.len() * 9 / 10).copied().unwrap_or_default()
}
