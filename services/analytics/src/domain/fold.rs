//! A batch of reports folded into sessions and sums.

use std::collections::{BTreeMap, HashMap};

use marquee_proto::name::EventName;

use super::ledger::Ledger;
use super::presence::Rules;
use super::report::{Received, SessionKey, State};
use super::session::{Session, Verdict};
use super::totals::Totals;

/// What a batch changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// The sessions that changed, as they are now.
    pub sessions: BTreeMap<SessionKey, Session>,
    /// What is added to the sums of each event.
    pub totals: BTreeMap<EventName, Totals>,
    /// What became of the reports.
    pub ledger: Ledger,
    /// What the sessions did, in the order of the reports: for the audience now.
    pub steps: Vec<Step>,
}

/// What a session did as one of its reports came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The session.
    pub key: SessionKey,
    /// What the player does now; `None` once the view has ended.
    pub state: Option<State>,
    /// When it began to, by our clock.
    pub since_ms: i64,
    /// When it was last heard of.
    pub at_ms: i64,
}

impl Step {
    /// What the session did last.
    pub fn of(key: &SessionKey, session: &Session) -> Self {
        Self {
            key: key.clone(),
            state: session.state(),
            since_ms: session.since_ms,
            at_ms: session.last_received_ms,
        }
    }
}

/// Folds a batch. `known` gives a session as it was before; none is a new one. `rules` say when it is part of the audience;
/// sums do not depend on them.
///
/// The sums depend on the set of reports, not on their order, nor on how they are cut into batches, as long as no report is
/// later than [`super::session::WINDOW`] others of its session.
pub fn fold<'a>(
    rules: &Rules,
    mut known: impl FnMut(&SessionKey) -> Option<Session>,
    batch: impl IntoIterator<Item = &'a Received>,
) -> Folded {
    let mut folded = Folded::default();
    let mut before: HashMap<SessionKey, Totals> = HashMap::new();
    for received in batch {
        let key = &received.report.key;
        let session = folded.sessions.entry(key.clone()).or_insert_with(|| {
            let session = known(key).unwrap_or_default();
            before.insert(key.clone(), session.totals());
            session
        });
        let verdict = session.take(received);
        folded.ledger.note(verdict);
        if verdict != Verdict::Duplicate {
            let step = Step::of(key, session);
            session.spans.take(rules, &step);
            folded.steps.push(step);
        }
    }
    for (key, before) in before {
        if let Some(session) = folded.sessions.get(&key) {
            *folded.totals.entry(key.event).or_default() += session.totals() - before;
        }
    }
    folded
}
