//! `marquee-events` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_backends::{Backend, address};
use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-events");

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
fn the_configuration_is_checked_without_any_server() {
    let (code, said) = run(&[&RIGHT[..], &["--check-config"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("mongodb-uri = \"[redacted]\" # command line\n"),
        "{said}"
    );
    assert!(
        said.contains("kafka-brokers = \"kafka:9092\" # command line\n"),
        "{said}"
    );
    let (code, said) = run(&[&RIGHT[..], &["--mongodb-database", "a.b", "--check-config"]].concat());
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: mongodb-database: \"a.b\" must be"),
        "{said}"
    );
}

#[test]
fn it_asks_for_nothing_that_it_does_not_use() {
    let (_, help) = run(&["--help"]);
    assert!(help.starts_with("Channels and live events"), "{help}");
    for other in [
        "--events-url",
        "--postgres-url",
        "--elasticsearch-url",
        "--rtmp-listen",
    ] {
        assert!(!help.contains(other), "{other}");
    }
}

#[tokio::test]
async fn with_everything_down_it_lives_and_names_what_it_misses() {
    let (kafka, mongodb, peer) = (free(), free(), format!("http://{}", free()));
    let uri = format!("mongodb://{mongodb}/?replicaSet=rs0");
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &uri, &peer);
    let mut events = Binary::start(BINARY, &options).await.unwrap();
    assert_eq!(events.get("/healthz").await.unwrap().status, 200);
    let missing = ["events/kafka", "events/mongodb", "events/subscriptions"];
    let ready = events
        .readiness(|answer| missing.iter().all(|name| answer.body.contains(name)))
        .await
        .unwrap();
    assert_eq!(ready.status, 503);
    let failing = ready.json().unwrap()["failing"].clone();
    for name in missing {
        assert!(failing.as_array().unwrap().contains(&name.into()), "{failing}");
    }
    events.terminate().unwrap();
    assert_eq!(events.ended().await.unwrap(), Some(0), "{}", events.log());
}

#[tokio::test]
#[ignore = "needs programs, kafka, mongodb"]
async fn with_its_servers_it_misses_only_the_keys() {
    let kafka = address(Backend::Kafka);
    let uri = address(Backend::MongoDb);
    let peer = format!("http://{}", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &uri, &peer);
    let own = [
        "--kafka-prefix",
        "it-binary.",
        "--mongodb-database",
        "it_binary_events",
    ];
    let mut events = Binary::start(BINARY, &[&options[..], &own].concat())
        .await
        .unwrap();
    let only_keys = serde_json::json!(["events/subscriptions"]);
    let ready = events.readiness(|answer| answer.json().is_ok_and(|body| body["failing"] == only_keys));
    assert_eq!(ready.await.unwrap().status, 503);
    events.terminate().unwrap();
    assert_eq!(events.ended().await.unwrap(), Some(0), "{}", events.log());
}
