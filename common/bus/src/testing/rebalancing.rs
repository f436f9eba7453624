//! Cases about members that come and go while others publish.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::consuming::{Listener, Running, fresh, said};
use super::tools::{soon, until};
use super::{Fixture, message, topic};
use crate::{EventBus, Polled, Record};

/// Messages at most, should what is waited for never happen.
const ENOUGH: usize = 40_000;

/// Publishes single messages, in order per key, until it is told to stop.
struct Load {
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Load {
    fn start(bus: &Arc<dyn EventBus>, make: impl Fn(usize) -> crate::Outgoing + Send + 'static) -> Self {
        let (bus, stop) = (bus.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut published = 0;
            while !stopped.is_cancelled() && published < ENOUGH {
                let batch = (published..published + 5).map(&make).collect();
                bus.publish(batch).await.unwrap();
                published += 5;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            published
        });
        Self { stop, task }
    }

    async fn stop(self) -> usize {
        self.stop.cancel();
        soon("the publisher ends", self.task).await.unwrap()
    }
}

/// Who handled which message, and how often.
type Handled = Arc<Mutex<BTreeMap<String, Vec<usize>>>>;

fn handled_by(handled: &Handled, member: usize) -> usize {
    handled.lock().values().filter(|by| by.contains(&member)).count()
}

/// Handles and commits one by one, until it is told to leave.
fn member(
    name: usize,
    bus: &Arc<dyn EventBus>,
    topic: Topic,
    handled: &Handled,
) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let (bus, handled) = (bus.clone(), handled.clone());
    let leave = Arc::new(AtomicBool::new(false));
    let told = leave.clone();
    let task = tokio::spawn(async move {
        let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
        while !told.load(Ordering::SeqCst) {
            if let Polled::Records(records) = subscription.poll(5).await.unwrap() {
                for record in &records {
                    handled
                        .lock()
                        .entry(record.message.id.clone())
                        .or_default()
                        .push(name);
                    let committed = subscription
                        .commit(&record.topic_partition(), record.offset + 1)
                        .await;
                    assert!(
                        committed.is_ok(),
                        "an owner that has not given up commits: {committed:?}"
                    );
                }
            }
        }
        // Leaves by being dropped.
    });
    (leave, task)
}

pub async fn members_share_the_partitions_and_lose_nothing_when_they_come_and_go<F: Fixture>() {
    let fixture = F::start().await;
    let (bus, topic) = (fixture.bus(), topic(6));
    bus.declare(&[topic]).await.unwrap();
    let handled = Handled::default();
    let load = Load::start(&bus, move |n| message(&topic, &(n % 50).to_string(), "v"));
    let (_, first) = member(1, &bus, topic, &handled);
    until("the first member has everything", || {
        handled_by(&handled, 1) > 100
    })
    .await;
    let (leave, second) = member(2, &bus, topic, &handled);
    until("the second gets its share", || handled_by(&handled, 2) > 50).await;
    let (_, third) = member(3, &bus, topic, &handled);
    until("the third gets its share", || handled_by(&handled, 3) > 50).await;
    leave.store(true, Ordering::SeqCst);
    soon("the second leaves", second).await.unwrap();
    let before = (handled_by(&handled, 1), handled_by(&handled, 3));
    until("the others go on", || {
        handled_by(&handled, 1) > before.0 + 50 && handled_by(&handled, 3) > before.1 + 50
    })
    .await;
    let total = load.stop().await;
    until("every message is handled", || handled.lock().len() == total).await;
    // All of them committed before they gave a partition up.
    let twice: Vec<_> = handled
        .lock()
        .iter()
        .filter(|(_, by)| by.len() > 1)
        .map(|(id, by)| (id.clone(), by.clone()))
        .collect();
    assert!(twice.is_empty(), "handled more than once: {twice:?}");
    for member in [first, third] {
        assert!(!member.is_finished(), "a member failed");
        member.abort();
    }
}

