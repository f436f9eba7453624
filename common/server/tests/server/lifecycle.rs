use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use marquee_bus::EventBus as _;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::outbox::relay;
use marquee_bus::outbox::sqlite::{MIGRATION, SqliteOutbox, insert};
use marquee_bus::testing::{message, topic};
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::*;
use marquee_server::{Error, Face, Limits, Listener, Service};
use marquee_sqlite::Database;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::stage::{face, start, start_with};

fn service() -> Service {
    Service::new(face(), CancellationToken::new())
}

#[tokio::test]
async fn a_shutdown_lets_what_is_in_flight_end_and_ends_streams() {
    let server = start();
    let mut events = EventServiceClient::new(server.channel().await);
    let request = WatchEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    let mut stream = events.watch_event(request).await.unwrap().into_inner();
    stream.message().await.unwrap();

    server.shutdown.cancel();

    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "SHUTTING_DOWN");
    drop((stream, events));
    server.running.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(&server.address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_ends_event_streams_of_http() {
    let server = start();
    let response = server
        .open("GET", "/v1/channels/c1/events/e1:watch", &[], "")
        .await;
    server.shutdown.cancel();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("SHUTTING_DOWN"));
    server.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_dropped_after_the_limit() {
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = start_with(vec![service()], limits);
    let mut events = EventServiceClient::new(server.channel().await);
    let slow = GetEventRequest {
        name: "channels/c1/events/slow".to_owned(),
    };
    let waiting = tokio::spawn(async move { events.get_event(slow).await });
    // The request is on its way before the answer to this one.
    server.get("/healthz").await;
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn an_early_end_of_a_task_stops_everything() {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let other = async move {
        told.cancelled().await;
        Ok::<_, std::io::Error>(())
    };
    let service = Service::new(face(), stop.clone())
        .task("outbox", other)
        .task("consumer", async {
            Err(std::io::Error::other("the log is gone"))
        });
    let error = start_with(vec![service], Limits::default())
        .running
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.to_string(), "task consumer failed: the log is gone");
    assert!(stop.is_cancelled());

    let service = self::service().task("reaper", async { Ok::<_, std::io::Error>(()) });
    let error = start_with(vec![service], Limits::default())
        .running
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, Error::Ended { task: "reaper" }), "{error}");

    let service = self::service().task("fold", async { panic!("a bug") as Result<(), std::io::Error> });
    let error = start_with(vec![service], Limits::default())
        .running
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.to_string(), "task fold panicked");
}

#[tokio::test]
async fn it_is_not_serving_before_tasks_are_told_to_stop() {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let service = Service::new(face(), stop.clone()).task("consumer", async move {
        told.cancelled().await;
        Ok::<_, std::io::Error>(())
    });
    let limits = Limits {
        drain_delay: Duration::from_secs(60),
        ..Limits::default()
    };
    let server = start_with(vec![service], limits);
    let mut health = HealthClient::new(server.channel().await);
    let mut watched = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watched.message().await.unwrap().unwrap().status,
        ServingStatus::Serving as i32
    );

    server.shutdown.cancel();

    assert_eq!(
        watched.message().await.unwrap().unwrap().status,
        ServingStatus::NotServing as i32
    );
    assert_eq!(server.get("/readyz").await.status, 503);
    assert_eq!(server.get("/healthz").await.status, 200);
    let request = GetEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    EventServiceClient::new(server.channel().await)
        .get_event(request)
        .await
        .unwrap();
    assert!(!stop.is_cancelled(), "consumers go on during the delay");
    server.running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_acknowledged_while_the_server_stops_is_on_the_bus_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("store.sqlite"), &[MIGRATION]).unwrap();
    let bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
    let topic = topic(1);
    bus.declare(&[topic]).await.unwrap();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let write = {
        let (database, begun, go_on) = (database.clone(), begun.clone(), go_on.clone());
        move || async move {
            begun.notify_one();
            go_on.notified().await;
            let event = message(&topic, "k", "acknowledged");
            database.write(move |tx| insert(tx, &event)).await.unwrap();
        }
    };
    let stop = CancellationToken::new();
    let told = stop.clone();
    let outbox = Arc::new(SqliteOutbox::new(database));
    let service = Service::new(
        face().http(Router::new().route("/write", post(write))),
        stop.clone(),
    )
    .task("consumer", async move {
        told.cancelled().await;
        Ok::<_, std::io::Error>(())
    })
    .relay("outbox", |stop| relay(outbox, bus.clone(), stop));
    let server = start_with(vec![service], Limits::default());
    let address = server.address.clone();
    let asking = async {
        let answer = server.post("/write", "").await;
        assert_eq!(answer.status, 200);
    };
    let stopping = async {
        begun.notified().await;
        server.shutdown.cancel();
        stop.cancelled().await;
        // Nobody is let in any more: whatever was told to stop has been told by now.
        until_refused(&address).await;
        go_on.notify_one();
    };
    tokio::join!(asking, stopping);
    server.running.await.unwrap().unwrap();

    assert_eq!(bus.end_offsets(&topic).await.unwrap(), [1]);
}

async fn until_refused(address: &str) {
    let trying = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(5), trying).await;
    assert!(refused.is_ok(), "somebody is still let in");
}

#[tokio::test]
async fn readiness_names_what_fails() {
    let broken = Arc::new(AtomicBool::new(false));
    let check = Arc::clone(&broken);
    let face = face()
        .ready("store", || async { Ok(()) }.boxed())
        .merge(Face::new("search").ready("index", move || {
            let broken = check.load(Ordering::Relaxed);
            async move {
                if broken {
                    Err("the index is locked".to_owned())
                } else {
                    Ok(())
                }
            }
            .boxed()
        }));
    let server = start_with(
        vec![Service::new(face, CancellationToken::new())],
        Limits::default(),
    );
    assert_eq!(server.get("/readyz").await.status, 200);

    broken.store(true, Ordering::Relaxed);
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["detail"], "not ready: search/index");
    assert_eq!(answer.json()["checks"]["search/index"], "the index is locked");
    assert_eq!(answer.json()["checks"]["stage/store"], "ok");
    assert_eq!(server.get("/healthz").await.status, 200, "it lives");
}

#[tokio::test]
async fn grpc_health_tells_each_service_apart() {
    let face = face()
        .merge(Face::new("other"))
        .ready("store", || async { Err("gone".to_owned()) }.boxed());
    let server = start_with(
        vec![Service::new(face, CancellationToken::new())],
        Limits::default(),
    );
    let mut health = HealthClient::new(server.channel().await);
    let service = |name: &str| HealthCheckRequest {
        service: name.to_owned(),
    };
    // "other" has no RPCs, so that its broken store makes none of these unready.
    let mut watched = health
        .watch(service("marquee.events.v1.EventService"))
        .await
        .unwrap()
        .into_inner();
    while watched.message().await.unwrap().unwrap().status != ServingStatus::Serving as i32 {}
    assert_eq!(
        health.check(service("")).await.unwrap().into_inner().status,
        ServingStatus::Serving as i32
    );
    assert_eq!(
        health.check(service("nobody")).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn services_are_merged_on_one_address() {
    let first = Service::new(Face::new("first"), CancellationToken::new());
    let server = start_with(vec![first, service()], Limits::default());
    assert_eq!(server.get("/v1/channels/c1/events/e1").await.status, 200);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Listener::bind(listener.local_addr()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {}", listener.local_addr())),
        "{error}"
    );
}
