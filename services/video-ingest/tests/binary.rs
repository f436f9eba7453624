//! `marquee-video-ingest` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_backends::{Backend, address};
use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-video-ingest");

/// An address that nobody listens on.
fn free() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(BINARY).args(arguments).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

const RIGHT: [&str; 10] = [
    "--kafka-brokers",
    "kafka:9092",
    "--mongodb-uri",
    "mongodb://it:hunter2@mongodb:27017/?replicaSet=rs0",
    "--subscriptions-url",
    "http://subscriptions:8080",
    "--service-secret",
    "correct horse battery",
    "--events-url",
    "http://events:8080",
];

#[test]
fn the_configuration_is_checked_without_any_server() {
    let (code, said) = run(&[&RIGHT[..], &["--check-config"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("rtmp-listen = \"127.0.0.1:1935\" # default\n"),
        "{said}"
    );
    let (code, said) = run(&[&RIGHT[..], &["--segment-duration", "8", "--check-config"]].concat());
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: live-window: 20 seconds must hold three segments of 8"),
        "{said}"
    );
}

#[test]
fn an_address_for_encoders_that_is_in_use_is_said_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = run(&[
        &RIGHT[..],
        &["--listen", "127.0.0.1:0", "--rtmp-listen", &address],
    ]
    .concat());
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("error: cannot listen on {address}")),
        "{said}"
    );
    assert!(said.contains("--rtmp-listen"), "{said}");
}

#[tokio::test]
async fn encoders_are_refused_until_it_can_take_their_streams() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("mongodb://{}/?replicaSet=rs0", free());
    let (kafka, peer) = (free(), format!("http://{}", free()));
    let mut options = RIGHT;
    (options[1], options[3], options[5], options[9]) = (&kafka, &uri, &peer, &peer);
    let own = [
        "--rtmp-listen",
        "127.0.0.1:0",
        "--data",
        folder.path().to_str().unwrap(),
    ];
    let mut ingest = Binary::start(BINARY, &[&options[..], &own].concat())
        .await
        .unwrap();
    let rtmp = ingest.listens.rtmp.clone().unwrap();
    assert_eq!(ingest.get("/healthz").await.unwrap().status, 200);
    let ready = ingest
        .readiness(|answer| answer.body.contains("video-ingest/mongodb"))
        .await;
    assert_eq!(ready.unwrap().status, 503);
    let refused = std::net::TcpStream::connect(&rtmp).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    ingest.terminate().unwrap();
    assert_eq!(ingest.ended().await.unwrap(), Some(0), "{}", ingest.log());
}

#[tokio::test]
#[ignore = "needs programs, kafka, mongodb"]
async fn with_its_servers_it_takes_encoders_and_misses_only_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (kafka, uri) = (address(Backend::Kafka), address(Backend::MongoDb));
    let peer = format!("http://{}", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5], options[9]) = (&kafka, &uri, &peer, &peer);
    let data = folder.path().to_str().unwrap();
    let own = [
        "--kafka-prefix",
        "it-binary.",
        "--mongodb-database",
        "it_binary_ingest",
    ];
    let own = [&own[..], &["--rtmp-listen", "127.0.0.1:0", "--data", data]].concat();
    let mut ingest = Binary::start(BINARY, &[&options[..], &own].concat())
        .await
        .unwrap();
    let only_keys = serde_json::json!(["video-ingest/subscriptions"]);
    let ready = ingest.readiness(|answer| answer.json().is_ok_and(|body| body["failing"] == only_keys));
    assert_eq!(ready.await.unwrap().status, 503);
    let rtmp = ingest.listens.rtmp.clone().unwrap();
    assert!(std::net::TcpStream::connect(rtmp).is_ok());
    ingest.terminate().unwrap();
    assert_eq!(ingest.ended().await.unwrap(), Some(0), "{}", ingest.log());
}
