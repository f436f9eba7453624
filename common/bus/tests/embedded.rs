//! The embedded bus: the suite, on a usual tail and on one so small that everything is read from disk, and what it
//! alone promises.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::testing::{Fixture, collect, message, topic};
use marquee_bus::{Error, EventBus, dead_letter, dead_letters};
use marquee_proto::topic::Topic;
use tempfile::TempDir;

struct InFolder<const TAIL: usize> {
    folder: TempDir,
    bus: Arc<Embedded>,
}

impl<const TAIL: usize> InFolder<TAIL> {
    fn on(folder: TempDir) -> Self {
        let options = Options {
            tail_bytes: TAIL,
            ..Options::default()
        };
        Self {
            bus: Embedded::open(folder.path(), options).unwrap(),
            folder,
        }
    }
}

impl<const TAIL: usize> Fixture for InFolder<TAIL> {
    async fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn bus(&self) -> Arc<dyn EventBus> {
        self.bus.clone()
    }

    async fn restart(self) -> Self {
        drop(self.bus);
        Self::on(self.folder)
    }

    async fn expire(&self, topic: &Topic) {
        let later = Timestamp::now() + topic.retention + Duration::from_secs(1);
        self.bus.retain(later).await.unwrap();
    }
}

mod from_memory {
    marquee_bus::suite!(super::InFolder<{ 16 << 20 }>);
}

mod from_disk {
    marquee_bus::suite!(super::InFolder<0>);
}

mod at_the_edge_of_memory {
    marquee_bus::suite!(super::InFolder<2000>);
}

#[tokio::test]
async fn what_is_older_than_the_topic_keeps_it_is_removed() {
    let fixture = InFolder::<2000>::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic]).await.unwrap();
    for n in 0..300 {
        fixture
            .bus
            .publish(vec![message(&topic, "k", &n.to_string())])
            .await
            .unwrap();
    }
    let mut reading = fixture.bus.subscribe("reading", &[topic]).await.unwrap();
    assert_eq!(collect(&mut *reading, 1).await[0].offset, 0);
    fixture.bus.retain(Timestamp::now()).await.unwrap();
    let mut all = fixture.bus.subscribe("all", &[topic]).await.unwrap();
    assert_eq!(
        collect(&mut *all, 300).await[0].offset,
        0,
        "nothing is too old yet"
    );
    fixture
        .bus
        .retain(Timestamp::now() + topic.retention + Duration::from_secs(1))
        .await
        .unwrap();
    fixture
        .bus
        .publish(vec![message(&topic, "k", "new")])
        .await
        .unwrap();
    let mut late = fixture.bus.subscribe("late", &[topic]).await.unwrap();
    assert_eq!(
        collect(&mut *late, 1).await[0].offset,
        300,
        "offsets go on, and a new group begins at the earliest"
    );
}

#[tokio::test]
async fn a_partition_keeps_no_more_bytes_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        partition_bytes: 100_000,
        ..Options::default()
    };
    let bus = Embedded::open(folder.path(), options).unwrap();
    let topic = topic(1);
    bus.declare(&[topic]).await.unwrap();
    for _ in 0..30 {
        bus.publish(vec![message(&topic, "k", &"x".repeat(10_000))])
            .await
            .unwrap();
    }
    bus.retain(Timestamp::now()).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let first = collect(&mut *subscription, 1).await[0].offset;
    assert!(
        (20..=22).contains(&first),
        "the last 100,000 bytes are there: {first}"
    );
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_nothing_of_its_batch_published() {
    let fixture = InFolder::<2000>::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic]).await.unwrap();
    let batch = vec![
        message(&topic, "k", "small"),
        message(&topic, "k", &"x".repeat(2 << 20)),
    ];
    assert!(matches!(
        fixture.bus.publish(batch).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(fixture.bus.end_offsets(&topic).await.unwrap(), [0]);
}

#[tokio::test]
async fn the_largest_message_has_a_place_among_the_dead_letters() {
    let fixture = InFolder::<2000>::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic, dead_letters(&topic)]).await.unwrap();
    let empty = message(&topic, "k", "");
    let overhead = 200 + empty.message.id.len();
    let largest = "x".repeat(Options::default().message_bytes - overhead);
    fixture
        .bus
        .publish(vec![message(&topic, "k", &largest)])
        .await
        .unwrap();
    let mut subscription = fixture.bus.subscribe("g", &[topic]).await.unwrap();
    let record = collect(&mut *subscription, 1).await.remove(0);
    let letter = dead_letter(&record, "g", &"why ".repeat(100_000));
    fixture.bus.publish(vec![letter]).await.unwrap();
}