pub async fn only_what_a_member_did_not_commit_comes_again<F: Fixture>() {
    let fixture = F::start().await;
    let (bus, topic) = (fixture.bus(), topic(4));
    bus.declare(&[topic]).await.unwrap();
    let load = Load::start(&bus, move |n| message(&topic, &(n % 50).to_string(), "v"));
    // Commits every other batch, and leaves with the rest uncommitted.
    let mut careless = bus.subscribe("g", &[topic]).await.unwrap();
    let mut read = BTreeSet::new();
    let mut behind: HashMap<_, BTreeSet<String>> = HashMap::new();
    let mut commits = false;
    let reading = async {
        while read.len() < 200 || behind.values().all(BTreeSet::is_empty) {
            let Polled::Records(records) = careless.poll(7).await.unwrap() else {
                continue;
            };
            let partition = records[0].topic_partition();
            let behind = behind.entry(partition.clone()).or_default();
            for record in &records {
                read.insert(record.message.id.clone());
                behind.insert(record.message.id.clone());
            }
            commits = !commits;
            if commits {
                careless
                    .commit(&partition, records[records.len() - 1].offset + 1)
                    .await
                    .unwrap();
                behind.clear();
            }
        }
    };
    soon("the first member has read enough", reading).await;
    drop(careless);
    let uncommitted: BTreeSet<String> = behind.into_values().flatten().collect();
    let handled = Handled::default();
    let (_, next) = member(2, &bus, topic, &handled);
    until("the next member has what comes", || {
        handled_by(&handled, 2) > uncommitted.len() + 100
    })
    .await;
    let total = load.stop().await;
    let seen = || {
        let handled = handled.lock();
        read.iter().chain(handled.keys()).collect::<BTreeSet<_>>().len()
    };
    until("nothing is lost", || seen() == total).await;
    let again: BTreeSet<String> = handled
        .lock()
        .keys()
        .filter(|id| read.contains(*id))
        .cloned()
        .collect();
    assert_eq!(again, uncommitted);
    next.abort();
}

/// More than any adapter reads ahead of a member.
const BACKLOG: usize = 12_000;

fn places(records: &[Record]) -> Vec<(u32, u64)> {
    records
        .iter()
        .map(|record| (record.partition, record.offset))
        .collect()
}

pub async fn a_backlog_is_read_on_after_a_partition_went_and_came_back<F: Fixture>() {
    let fixture = F::start().await;
    let (bus, topic) = (fixture.bus(), topic(2));
    bus.declare(&[topic]).await.unwrap();
    for first in (0..BACKLOG).step_by(1_000) {
        let batch = (first..first + 1_000).map(|n| message(&topic, &(n % 50).to_string(), "v"));
        bus.publish(batch.collect()).await.unwrap();
    }
    // It takes its time, so that all that may wait for it waits.
    let mut slow = bus.subscribe("g", &[topic]).await.unwrap();
    let mut seen = BTreeSet::new();
    let reading = async {
        while seen.len() < 300 {
            if let Polled::Records(records) = slow.poll(1).await.unwrap() {
                seen.extend(places(&records));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    soon("the first records come", reading).await;
    let mut guest = bus.subscribe("g", &[topic]).await.unwrap();
    let (mut taken_away, mut given) = (false, false);
    let sharing = async {
        while !(taken_away && given) {
            tokio::select! {
                polled = slow.poll(1) => match polled.unwrap() {
                    Polled::Records(records) => seen.extend(places(&records)),
                    Polled::Revoked(_) => taken_away = true,
                    Polled::Assigned(_) => {}
                },
                polled = guest.poll(1) => given |= matches!(polled.unwrap(), Polled::Assigned(_)),
            }
        }
    };
    soon("the second member gets its share", sharing).await;
    // What it took was never committed.
    drop(guest);
    let reading = async {
        while seen.len() < BACKLOG {
            if let Polled::Records(records) = slow.poll(500).await.unwrap() {
                seen.extend(places(&records));
            }
        }
    };
    soon("the whole backlog comes", reading).await;
}

pub async fn consumers_come_and_go_under_load_and_each_key_stays_in_order<F: Fixture>() {
    let (_fixture, bus, group) = fresh::<F>().await;
    let load = Load::start(&bus, |n| {
        let key = n % 20;
        said(&key.to_string(), &format!("{key:02}-{n:06}"))
    });
    let listener = Arc::new(Listener::default());
    let mut running = vec![Running::start(bus.clone(), &group, &listener)];
    for _ in 0..3 {
        let heard = listener.heard();
        until("they hear something", || listener.heard() > heard + 100).await;
        running.push(Running::start(bus.clone(), &group, &listener));
        let heard = listener.heard();
        until("they go on with one more", || listener.heard() > heard + 100).await;
        running.remove(0).stop().await;
    }
    let total = load.stop().await;
    until("all is heard", || listener.heard() >= total).await;
    for consumer in running {
        consumer.stop().await;
    }
    let heard = listener.heard.lock();
    let mut texts: Vec<&str> = heard.iter().map(|(_, text)| text.as_str()).collect();
    for key in 0..20 {
        let of_key: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(&format!("{key:02}-")))
            .collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(
        (texts.len(), heard.len()),
        (total, total),
        "each stops in good order, so nothing comes twice"
    );
}
