//! What all binaries of the fleet share, through a small one; no server is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use marquee_testkit::{Binary, wait_until};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// The example, which cargo builds before it runs the tests.
fn small_binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("examples/small")
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Options {
    folder: TempDir,
    all: Vec<String>,
}

/// A configuration that is right, and whose servers are all down but for the store at `store`.
fn options(store: SocketAddr) -> Options {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "correct horse battery\n").unwrap();
    let all = [
        ("--kafka-brokers", free().to_string()),
        (
            "--mongodb-uri",
            format!("mongodb://it:hunter2@{store}/?replicaSet=rs0"),
        ),
        ("--subscriptions-url", format!("http://{}", free())),
        ("--service-secret", format!("file:{}", secret.display())),
        ("--folder", folder.path().display().to_string()),
    ];
    let all = all
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect();
    Options { folder, all }
}

impl Options {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn start(&self) -> Binary {
        let all: Vec<&str> = self.all.iter().map(String::as_str).collect();
        Binary::start(small_binary(), &all).await.unwrap()
    }

    fn run(&self, more: &[&str]) -> Output {
        run(self.all.iter().map(String::as_str).chain(more.iter().copied()))
    }
}

fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(small_binary()).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_right_configuration_is_shown_with_where_it_is_from_and_no_secret() {
    let options = options(free());
    let file = options.path().join("small.toml");
    std::fs::write(&file, "[kafka]\nreplication = 3\n").unwrap();
    let shown = options.run(&["--config", file.to_str().unwrap(), "--check-config"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let shown = said(&shown);
    assert!(
        shown.contains("mongodb-uri = \"[redacted]\" # command line\n"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("kafka-replication = 3 # {}:2\n", file.display())),
        "{shown}"
    );
    assert!(shown.contains("drain-timeout = 10 # default\n"), "{shown}");
    for secret in ["hunter2", "correct horse"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_wrong_configuration_is_one_line_that_says_what_to_write() {
    let options = options(free());
    let secret = options.path().join("short");
    std::fs::write(&secret, "short").unwrap();
    let file = options.path().join("small.toml");
    std::fs::write(&file, "kafka-broker = \"a:1\"\n").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (
            &["--kafka-brokers", "x"],
            "error: kafka-brokers: \"x\" has no port; write host:port\n",
        ),
        (
            &["--trusted-proxies", "nginx"],
            "error: trusted-proxies: \"nginx\" is no network; write",
        ),
        (
            &["--folder", "/nowhere"],
            "error: folder: /nowhere is no folder\n",
        ),
        (
            &["--service-secret", &format!("file:{}", secret.display())],
            "error: service-secret: must have at least 16 characters, and has 5\n",
        ),
        (
            &["--config", file.to_str().unwrap()],
            "small.toml:1: unknown key `kafka-broker`; did you mean `kafka-brokers`?\n",
        ),
        (
            &["--mongodb-uri", "mongodb://a:1"],
            "error: mongodb-uri: names no replica set",
        ),
    ];
    for (wrong, complaint) in cases {
        // The last of an option counts for none: it must be given once.
        let kept = options.all.chunks(2).filter(|pair| pair[0] != wrong[0]).flatten();
        let arguments = kept.map(String::as_str).chain(wrong.iter().copied());
        let output = run(arguments.chain(["--check-config"]));
        let text = said(&output);
        assert_ne!(output.status.code(), Some(0), "{text}");
        assert!(text.contains(complaint), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn help_is_grouped_and_has_units_examples_and_signals() {
    let help = said(&run(["--help"]));
    for part in [
        "Listening:",
        "Kafka, the bus:",
        "MongoDB, the store:",
        "Peers:",
        "Identity:",
        "Starting and stopping:",
        "Telemetry:",
        "Configuration:",
        "--drain-delay <SECONDS>",
        "[env: MARQUEE_KAFKA_BROKERS=]",
        "Where values come from:",
        "Examples:",
        "/readyz",
        "SIGTERM",
    ] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
}

#[test]
fn the_reference_is_there_without_any_option() {
    let reference = run(["--reference"]);
    assert!(reference.status.success());
    assert!(
        said(&reference)
            .contains("| `--kafka-brokers HOST:PORT,...` | `MARQUEE_KAFKA_BROKERS` | *required* |")
    );
}

#[test]
fn an_address_in_use_is_said_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = options(free()).run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(
        text.contains(&format!("error: cannot listen on {address}")),
        "{text}"
    );
    assert!(text.contains("choose another address with --listen"), "{text}");
}

#[tokio::test]
async fn what_is_down_at_the_start_is_named_and_waited_for() {
    let store = free();
    let options = options(store);
    let mut small = options.start().await;
    assert_eq!(small.get("/healthz").await.unwrap().status, 200);
    let ready = small
        .readiness(|answer| answer.body.contains("small/start"))
        .await
        .unwrap();
    assert_eq!(ready.status, 503);
    let failing = ready.json().unwrap()["failing"].clone();
    for missing in ["small/kafka", "small/mongodb", "small/subscriptions"] {
        assert!(failing.as_array().unwrap().contains(&missing.into()), "{failing}");
    }
    assert_eq!(small.get("/held").await.unwrap().status, 503, "it is starting");
    let probe = Command::new(small_binary())
        .arg("--probe")
        .env("MARQUEE_LISTEN", &small.listens.address)
        .output()
        .unwrap();
    assert_eq!(probe.status.code(), Some(1));
    assert!(
        said(&probe).starts_with("error: not ready: small/kafka, "),
        "{}",
        said(&probe)
    );

    let listener = TcpListener::bind(store).unwrap();
    let built = small.readiness(|answer| !answer.body.contains("small/start"));
    let built = built.await.unwrap();
    assert_eq!(built.status, 503);
    assert!(built.body.contains("small/kafka") && built.body.contains("small/subscriptions"));
    assert!(small.log().contains("everything is there now"), "{}", small.log());
    drop(listener);

    small.terminate().unwrap();
    assert_eq!(small.ended().await.unwrap(), Some(0), "{}", small.log());
}

#[tokio::test]
async fn it_can_be_stopped_while_it_waits() {
    let mut small = options(free()).start().await;
    assert_eq!(small.get("/healthz").await.unwrap().status, 200);
    small.terminate().unwrap();
    assert_eq!(small.ended().await.unwrap(), Some(0), "{}", small.log());
}

/// A process with its store, and a request that it has begun to answer.
async fn with_a_request_in_flight(
    options: &Options,
) -> (Binary, tokio::task::JoinHandle<anyhow::Result<String>>) {
    let small = options.start().await;
    small
        .readiness(|answer| !answer.body.contains("small/start"))
        .await
        .unwrap();
    let url = format!("http://{}/held", small.listens.address);
    let request = tokio::spawn(async move { Ok(marquee_testkit::http::get(&url).await?.body) });
    let entered = options.path().join("entered");
    wait_until("the request to arrive", LIMIT, async || entered.exists())
        .await
        .unwrap();
    (small, request)
}

async fn said_that_it_stops(small: &Binary) {
    wait_until("it to stop", LIMIT, async || {
        small.log().contains("stopping; a second signal")
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = options(store.local_addr().unwrap());
    let (mut small, request) = with_a_request_in_flight(&options).await;

    small.terminate().unwrap();
    said_that_it_stops(&small).await;
    std::fs::write(options.path().join("release"), b"").unwrap();

    assert_eq!(request.await.unwrap().unwrap(), "released");
    assert_eq!(small.ended().await.unwrap(), Some(0), "{}", small.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = options(store.local_addr().unwrap());
    let (mut small, request) = with_a_request_in_flight(&options).await;

    small.terminate().unwrap();
    said_that_it_stops(&small).await;
    small.terminate().unwrap();

    assert_eq!(small.ended().await.unwrap(), Some(1), "{}", small.log());
    assert!(
        small.log().contains("error: stopped at once by a second signal"),
        "{}",
        small.log()
    );
    assert!(request.await.unwrap().is_err(), "nobody answered");
}
