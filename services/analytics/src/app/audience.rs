//! The audience now, and who is told when it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_proto::name::EventName;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Clock;
use crate::domain::{Folded, Presence, Rules, Step, Timeline};
use crate::store::{Error, Heard, Store};

/// An event's audience at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    pub(crate) event: EventName,
    pub(crate) viewers: u64,
    pub(crate) peak: u64,
    pub(crate) time: Timestamp,
}

/// Where the fold writes who is there and the RPCs read it. The sessions of partitions that other processes fold come from
/// the store, once these have stored them.
pub(crate) struct Board {
    state: Mutex<State>,
    /// Something was seen, and the next deadline may be sooner.
    seen: Notify,
    store: Arc<dyn Store>,
    clock: Clock,
    rules: Rules,
}

struct State {
    presence: Presence,
    /// By when beacons arrived, where the presence is by the clock.
    timeline: Timeline,
    /// Partitions have beacons to be folded from before the process took them, or it is not known.
    behind: bool,
    /// The partitions that this process folds.
    owned: BTreeSet<u32>,
    watched: HashMap<EventName, watch::Sender<Audience>>,
}

impl State {
    /// Takes a session as it is stored, unless more is known of it.
    fn hear(&mut self, heard: &Heard, now_ms: i64) {
        let step = Step::of(&heard.key, &heard.session);
        if self.presence.last_heard_ms(&heard.key) <= Some(step.at_ms) {
            self.presence.see(&step, now_ms);
        }
        self.timeline.put(&heard.key, &heard.session.spans, step.at_ms);
    }
}

impl Board {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Clock, rules: Rules) -> Self {
        let state = State {
            presence: Presence::new(rules),
            timeline: Timeline::default(),
            behind: true,
            owned: BTreeSet::new(),
            watched: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            seen: Notify::new(),
            store,
            clock,
            rules,
        }
    }

    /// Takes sessions from the store, of whatever partition: those that may still be there, and those that were when the
    /// fold stopped, which beacons meet that are still to be folded. `since_ms` says from when on all are among them.
    ///
    /// What peak they made is in the store, or somebody is behind.
    pub(crate) fn restore(&self, heard: &[Heard], since_ms: i64) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        if state.timeline.floor_ms() > since_ms {
            state.timeline = Timeline::default();
        }
        for heard in heard {
            state.hear(heard, now_ms);
        }
        drop(state);
        self.seen.notify_one();
    }

    /// Takes what other processes stored. Returns the events whose audience may have changed, and peaks as
    /// [`Board::see`] does.
    pub(crate) fn hear(&self, heard: &[Heard]) -> (BTreeSet<EventName>, BTreeMap<EventName, u64>) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let mut events = BTreeSet::new();
        for heard in heard {
            // Of its own partitions the process knows more than it has stored.
            if !state.owned.contains(&heard.partition) {
                state.hear(heard, now_ms);
                events.insert(heard.key.event.clone());
            }
        }
        let behind = state.behind;
        let peaks = state.timeline.peaks(behind);
        drop(state);
        self.seen.notify_one();
        (events, peaks)
    }

    /// From when on sessions matter to somebody who is there at this time, in milliseconds since 1970.
    pub(crate) fn since(&self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(i64::try_from(self.rules.gone_after.as_millis()).unwrap_or(i64::MAX))
    }

    /// The time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// By which rules sessions are there.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Notes which partitions this process folds.
    pub(crate) fn set_owned(&self, partitions: BTreeSet<u32>) {
        self.state.lock().owned = partitions;
    }

    /// The partitions that this process folds.
    pub(crate) fn owned(&self) -> BTreeSet<u32> {
        self.state.lock().owned.clone()
    }

    /// Notes whether partitions have beacons to be folded from before others that were folded. As long as they have, no
    /// peak is known.
    pub(crate) fn set_behind(&self, behind: bool) {
        self.state.lock().behind = behind;
    }

    /// Whether some partition is behind.
    pub(crate) fn is_behind(&self) -> bool {
        self.state.lock().behind
    }

    /// Takes what sessions did in a batch. Returns how many were there at once at most, per event, by when beacons
    /// arrived: one that is folded late is nobody who is there now, and yet was there.
    pub(crate) fn see(&self, folded: &Folded) -> BTreeMap<EventName, u64> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        for step in &folded.steps {
            state.presence.see(step, now_ms);
        }
        for (key, session) in &folded.sessions {
            state.timeline.put(key, &session.spans, session.last_received_ms);
        }
        let behind = state.behind;
        let peaks = state.timeline.peaks(behind);
        drop(state);
        self.seen.notify_one();
        peaks
    }

    /// The peaks that were waiting for somebody who was behind.
    pub(crate) fn settle(&self) -> BTreeMap<EventName, u64> {
        self.set_behind(false);
        self.see(&Folded::default())
    }

    /// Tells those who watch these events, once what changed is durable.
    pub(crate) fn publish<'e>(
        &self,
        events: impl IntoIterator<Item = &'e EventName>,
        peaks: &BTreeMap<EventName, u64>,
    ) {
        let time = self.clock.now();
        let state = self.state.lock();
        metrics::gauge!("analytics_concurrent_viewers").set(state.presence.total() as f64);
        for event in events {
            let viewers = state.presence.count(event);
            if let Some(watched) = state.watched.get(event) {
                watched.send_if_modified(|audience| {
                    let peak = peaks.get(event).copied().unwrap_or_default();
                    let peak = audience.peak.max(peak).max(viewers);
                    let changed = (viewers, peak) != (audience.viewers, audience.peak);
                    if changed {
                        *audience = Audience {
                            event: event.clone(),
                            viewers,
                            peak,
                            time,
                        };
                    }
                    changed
                });
            }
        }
    }

    /// The audience of an event.
    pub(crate) async fn audience(&self, event: &EventName) -> Result<Audience, Error> {
        let peak = self.store.peak(event).await?;
        let viewers = self.state.lock().presence.count(event);
        Ok(Audience {
            event: event.clone(),
            viewers,
            peak: peak.max(viewers),
            time: self.clock.now(),
        })
    }

    /// The audience of an event from now on.
    pub(crate) async fn watch(&self, event: &EventName) -> Result<watch::Receiver<Audience>, Error> {
        let audience = self.audience(event).await?;
        let mut state = self.state.lock();
        // Since it was read, it may have changed.
        let viewers = state.presence.count(event);
        let sender = state
            .watched
            .entry(event.clone())
            .or_insert_with(|| watch::Sender::new(audience.clone()));
        sender.send_if_modified(|last| {
            let changed = last.viewers != viewers || last.peak < audience.peak;
            (last.viewers, last.peak) = (viewers, last.peak.max(audience.peak).max(viewers));
            changed
        });
        Ok(sender.subscribe())
    }

    /// Lets those go who are not heard of any more, until the token is cancelled.
    pub(crate) async fn expire(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), Error> {
        loop {
            let next = self.state.lock().presence.next_deadline_ms();
            let wait = async {
                match next {
                    Some(next) => {
                        let left = u64::try_from(next - self.clock.now_ms()).unwrap_or(0);
                        tokio::time::sleep(Duration::from_millis(left)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.seen.notified() => {}
                () = wait => {
                    let gone = {
                        let mut state = self.state.lock();
                        state.watched.retain(|_, watched| watched.receiver_count() > 0);
                        state.presence.advance(self.clock.now_ms())
                    };
                    self.publish(&gone, &BTreeMap::new());
                }
            }
        }
    }
}
