//! `marquee-search` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_backends::{Backend, address};
use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-search");

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
    "--elasticsearch-url",
    "http://elasticsearch:9200",
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
        said.contains("elasticsearch-index-prefix = \"marquee\" # default\n"),
        "{said}"
    );
    let (code, said) = run(&[&RIGHT[..], &["--elasticsearch-username", "it", "--check-config"]].concat());
    assert_eq!(code, Some(2));
    assert!(said.contains("--elasticsearch-password"), "{said}");
    let mut wrong = RIGHT;
    wrong[3] = "http://it:hunter2@elasticsearch:9200";
    let (code, said) = run(&[&wrong[..], &["--check-config"]].concat());
    assert_eq!(code, Some(2));
    assert!(
        said.contains("use elasticsearch-username and elasticsearch-password"),
        "{said}"
    );
}

#[tokio::test]
async fn with_everything_down_it_lives_and_names_what_it_misses() {
    let (kafka, index, peer) = (free(), format!("http://{}", free()), format!("http://{}", free()));
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &index, &peer);
    let mut search = Binary::start(BINARY, &options).await.unwrap();
    assert_eq!(search.get("/healthz").await.unwrap().status, 200);
    let missing = ["search/kafka", "search/elasticsearch", "search/subscriptions"];
    let ready = search
        .readiness(|answer| missing.iter().all(|name| answer.body.contains(name)))
        .await
        .unwrap();
    assert_eq!(ready.status, 503);
    search.terminate().unwrap();
    assert_eq!(search.ended().await.unwrap(), Some(0), "{}", search.log());
}

#[tokio::test]
#[ignore = "needs programs, kafka, elasticsearch"]
async fn with_its_servers_it_misses_only_the_keys() {
    let (kafka, index) = (address(Backend::Kafka), address(Backend::Elasticsearch));
    let peer = format!("http://{}", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &index, &peer);
    let own = [
        "--kafka-prefix",
        "it-binary.",
        "--elasticsearch-index-prefix",
        "it-binary",
    ];
    let mut search = Binary::start(BINARY, &[&options[..], &own].concat())
        .await
        .unwrap();
    let only_keys = serde_json::json!(["search/subscriptions"]);
    let ready = search.readiness(|answer| answer.json().is_ok_and(|body| body["failing"] == only_keys));
    assert_eq!(ready.await.unwrap().status, 503);
    search.terminate().unwrap();
    assert_eq!(search.ended().await.unwrap(), Some(0), "{}", search.log());
    let indices = format!("{index}/it-binary-*");
    marquee_testkit::http::curl(&["--request", "DELETE", &indices])
        .await
        .unwrap();
}
