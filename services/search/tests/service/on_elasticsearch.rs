//! Processes that share an index on a real server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use marquee_backends::{Backend, Home, Server, install};
use marquee_bus::EventBus;
use marquee_bus::embedded::{Embedded, Options};
use marquee_proto::search::v1::SearchRequest;
use marquee_proto::topic;
use marquee_search::store::elasticsearch::Settings;
use marquee_search::store::{Batch, Elasticsearch, Positions, Store as _};
use marquee_search::{Config, Location};
use tempfile::TempDir;

use crate::fixture::{Fixture, event, live, scheduled};

const PATIENCE: Duration = Duration::from_secs(60);

/// An index of its own on the server that all tests share, and a bus.
struct Fleet {
    bus: Arc<dyn EventBus>,
    settings: Settings,
    _folder: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            bus: Embedded::open(&folder.path().join("bus"), Options::default()).unwrap(),
            settings: Settings {
                index_prefix: format!("it-{}", uuid::Uuid::new_v4().simple()),
                ..Settings::new(marquee_backends::address(Backend::Elasticsearch))
            },
            _folder: folder,
        }
    }

    async fn process(&self) -> Fixture {
        self.process_on(self.bus.clone()).await
    }

    async fn process_on(&self, bus: Arc<dyn EventBus>) -> Fixture {
        let config = Config::at(Location::Elasticsearch(self.settings.clone()));
        Fixture::start_on(bus, tempfile::tempdir().unwrap(), config).await
    }

    /// Events of as many keys, so that they lie in all partitions.
    async fn publish(&self, ids: std::ops::Range<usize>) {
        for n in ids {
            let id = format!("e{n}");
            let key = format!("channels/c/events/{id}");
            let event = scheduled(event(&id, "Jazz", 1));
            let outgoing = marquee_bus::event(&key, &event);
            self.bus.publish(vec![outgoing]).await.unwrap();
        }
    }

    async fn end(self) {
        Elasticsearch::remove(&self.settings).await.unwrap();
    }
}

async fn ask(process: &Fixture) -> Result<i64, tonic::Status> {
    let request = SearchRequest {
        query: "jazz".into(),
        page_size: 1,
        ..SearchRequest::default()
    };
    process.ask(request).await.map(|found| found.total_size)
}

async fn total(process: &Fixture) -> i64 {
    ask(process).await.unwrap()
}

