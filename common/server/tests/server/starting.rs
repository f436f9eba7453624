//! A server that listens while its services are still being built.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures::FutureExt as _;
use marquee_auth::{StaticKeys, Verifier};
use marquee_proto::events::v1::GetEventRequest;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_server::{BoxError, Face, Limits, Listener, Service};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::stage::{Server, face};

type Build = oneshot::Sender<Result<Vec<Service>, BoxError>>;

/// A server whose services are built when the test says so.
fn starting() -> (Server, Build) {
    let (build, built) = oneshot::channel();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().to_string();
    let shutdown = CancellationToken::new();
    let waits = Face::new("stage").ready("kafka", || {
        async { Err("kafka: connection refused".to_owned()) }.boxed()
    });
    let built = async move { built.await.unwrap_or_else(|_| Ok(Vec::new())) };
    let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(Vec::new()))));
    let running = tokio::spawn(marquee_server::start(
        listener,
        waits,
        built,
        verifier,
        Limits::default(),
        shutdown.clone(),
    ));
    (Server::running_at(address, shutdown, running), build)
}

#[tokio::test]
async fn until_it_is_built_it_lives_and_says_what_it_waits_for() {
    let (server, _build) = starting();
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["checks"]["stage/kafka"], "kafka: connection refused");
    let health = HealthClient::new(server.channel().await)
        .check(HealthCheckRequest::default())
        .await;
    assert_eq!(health.unwrap().into_inner().status, 1, "alive");

    let rest = server.get("/v1/channels/c1/events/e1").await;
    assert_eq!(
        (rest.status, rest.json()["reason"].as_str()),
        (503, Some("STARTING"))
    );
    let status = EventServiceClient::new(server.channel().await)
        .get_event(GetEventRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "STARTING");
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn a_connection_that_was_open_before_gets_the_services() {
    let (server, build) = starting();
    let mut client = EventServiceClient::new(server.channel().await);
    let get = || GetEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    assert!(client.get_event(get()).await.is_err());

    assert!(
        build
            .send(Ok(vec![Service::new(face(), CancellationToken::new())]))
            .is_ok()
    );
    let answered = async { while client.get_event(get()).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), answered)
        .await
        .unwrap();
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn it_can_be_stopped_before_it_is_built() {
    let (server, build) = starting();
    assert_eq!(server.get("/healthz").await.status, 200);
    server.shutdown.cancel();
    server.running.await.unwrap().unwrap();
    assert!(build.is_closed(), "nobody waits for the services any more");
}

#[tokio::test]
async fn what_can_never_be_built_ends_it() {
    let (server, build) = starting();
    assert!(build.send(Err("no such folder".into())).is_ok());
    let error = server.running.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no such folder");
}
