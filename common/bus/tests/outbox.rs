//! From a committed transaction to the bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::outbox::sqlite::{MIGRATION, SqliteOutbox, insert};
use marquee_bus::outbox::{Outbox, relay};
use marquee_bus::testing::{collect, message, topic};
use marquee_bus::{Error, EventBus, Outgoing, Subscription};
use marquee_proto::topic::Topic;
use marquee_sqlite::Database;
use tokio_util::sync::CancellationToken;

/// The real bus, out of reach at first.
struct Ailing {
    bus: Arc<Embedded>,
    failures: AtomicUsize,
}

#[async_trait]
impl EventBus for Ailing {
    async fn declare(&self, topics: &[Topic]) -> Result<(), Error> {
        self.bus.declare(topics).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error> {
        if self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            return Err(Error::Unavailable("down".to_owned()));
        }
        self.bus.publish(messages).await
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Subscription>, Error> {
        self.bus.subscribe(group, topics).await
    }

    async fn start_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.bus.start_offsets(topic).await
    }

    async fn end_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.bus.end_offsets(topic).await
    }

    async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error> {
        self.bus.committed(group, topic).await
    }
}

async fn commit(database: &Database, messages: Vec<Outgoing>) {
    let written = database
        .write(move |tx| messages.iter().try_for_each(|message| insert(tx, message)))
        .await;
    written.unwrap();
}

fn store(folder: &Path) -> (Database, Arc<dyn Outbox>) {
    let database = Database::open(&folder.join("store.sqlite"), &[MIGRATION]).unwrap();
    (database.clone(), Arc::new(SqliteOutbox::new(database)))
}

async fn bus(folder: &Path, failures: usize) -> (Arc<dyn EventBus>, Topic) {
    let bus = Embedded::open(folder, Options::default()).unwrap();
    let topic = topic(1);
    bus.declare(&[topic]).await.unwrap();
    (
        Arc::new(Ailing {
            bus,
            failures: AtomicUsize::new(failures),
        }),
        topic,
    )
}

#[tokio::test]
async fn what_was_committed_is_published_once_and_in_order_although_the_bus_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), 3).await;
    for n in 0..700 {
        let messages = (0..2)
            .map(|part| message(&topic, "k", &format!("{n:03}-{part}")))
            .collect();
        commit(&database, messages).await;
    }
    let shutdown = CancellationToken::new();
    let relaying = tokio::spawn(relay(outbox.clone(), bus.clone(), shutdown.clone()));
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 1400).await;
    let values: Vec<_> = records
        .iter()
        .map(|record| record.message.value.clone())
        .collect();
    assert!(values.is_sorted() && values.windows(2).all(|pair| pair[0] != pair[1]));
    shutdown.cancel();
    relaying.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_commit_wakes_the_relay_and_what_is_published_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), 0).await;
    let shutdown = CancellationToken::new();
    let relaying = tokio::spawn(relay(outbox.clone(), bus.clone(), shutdown.clone()));
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let started = std::time::Instant::now();
    for n in 0..20 {
        commit(&database, vec![message(&topic, "k", &n.to_string())]).await;
        collect(&mut *subscription, 1).await;
    }
    // Polling alone would take a second each.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    let mut commits = database.committed();
    while !outbox.pending(1).await.unwrap().is_empty() {
        commits.changed().await.unwrap();
    }
    assert_eq!(outbox.depth().await.unwrap(), 0);
    shutdown.cancel();
    relaying.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_relay_that_died_before_it_marked_publishes_again_with_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), 0).await;
    commit(&database, vec![message(&topic, "k", "1")]).await;
    // As far as a relay came that was killed after publishing.
    let pending = outbox.pending(10).await.unwrap();
    bus.publish(pending.into_iter().map(|(_, outgoing)| outgoing).collect())
        .await
        .unwrap();
    let shutdown = CancellationToken::new();
    let relaying = tokio::spawn(relay(outbox, bus.clone(), shutdown.clone()));
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 2).await;
    assert_eq!(records[0].message.id, records[1].message.id);
    shutdown.cancel();
    relaying.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_place_in_the_outbox_never_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let topic = topic(1);
    commit(&database, vec![message(&topic, "k", "1")]).await;
    let first = outbox.pending(1).await.unwrap()[0].0;
    outbox.published(first).await.unwrap();
    drop((database, outbox));
    let (database, outbox) = store(folder.path());
    commit(&database, vec![message(&topic, "k", "2")]).await;
    assert!(outbox.pending(1).await.unwrap()[0].0 > first);
}

#[tokio::test]
async fn what_no_bus_would_take_is_refused_with_its_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let topic = topic(1);
    let batch = [
        message(&topic, "k", "small"),
        message(&topic, "k", &"x".repeat(marquee_bus::MAX_MESSAGE_BYTES)),
    ];
    let refused = database
        .write(move |tx| batch.iter().try_for_each(|message| insert(tx, message)))
        .await;
    assert!(refused.unwrap_err().to_string().contains("too large"));
    assert!(outbox.pending(1).await.unwrap().is_empty());
}

/// Takes its time to publish, and tells when it has begun.
struct Slow {
    bus: Arc<dyn EventBus>,
    begun: tokio::sync::Notify,
    go_on: tokio::sync::Notify,
}

#[async_trait]
impl EventBus for Slow {
    async fn declare(&self, topics: &[Topic]) -> Result<(), Error> {
        self.bus.declare(topics).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error> {
        self.bus.publish(messages).await?;
        self.begun.notify_one();
        self.go_on.notified().await;
        Ok(())
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Subscription>, Error> {
        self.bus.subscribe(group, topics).await
    }

    async fn start_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.bus.start_offsets(topic).await
    }

    async fn end_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        self.bus.end_offsets(topic).await
    }

    async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error> {
        self.bus.committed(group, topic).await
    }
}

#[tokio::test]
async fn a_relay_that_is_stopped_publishes_all_that_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), 0).await;
    let slow = Arc::new(Slow {
        bus,
        begun: Default::default(),
        go_on: Default::default(),
    });
    commit(&database, vec![message(&topic, "k", "1")]).await;
    let shutdown = CancellationToken::new();
    let relaying = tokio::spawn(relay(outbox.clone(), slow.clone(), shutdown.clone()));
    slow.begun.notified().await;
    commit(&database, vec![message(&topic, "k", "2")]).await;
    shutdown.cancel();
    slow.go_on.notify_one();
    slow.begun.notified().await;
    slow.go_on.notify_one();
    relaying.await.unwrap().unwrap();
    assert_eq!(slow.end_offsets(&topic).await.unwrap(), [2]);
    assert!(
        outbox.pending(1).await.unwrap().is_empty(),
        "nothing is published again after the restart"
    );
}

#[tokio::test]
async fn a_relay_that_is_stopped_goes_on_over_failures_of_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), 2).await;
    commit(&database, vec![message(&topic, "k", "1")]).await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    relay(outbox, bus.clone(), shutdown).await.unwrap();
    assert_eq!(bus.end_offsets(&topic).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_relay_whose_bus_is_away_ends_all_the_same_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = store(folder.path());
    let (bus, topic) = bus(folder.path(), usize::MAX).await;
    commit(&database, vec![message(&topic, "k", "1")]).await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(60), relay(outbox.clone(), bus, shutdown))
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(outbox.pending(1).await.unwrap().len(), 1);
}
