//! Several replicas of the service on one replica set of MongoDB. The bus is the embedded one, which they share.

use std::time::Duration;

use marquee_backends::Backend;
use marquee_documents::Location;
use marquee_documents::mongodb::Settings;
use marquee_proto::events::v1 as proto;
use tonic::Streaming;
use uuid::Uuid;

use super::events::update;
use super::fixture::{Fixture, Home, event};

/// Nothing in here takes longer when it works.
const PATIENCE: Duration = Duration::from_secs(30);

/// In a database of its own.
async fn start() -> Fixture {
    let settings = Settings {
        uri: marquee_backends::address(Backend::MongoDb),
        database: format!("events_{}", Uuid::new_v4().simple()),
    };
    Fixture::start_in(Home::new(
        tempfile::tempdir().unwrap(),
        Location::MongoDb(settings),
    ))
    .await
}

async fn watch(fixture: &Fixture, name: &str) -> Streaming<proto::WatchEventResponse> {
    let request = proto::WatchEventRequest { name: name.into() };
    fixture.events().watch_event(request).await.unwrap().into_inner()
}

async fn next(watch: &mut Streaming<proto::WatchEventResponse>) -> proto::Event {
    let message = tokio::time::timeout(PATIENCE, watch.message()).await;
    let message = message.expect("a message within patience").unwrap();
    message.unwrap().event.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn whoever_watches_sees_each_change_whichever_replica_makes_it() {
    let one = start().await;
    let two = one.replica().await;
    let channel = one.create_channel("jazz").await;
    let scheduled = one.schedule(&channel, event("First", 3_600)).await;
    let mut watches = [
        watch(&one, &scheduled.name).await,
        watch(&two, &scheduled.name).await,
    ];
    for watch in &mut watches {
        assert_eq!(next(watch).await.title, "First");
    }
    for (n, replica) in [&one, &two, &one, &two].into_iter().enumerate() {
        let title = format!("Title {n}");
        let change = proto::Event {
            title: title.clone(),
            etag: String::new(),
            ..scheduled.clone()
        };
        replica
            .events()
            .update_event(replica.of("creator", update(change, &["title"])))
            .await
            .unwrap();
        for watch in &mut watches {
            assert_eq!(next(watch).await.title, title);
        }
    }
}
