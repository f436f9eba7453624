//! Several processes of the service on one replica set. The bus is the embedded one, which they share within this process.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use marquee_analytics::domain::{Ledger, Rules};
use marquee_analytics::store::Store as _;
use marquee_analytics::store::mongodb::{MongoDb, Settings};
use marquee_analytics::{Clock, Location};
use marquee_backends::{Backend, Home, Server, install};
use marquee_bus::embedded::{Embedded, Options};
use marquee_config::Secret;
use marquee_proto::analytics::v1::PlaybackState::{Ended, Playing};
use mongodb::bson::doc;
use tempfile::TempDir;
use uuid::Uuid;

use crate::fixture::{Fixture, PATIENCE, beacon};

/// Where a fleet of a test's own is.
struct Place {
    folder: TempDir,
    bus: Arc<Embedded>,
    settings: Settings,
    rules: Rules,
}

impl Place {
    fn at(uri: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
        let settings = Settings {
            uri: Secret::new(uri),
            database: format!("analytics_test_{}", Uuid::new_v4().simple()),
        };
        Self {
            folder,
            bus,
            settings,
            // Nobody is gone because a test machine is slow.
            rules: Rules {
                gone_after: Duration::from_secs(600),
                ..Rules::default()
            },
        }
    }

    fn shared() -> Self {
        Self::at(&marquee_backends::address(Backend::MongoDb))
    }

    async fn start(&self) -> Fixture {
        let store = Location::MongoDb(self.settings.clone());
        let clock = Clock::default();
        Fixture::start_on(self.folder.path(), self.bus.clone(), store, self.rules, clock).await
    }

    async fn ledger(&self) -> (Ledger, u64) {
        let store = MongoDb::open(&self.settings).await.unwrap();
        store.ledger().await.unwrap()
    }

    async fn drop(self) {
        let client = mongodb::Client::with_uri_str(self.settings.uri.expose())
            .await
            .unwrap();
        let database = client.database(&self.settings.database);
        // What was killed half-way would keep the database for a minute.
        let owners = database.collection::<mongodb::bson::Document>("owner");
        let mut owners = owners.find(doc! {}).await.unwrap();
        while let Some(owner) = owners.try_next().await.unwrap() {
            let session = doc! { "id": owner.get("session") };
            let end = doc! { "killSessions": [session] };
            database.run_command(end).await.unwrap();
        }
        database.drop().await.unwrap();
    }
}

fn viewers(sessions: std::ops::RangeInclusive<u128>) -> Vec<marquee_proto::analytics::v1::Beacon> {
    sessions.map(|session| beacon(session, 1, 0, Playing)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn every_process_tells_the_whole_audience() {
    let place = Place::shared();
    let (one, other) = (place.start().await, place.start().await);
    one.send(viewers(1..=30)).await;
    one.audience_when((30, 30)).await;
    other.audience_when((30, 30)).await;
    other
        .send((1..=10).map(|session| beacon(session, 2, 0, Ended)).collect())
        .await;
    one.audience_when((20, 30)).await;
    other.audience_when((20, 30)).await;

    // One that comes later knows who is there.
    let third = place.start().await;
    third.audience_when((20, 30)).await;
    for fixture in [one, other, third] {
        fixture.stop().await;
    }
    place.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn partitions_of_a_process_that_goes_away_go_on_with_another_and_everything_counts_once() {
    let place = Place::shared();
    let mut one = place.start().await;
    let mut sent = 0;
    for round in 0..4 {
        let other = place.start().await;
        let first = round * 1_000 + 1;
        one.send(viewers(first..=first + 49)).await;
        // In the middle of it.
        one.kill().await;
        other.send(viewers(first + 50..=first + 99)).await;
        sent += 100;
        other.audience_when((sent, sent)).await;
        one = other;
    }
    // Seen is before stored.
    let summary = one.summary_when(|summary| summary.views >= sent).await;
    assert_eq!((summary.views, summary.unique_viewers), (sent, sent));
    one.stop().await;
    let (ledger, produced) = place.ledger().await;
    assert_eq!((ledger.sum(), produced), (sent as u64, sent as u64));
    place.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_process_that_starts_before_its_server_is_not_ready_and_says_why_until_it_is_there() {
    let home = Home::default().unwrap();
    install(&home, Backend::MongoDb, &mut |_| {}).unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut server =
        tokio::task::block_in_place(|| Server::start(&home, Backend::MongoDb, data.path()).unwrap());
    tokio::task::block_in_place(|| server.kill());
    let place = Place::at(&server.address());
    let fixture = place.start().await;
    let (status, body) = fixture.readiness().await;
    assert_eq!(status, 503);
    assert!(body.contains("\"analytics/mongodb\":\"mongodb"), "{body}");

    tokio::task::block_in_place(|| server.restart().unwrap());
    let ready = async {
        while fixture.readiness().await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready)
        .await
        .expect("ready within patience");
    fixture.send(viewers(1..=5)).await;
    fixture.audience_when((5, 5)).await;
    fixture.summary_when(|summary| summary.views == 5).await;
    fixture.stop().await;
}
