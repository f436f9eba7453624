//! `marquee-analytics` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-analytics");

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
    let (code, said) = run(&[&RIGHT[..], &["--trace-ratio", "2", "--check-config"]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: trace-ratio: "), "{said}");
}

#[tokio::test]
async fn with_everything_down_it_lives_and_names_what_it_misses() {
    let (kafka, peer) = (free(), format!("http://{}", free()));
    let uri = format!("mongodb://{}/?replicaSet=rs0", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5], options[9]) = (&kafka, &uri, &peer, &peer);
    let mut analytics = Binary::start(BINARY, &options).await.unwrap();
    assert_eq!(analytics.get("/healthz").await.unwrap().status, 200);
    let ready = analytics.readiness(|answer| answer.body.contains("analytics/kafka"));
    assert_eq!(ready.await.unwrap().status, 503);
    analytics.terminate().unwrap();
    assert_eq!(analytics.ended().await.unwrap(), Some(0), "{}", analytics.log());
}
