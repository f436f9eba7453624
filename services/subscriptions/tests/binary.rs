//! `marquee-subscriptions` as a process: its configuration, what it waits for, and how it becomes ready.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::process::{Command, Output};

use marquee_backends::{Backend, address};
use marquee_testkit::Binary;

const BINARY: &str = env!("CARGO_BIN_EXE_marquee-subscriptions");

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
    "--postgres-url",
    "postgres://it:hunter2@postgres:5432/subscriptions",
    "--events-url",
    "http://events:8080",
    "--service-secret",
    "correct horse battery",
];

#[test]
fn the_configuration_is_checked_without_any_server() {
    let (code, said) = run(&[&RIGHT[..], &["--check-config"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("postgres-url = \"[redacted]\" # command line\n"),
        "{said}"
    );
    assert!(!said.contains("hunter2") && !said.contains("horse"), "{said}");
    let mut wrong = RIGHT;
    wrong[3] = "postgres://it:hunter2@postgres";
    let (code, said) = run(&[&wrong[..], &["--check-config"]].concat());
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: postgres-url: there is no database"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn with_everything_down_it_lives_and_names_what_it_misses() {
    let (kafka, peer) = (free(), format!("http://{}", free()));
    let url = format!("postgres://it:secret@{}/subscriptions", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &url, &peer);
    let mut subscriptions = Binary::start(BINARY, &options).await.unwrap();
    assert_eq!(subscriptions.get("/healthz").await.unwrap().status, 200);
    let missing = [
        "subscriptions/kafka",
        "subscriptions/postgres",
        "subscriptions/subscriptions",
    ];
    let ready = subscriptions
        .readiness(|answer| missing.iter().all(|name| answer.body.contains(name)))
        .await
        .unwrap();
    assert_eq!(ready.status, 503);
    subscriptions.terminate().unwrap();
    assert_eq!(
        subscriptions.ended().await.unwrap(),
        Some(0),
        "{}",
        subscriptions.log()
    );
}

#[tokio::test]
#[ignore = "needs programs, kafka, postgres"]
async fn with_its_servers_it_is_ready_and_gives_its_own_keys() {
    let (kafka, server) = (address(Backend::Kafka), address(Backend::Postgres));
    let name = format!("it_binary_{}", uuid::Uuid::new_v4().simple());
    let pool = sqlx::PgPool::connect(&server).await.unwrap();
    let statement = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&pool);
    statement(format!("CREATE DATABASE {name}")).await.unwrap();
    let (before, _) = server.rsplit_once('/').unwrap();
    let url = format!("{before}/{name}");
    let peer = format!("http://{}", free());
    let mut options = RIGHT;
    (options[1], options[3], options[5]) = (&kafka, &url, &peer);
    let own = ["--kafka-prefix", "it-binary."];
    let mut subscriptions = Binary::start(BINARY, &[&options[..], &own].concat())
        .await
        .unwrap();

    subscriptions
        .readiness(|answer| answer.status == 200)
        .await
        .unwrap();

    subscriptions.terminate().unwrap();
    assert_eq!(
        subscriptions.ended().await.unwrap(),
        Some(0),
        "{}",
        subscriptions.log()
    );
    statement(format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
}
