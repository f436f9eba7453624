//! Which stream goes where: compares what runs with what is wanted, whenever one of them changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_documents::{Query, Store};
use marquee_proto::name::LiveStreamName;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::job::Job;
use super::uplink::Uplinks;
use super::{Addresses, ForwardingConfig, Trust};
use crate::broadcast::Broadcast;
use crate::domain::ForwardingTarget;
use crate::error::{Result, chain};
use crate::hub::Hub;
use crate::publishers::Publishers;

/// Counts changes of targets in the store, so that replicas notice them.
pub(crate) const CHANGES: &str = "forwarding.changes";
/// What other replicas changed is looked for this often.
const LEARN: Duration = Duration::from_secs(2);
/// More targets than a channel may have.
const PAGE: usize = 200;

/// Forwards what runs in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keeper {
    store: Store,
    hub: Hub,
    publishers: Publishers,
    uplinks: Arc<Uplinks>,
    changed: Arc<Notify>,
}

/// What is forwarded: from where, and to where.
type Key = (LiveStreamName, String);

struct Running {
    target: ForwardingTarget,
    stop: CancellationToken,
    forget: Arc<AtomicBool>,
    job: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// The store's counter.
    changes: Option<i64>,
    /// Targets of the channels that are on the air.
    targets: HashMap<String, Vec<ForwardingTarget>>,
    running: HashMap<Key, Running>,
    is_full: bool,
}

impl Keeper {
    pub(crate) fn new(
        store: Store,
        hub: Hub,
        publishers: Publishers,
        config: ForwardingConfig,
        trust: Trust,
    ) -> Self {
        let addresses = Addresses::new(config.allow.clone(), config.deny.clone());
        Self {
            store,
            hub,
            publishers,
            uplinks: Arc::new(Uplinks {
                config,
                addresses,
                trust,
            }),
            changed: Arc::default(),
        }
    }

    /// What can be set.
    pub(crate) fn config(&self) -> &ForwardingConfig {
        &self.uplinks.config
    }

    /// Where may be connected to.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.uplinks.addresses
    }

    /// A target was changed in this process.
    pub(crate) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Runs until the service stops; the other servers are told that the streams are over.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut ticks = interval(LEARN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = State::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.changed.notified() => {}
                () = self.hub.begun().notified() => {}
                () = shutdown.cancelled() => break,
            }
            if let Err(error) = self.compare(&mut state, &tasks).await {
                tracing::warn!(error = %chain(&error), "it is not known where streams are to be forwarded");
            }
        }
        for running in state.running.values() {
            running.stop.cancel();
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn compare(&self, state: &mut State, tasks: &TaskTracker) -> Result<()> {
        let on_air = self.hub.running();
        state.running.retain(|_, running| !running.job.is_finished());
        if on_air.is_empty() && state.running.is_empty() {
            state.targets.clear();
            return Ok(());
        }
        let changes = self.store.counter(CHANGES).await?;
        if state.changes != Some(changes) {
            state.targets.clear();
        }
        let channels: HashSet<&str> = on_air.iter().map(|one| one.name().channel.as_str()).collect();
        state
            .targets
            .retain(|channel, _| channels.contains(channel.as_str()));
        for channel in channels {
            if !state.targets.contains_key(channel) {
                let targets = self.targets(channel).await?;
                state.targets.insert(channel.to_owned(), targets);
            }
        }
        state.changes = Some(changes);
        let wanted = self.wanted(state, &on_air);
        for (key, running) in &state.running {
            let is_wanted = wanted
                .get(key)
                .is_some_and(|(target, _)| *target == running.target);
            if !is_wanted && !running.stop.is_cancelled() {
                let targets = state.targets.get(&key.0.channel);
                let is_gone = targets.is_some_and(|targets| targets.iter().all(|target| target.id != key.1));
                running.forget.store(is_gone, Ordering::Release);
                running.stop.cancel();
            }
        }
        for (key, (target, broadcast)) in wanted {
            // One that was just stopped is waited for: two connections with one key are refused.
            if state.running.contains_key(&key) {
                continue;
            }
            if state.running.len() >= self.uplinks.config.max_connections {
                if !std::mem::replace(&mut state.is_full, true) {
                    tracing::warn!(
                        limit = self.uplinks.config.max_connections,
                        "not all streams are forwarded: there are as many connections as may be"
                    );
                }
                break;
            }
            state.is_full = false;
            let running = self.start(target, broadcast, tasks);
            state.running.insert(key, running);
        }
        Ok(())
    }

    fn wanted(&self, state: &State, on_air: &[Broadcast]) -> HashMap<Key, (ForwardingTarget, Broadcast)> {
        let mut wanted = HashMap::new();
        for broadcast in on_air {
            let name = broadcast.name();
            let publisher = self.publishers.of(name);
            for target in state.targets.get(&name.channel).into_iter().flatten() {
                let key = (name.clone(), target.id.clone());
                let goes = match &publisher {
                    Some(publisher) => target.takes(&publisher.stream_key),
                    // Its encoder is expected back: nothing changes meanwhile.
                    None => !target.disabled && state.running.contains_key(&key),
                };
                if goes && !broadcast.relay().is_over() {
                    wanted.insert(key, (target.clone(), broadcast.clone()));
                }
            }
        }
        wanted
    }

    fn start(&self, target: ForwardingTarget, broadcast: Broadcast, tasks: &TaskTracker) -> Running {
        let (stop, forget) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let job = Job {
            target: target.clone(),
            broadcast,
            uplinks: self.uplinks.clone(),
            store: self.store.clone(),
            stop: stop.clone(),
            forget: forget.clone(),
        };
        let changed = self.changed.clone();
        let job = tasks.spawn(async move {
            job.run().await;
            // What takes its place need not wait for the clock.
            changed.notify_one();
        });
        Running {
            target,
            stop,
            forget,
            job,
        }
    }

    async fn targets(&self, channel: &str) -> Result<Vec<ForwardingTarget>> {
        let query = Query::by("by_channel").equals(channel).limit(PAGE);
        let page = self.store.query::<ForwardingTarget>(query).await?;
        Ok(page
            .items
            .into_iter()
            .map(|stored| (*stored.value).clone())
            .collect())
    }
}