/// Searches until so many are found. A server that was started again opens its indices first.
async fn until_total(process: &Fixture, expected: i64) {
    let began = Instant::now();
    loop {
        let found = ask(process).await;
        match &found {
            Ok(found) if *found == expected => return,
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}"),
            Ok(_) => {}
        }
        assert!(began.elapsed() < PATIENCE, "{found:?} of {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn processes_share_the_partitions_and_nothing_is_lost_when_one_comes_stops_or_is_killed() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    fleet.publish(0..60).await;
    let two = fleet.process().await;
    fleet.publish(60..120).await;
    one.stop().await;
    fleet.publish(120..180).await;
    let three = fleet.process().await;
    fleet.publish(180..240).await;
    two.kill().await;
    fleet.publish(240..300).await;
    until_total(&three, 300).await;
    three.stop().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn a_process_goes_on_where_another_has_brought_the_index() {
    let fleet = Fleet::new();
    let one = fleet.process().await;
    fleet.publish(0..30).await;
    until_total(&one, 30).await;
    one.kill().await;
    // While the group's offsets on the bus stay, another brings the index further; of which only the positions matter here.
    fleet.publish(30..40).await;
    let mut positions = Positions::new();
    for topic in [topic::CHANNEL, topic::EVENT] {
        let ends = fleet.bus.end_offsets(&topic).await.unwrap();
        positions.extend((0..).zip(ends).map(|(n, end)| ((topic.name.to_owned(), n), end)));
    }
    let store = Elasticsearch::open(&fleet.settings).unwrap();
    let further = Batch {
        positions,
        ..Batch::default()
    };
    store.apply(further).await.unwrap();
    let two = fleet.process().await;
    fleet.publish(40..41).await;
    until_total(&two, 31).await;
    two.stop().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn a_rebuild_is_done_by_the_running_processes_without_an_empty_moment() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.process().await, fleet.process().await);
    fleet.publish(0..50).await;
    until_total(&one, 50).await;
    // What no rebuild from the bus brings back.
    let store = Elasticsearch::open(&fleet.settings).unwrap();
    let stray = Batch {
        documents: vec![stray()],
        ..Batch::default()
    };
    store.apply(stray).await.unwrap();
    assert_eq!(total(&one).await, 51);

    let location = Location::Elasticsearch(fleet.settings.clone());
    marquee_search::rebuild(location).await.unwrap();
    let began = Instant::now();
    let mut seen = BTreeSet::new();
    while seen.last() != Some(&50) && seen.first() != Some(&50) {
        seen.insert(total(&two).await);
        assert!(began.elapsed() < PATIENCE, "{seen:?}");
    }
    assert!(seen.is_subset(&BTreeSet::from([50, 51])), "{seen:?}");
    fleet.publish(50..60).await;
    until_total(&one, 60).await;
    one.stop().await;
    two.stop().await;
    fleet.end().await;
}

fn stray() -> marquee_search::domain::Document {
    use marquee_search::domain::{ChannelDocument, Document, Version};
    Document::Channel(ChannelDocument {
        name: "channels/stray".into(),
        handle: "stray".into(),
        display_name: "Jazz".into(),
        description: String::new(),
        language: String::new(),
        tags: vec![],
        version: Version(1),
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn an_index_of_another_bus_is_built_anew_by_the_processes_of_the_new_one() {
    let mut fleet = Fleet::new();
    let one = fleet.process().await;
    fleet.publish(0..50).await;
    until_total(&one, 50).await;
    one.stop().await;
    let folder = tempfile::tempdir().unwrap();
    fleet.bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
    let (one, two) = (fleet.process().await, fleet.process().await);
    fleet.publish(100..103).await;
    until_total(&one, 3).await;
    one.stop().await;
    two.stop().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn a_server_that_comes_later_or_goes_for_a_while_is_waited_for_and_named() {
    let home = Home::default().unwrap();
    let data = tempfile::tempdir().unwrap();
    let start = || {
        install(&home, Backend::Elasticsearch, &mut |_| {}).unwrap();
        let mut server = Server::start(&home, Backend::Elasticsearch, data.path()).unwrap();
        server.kill();
        server
    };
    let mut server = tokio::task::block_in_place(start);
    let mut fleet = Fleet::new();
    fleet.settings = Settings::new(server.address());

    let process = fleet.process().await;
    fleet.publish(0..20).await;
    let status = process.ask(SearchRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    let (ready, told) = process.readiness().await;
    assert!(
        !ready && told.contains("search/elasticsearch") && told.contains("cannot be reached"),
        "{told}"
    );

    tokio::task::block_in_place(|| server.restart().unwrap());
    wait_until_ready(&process).await;
    until_total(&process, 20).await;

    server.kill();
    fleet.publish(20..40).await;
    tokio::task::block_in_place(|| server.restart().unwrap());
    wait_until_ready(&process).await;
    until_total(&process, 40).await;
    process.stop().await;
}

async fn wait_until_ready(process: &Fixture) {
    let began = Instant::now();
    while !process.readiness().await.0 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Nothing is asserted: it tells how long things take here.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn how_long_until_an_event_is_found_is_told() {
    let fleet = Fleet::new();
    let process = fleet.process().await;
    fleet.publish(0..1).await;
    until_total(&process, 1).await;
    let mut took = Vec::new();
    for n in 0..40 {
        let second = n + 2;
        let title = format!("Midnight{n}");
        let event = live(event("e", &title, second));
        let began = Instant::now();
        fleet
            .bus
            .publish(vec![marquee_bus::event("channels/c/events/e", &event)])
            .await
            .unwrap();
        process.find_until(&title, |found| !found.is_empty()).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!(
        "published to found: p50 {:?}, p95 {:?}, most {:?}",
        took[20], took[38], took[39]
    );
    process.stop().await;
    fleet.end().await;
}

#[cfg(feature = "fleet")]
mod on_kafka {
    use marquee_bus::kafka::{Kafka, Settings};

    use super::*;

    /// A broker of our own: its topics have names that are the same everywhere.
    fn broker(data: &TempDir) -> Server {
        let home = Home::default().unwrap();
        tokio::task::block_in_place(|| {
            install(&home, Backend::Kafka, &mut |_| {}).unwrap();
            Server::start(&home, Backend::Kafka, data.path()).unwrap()
        })
    }

    fn client(broker: &Server) -> Arc<Kafka> {
        let settings = Settings::new(broker.address());
        Kafka::open(settings).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs elasticsearch, needs kafka"]
    async fn a_real_group_shares_the_partitions_and_nothing_is_lost_when_one_comes_stops_or_is_killed() {
        let data = tempfile::tempdir().unwrap();
        let broker = broker(&data);
        let fleet = Fleet {
            bus: client(&broker),
            ..Fleet::new()
        };
        let process = async || fleet.process_on(client(&broker)).await;
        let one = process().await;
        fleet.publish(0..60).await;
        let two = process().await;
        fleet.publish(60..120).await;
        until_total(&one, 120).await;
        one.stop().await;
        fleet.publish(120..180).await;
        let three = process().await;
        fleet.publish(180..240).await;
        two.kill().await;
        fleet.publish(240..300).await;
        until_total(&three, 300).await;

        let location = Location::Elasticsearch(fleet.settings.clone());
        marquee_search::rebuild(location).await.unwrap();
        let four = process().await;
        fleet.publish(300..330).await;
        until_total(&four, 330).await;
        let store = Elasticsearch::open(&fleet.settings).unwrap();
        let began = Instant::now();
        while store.follow().await.unwrap().is_filling {
            assert!(total(&three).await >= 300);
            assert!(began.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until_total(&three, 330).await;
        assert_eq!(store.positions().await.unwrap().values().sum::<u64>(), 330);
        three.stop().await;
        four.stop().await;
        fleet.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs elasticsearch, needs kafka"]
    async fn a_broker_that_comes_later_or_goes_for_a_while_is_waited_for() {
        let data = tempfile::tempdir().unwrap();
        let mut broker = broker(&data);
        broker.kill();
        let fleet = Fleet {
            bus: client(&broker),
            ..Fleet::new()
        };
        let process = fleet.process_on(client(&broker)).await;
        tokio::task::block_in_place(|| broker.restart().unwrap());
        fleet.bus.declare(&[topic::EVENT]).await.unwrap();
        fleet.publish(0..20).await;
        until_total(&process, 20).await;
        broker.kill();
        assert_eq!(total(&process).await, 20);
        tokio::task::block_in_place(|| broker.restart().unwrap());
        fleet.publish(20..40).await;
        until_total(&process, 40).await;
        process.stop().await;
        fleet.end().await;
    }
}
