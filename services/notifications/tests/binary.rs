//! `marquee-notifications` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-notifications");

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

const RIGHT: [&str; 8] = [
    "--kafka-brokers",
    "kafka:9092",
    "--mongodb-uri",
    "mongodb://it:hunter2@mongodb:27017/?replicaSet=rs0",
    "--subscriptions-url",
    "http://subscriptions:8080",
    "--service-secret",
    "correct horse battery",
];

#[test]
fn what_is_forgotten_before_it_may_be_told_is_refused() {
    let (code, said) = run(&[&RIGHT[..], &["--check-config"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("retention = 90 # default\n"), "{said}");
    let short = ["--retention", "1", "--notify-within", "24", "--check-config"];
    let (code, said) = run(&[&RIGHT[..], &short].concat());
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: retention: 1 days must be longer"),
        "{said}"
    );
}

#[tokio::test]
async fn with_everything_down_it_lives_and_names_what_it_misses() {
    let (kafka, peer) = (free(), format!("http://{}", free()));
    let uri = format!("mongodb://{}/?replicaSet=rs0", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &uri, &peer);
    let mut notifications = Binary::start(BINARY, &options).await.unwrap();
    assert_eq!(notifications.get("/healthz").await.unwrap().status, 200);
    let missing = ["notifications/kafka", "notifications/mongodb"];
    let ready = notifications.readiness(|answer| missing.iter().all(|name| answer.body.contains(name)));
    assert_eq!(ready.await.unwrap().status, 503);
    notifications.terminate().unwrap();
    assert_eq!(
        notifications.ended().await.unwrap(),
        Some(0),
        "{}",
        notifications.log()
    );
}