#[tokio::test]
async fn who_published_while_no_write_could_begin_is_told_and_the_next_are_served() {
    let fixture = InFolder::<2000>::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic]).await.unwrap();
    let mut subscription = fixture.bus.subscribe("g", &[topic]).await.unwrap();
    let partition = loop {
        if let marquee_bus::Polled::Assigned(mut partitions) = subscription.poll(1).await.unwrap() {
            break partitions.remove(0);
        }
    };
    // Somebody has the file's write lock for longer than a write waits for it.
    let other = rusqlite::Connection::open(fixture.folder.path().join("bus.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lost = fixture.bus.publish(vec![message(&topic, "k", "lost")]);
    let lost = tokio::time::timeout(Duration::from_secs(60), lost);
    let (committed, lost) = tokio::join!(subscription.commit(&partition, 0), lost);
    assert!(lost.expect("the publisher is answered").is_err());
    committed.unwrap();
    other.execute_batch("ROLLBACK").unwrap();

    fixture
        .bus
        .publish(vec![message(&topic, "k", "kept")])
        .await
        .unwrap();
    assert_eq!(collect(&mut *subscription, 1).await[0].message.value, "kept");
    subscription.commit(&partition, 1).await.unwrap();
    drop(subscription);
    let again = fixture.restart().await;
    again.bus.declare(&[topic]).await.unwrap();
    again
        .bus
        .publish(vec![message(&topic, "k", "new")])
        .await
        .unwrap();
    let mut subscription = again.bus.subscribe("g", &[topic]).await.unwrap();
    assert_eq!(
        collect(&mut *subscription, 1).await[0].message.value,
        "new",
        "the commit is stored"
    );
}

#[tokio::test]
async fn a_folder_in_use_is_named() {
    let fixture = InFolder::<2000>::start().await;
    let error = Embedded::open(fixture.folder.path(), Options::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

/// Changes the stored bytes of the only batch of a bus that is closed.
fn damage(folder: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let file = rusqlite::Connection::open(folder.join("bus.sqlite")).unwrap();
    let mut blob: Vec<u8> = file
        .query_row("SELECT blob FROM batches", [], |row| row.get(0))
        .unwrap();
    change(&mut blob);
    file.execute("UPDATE batches SET blob = ?", [blob]).unwrap();
}

/// What a reader gets of three records, the second of which was damaged while the bus was closed.
async fn read_damaged(change: impl FnOnce(&mut Vec<u8>)) -> Vec<(u64, bool)> {
    let fixture = InFolder::<2000>::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic]).await.unwrap();
    fixture
        .bus
        .publish((0..3).map(|n| message(&topic, "k", &n.to_string())).collect())
        .await
        .unwrap();
    let InFolder { folder, bus } = fixture;
    drop(bus);
    damage(folder.path(), change);
    let fixture = InFolder::<2000>::on(folder);
    fixture.bus.declare(&[topic]).await.unwrap();
    fixture
        .bus
        .publish(vec![message(&topic, "k", "after")])
        .await
        .unwrap();
    let mut subscription = fixture.bus.subscribe("g", &[topic]).await.unwrap();
    let mut read = Vec::new();
    while read.last().is_none_or(|(offset, _)| *offset < 3) {
        for record in collect(&mut *subscription, 1).await {
            read.push((record.offset, record.message.damage().is_none()));
        }
    }
    read
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_delivered_as_damaged_and_the_partition_goes_on() {
    let read = read_damaged(|blob| {
        let length = u32::from_le_bytes(blob[..4].try_into().unwrap()) as usize;
        // The second record's time, which becomes none.
        blob[4 + length + 4..][..8].fill(0x7f);
    })
    .await;
    assert_eq!(read, [(0, true), (1, false), (2, true), (3, true)]);
}

#[tokio::test]
async fn where_even_the_length_of_a_record_is_damaged_the_rest_of_its_batch_is_told_as_one() {
    let read = read_damaged(|blob| {
        let length = u32::from_le_bytes(blob[..4].try_into().unwrap()) as usize;
        blob[4 + length..][..4].fill(0xff);
    })
    .await;
    assert_eq!(read, [(0, true), (1, false), (3, true)]);
}
