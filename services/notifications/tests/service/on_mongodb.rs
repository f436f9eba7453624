//! Several replicas of the service on one replica set of MongoDB. The bus is the embedded one, which they share.

use std::time::{Duration, Instant};

use marquee_backends::Backend;
use marquee_documents::Location;
use marquee_documents::mongodb::Settings;
use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1::WatchNotificationsResponse;
use tonic::Streaming;
use uuid::Uuid;

use super::fixture::{Fixture, Home, changed, event, next, then};

/// In a database of its own.
async fn start() -> Fixture {
    let settings = Settings {
        uri: marquee_backends::address(Backend::MongoDb),
        database: format!("notifications_{}", Uuid::new_v4().simple()),
    };
    let home = Home::new(tempfile::tempdir().unwrap(), Location::MongoDb(settings));
    Fixture::start_in(home, 500).await
}

async fn opened(fixture: &Fixture, account: &str) -> (Streaming<WatchNotificationsResponse>, String) {
    let mut watch = fixture.watch(account, "").await.unwrap();
    let cursor = next(&mut watch).await.cursor;
    (watch, cursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn whoever_watches_is_told_whichever_replica_it_watches() {
    const EVENTS: usize = 20;
    let one = start().await;
    let two = one.replica().await;
    one.follow(&["viewer"]).await;
    let (mut at_one, _) = opened(&one, "viewer").await;
    let (mut at_two, cursor) = opened(&two, "viewer").await;
    // Which replica fans out is not known: with partitions, both.
    for n in 0..EVENTS {
        let event = event(&format!("e{n}"), 3_600);
        one.publish(&event.name, &changed(&event)).await;
    }
    let (mut told_one, mut told_two) = (Vec::new(), Vec::new());
    for n in 1..=EVENTS {
        let (one, two) = (next(&mut at_one).await, next(&mut at_two).await);
        assert_eq!((one.unread_count, &one.cursor), (two.unread_count, &two.cursor));
        assert_eq!(usize::try_from(one.unread_count).unwrap(), n);
        told_one.push(one.notification.unwrap().name);
        told_two.push(two.notification.unwrap().name);
    }
    assert_eq!(told_one, told_two);
    // One that comes back, at the other replica.
    let mut resumed = one.watch("viewer", &cursor).await.unwrap();
    assert_eq!(next(&mut resumed).await.cursor, cursor);
    for expected in told_two {
        assert_eq!(next(&mut resumed).await.notification.unwrap().name, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; with the address of a server in MARQUEE_TEST_MONGODB"]
async fn how_soon_a_thousand_open_streams_are_told_of_one_event() {
    const OPEN: usize = 1_000;
    let fixture = start().await;
    let accounts: Vec<String> = (0..OPEN).map(|n| format!("viewer-{n}")).collect();
    let named: Vec<&str> = accounts.iter().map(String::as_str).collect();
    fixture.follow(&named).await;
    let mut open = Vec::new();
    for account in &accounts {
        open.push(opened(&fixture, account).await.0);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for round in 0..3 {
        let live = then(&event(&format!("e{round}"), 0), EventState::Live);
        let published = Instant::now();
        fixture.publish(&live.name, &changed(&live)).await;
        let mut took = Vec::new();
        let mut since_made = Vec::new();
        let reading = open.iter_mut().map(|watch| async move {
            let told = next(watch).await.notification.unwrap();
            let made = marquee_proto::time::from_proto(&told.create_time.unwrap()).unwrap();
            (
                published.elapsed(),
                jiff::Timestamp::now().duration_since(made).unsigned_abs(),
            )
        });
        for (since_published, age) in futures::future::join_all(reading).await {
            took.push(since_published);
            since_made.push(age);
        }
        took.sort();
        since_made.sort();
        println!(
            "{OPEN} streams; published to received p50 {:?} p99 {:?}; made to received p50 {:?} p99 {:?}",
            took[OPEN / 2],
            took[OPEN * 99 / 100],
            since_made[OPEN / 2],
            since_made[OPEN * 99 / 100],
        );
    }
}
