//! Every server is really fetched, started, killed, stopped, paused and started again. They are private to each test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "what it measures is read by whoever runs it with --nocapture"
)]

mod probe;

use std::time::{Duration, Instant};

use marquee_backends::{Backend, Home, Record, Server, install};

/// A server that is installed, started in a folder of its own, and says how long that took.
fn server(backend: Backend) -> (Server, tempfile::TempDir) {
    let home = Home::default().unwrap();
    let begun = Instant::now();
    install(&home, backend, &mut |line| println!("{backend}: {line}")).unwrap();
    let data = tempfile::tempdir().unwrap();
    let installed = begun.elapsed();
    let begun = Instant::now();
    let server = Server::start(&home, backend, data.path()).unwrap();
    println!(
        "{backend} {}: installed in {installed:.1?}, up in {:.1?} with {} MB at {}",
        server.version(),
        begun.elapsed(),
        server.resident_bytes() / 1_000_000,
        server.address()
    );
    (server, data)
}

/// All of a server's promises, in one test each so that it is started once.
macro_rules! server {
    ($name:ident, $backend:expr) => {
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs servers"]
            fn answers_after_a_kill_a_stop_and_a_pause_on_the_same_ports() {
                lives($backend);
            }
        }
    };
}

server!(kafka, Backend::Kafka);
server!(mongodb, Backend::MongoDb);
server!(postgres, Backend::Postgres);
server!(elasticsearch, Backend::Elasticsearch);
server!(elasticsearch8, Backend::Elasticsearch8);
server!(s3, Backend::S3);

fn lives(backend: Backend) {
    let (mut server, _data) = server(backend);
    let address = server.address();
    let pid = server.pid();
    probe::write(backend, &address);

    server.kill();
    assert!(!server.running());
    assert!(server.answers().is_err());
    again(&mut server, "a kill");
    assert_ne!(server.pid(), pid);
    assert_eq!(server.address(), address);
    probe::read(backend, &address);

    let begun = Instant::now();
    server.stop().unwrap();
    println!("{backend}: stopped in {:.1?}", begun.elapsed());
    assert!(!server.running());
    again(&mut server, "a stop");
    assert_eq!(server.address(), address);
    probe::read(backend, &address);

    server.pause();
    assert!(server.answers().is_err(), "a paused server answers nobody");
    server.resume();
    let limit = Instant::now() + Duration::from_secs(30);
    while let Err(reason) = server.answers() {
        assert!(Instant::now() < limit, "{reason}");
        std::thread::sleep(Duration::from_millis(20));
    }

    // A record finds it, and an attached server is not ended when it is dropped.
    let record = server.record();
    assert_eq!(record.address, address);
    drop(record.attach().unwrap());
    assert!(server.running());
    // A record of another process is nobody's.
    let mut other = record.clone();
    other.started += 1;
    assert!(other.attach().is_none());
    assert!(server.running());

    drop(server);
    assert!(record.attach().is_none(), "what was started here ends here");
}

fn again(server: &mut Server, after: &str) {
    let begun = Instant::now();
    server.restart().unwrap();
    println!(
        "{}: up again after {after} in {:.1?}",
        server.backend(),
        begun.elapsed()
    );
    assert!(server.answers().is_ok());
}

#[test]
#[ignore = "needs servers"]
fn a_detached_server_goes_on_without_us_until_somebody_stops_it() {
    let (server, data) = server(Backend::MongoDb);
    let record = server.detach();
    let text = serde_json::to_string(&record).unwrap();
    let record: marquee_backends::Record = serde_json::from_str(&text).unwrap();
    let mut server = record.attach().expect("it goes on");
    server.stop().unwrap();
    assert!(record.attach().is_none());
    // Its data and ports are where they were.
    let again = Server::start(&Home::default().unwrap(), Backend::MongoDb, data.path()).unwrap();
    assert_eq!(again.address(), record.address);
}

#[test]
#[ignore = "needs servers"]
fn a_server_is_started_once_in_a_folder() {
    let (server, data) = server(Backend::MongoDb);
    let error = Server::start(&Home::default().unwrap(), Backend::MongoDb, data.path())
        .err()
        .map(|error| error.to_string())
        .unwrap();
    assert!(error.contains(&format!("process {}", server.pid())), "{error}");
    assert_eq!(
        Record::running(data.path(), Backend::MongoDb),
        Some(server.record())
    );
}

#[test]
#[ignore = "needs servers"]
fn a_server_whose_starter_was_killed_is_taken_over() {
    const FOLDER: &str = "MARQUEE_SERVERS_LEFT_BEHIND";
    if let Some(folder) = std::env::var_os(FOLDER) {
        // In a process of its own, by the code below.
        let _server = Server::start(&Home::default().unwrap(), Backend::MongoDb, folder.as_ref()).unwrap();
        std::process::abort();
    }
    let (mut server, data) = server(Backend::MongoDb);
    server.stop().unwrap();
    let name = "a_server_whose_starter_was_killed_is_taken_over";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored"])
        .env(FOLDER, data.path())
        .stdout(std::process::Stdio::null())
        .status();
    assert!(!status.unwrap().success());
    let left = Record::running(data.path(), Backend::MongoDb).expect("nobody has ended it");
    let taken = Server::start(&Home::default().unwrap(), Backend::MongoDb, data.path()).unwrap();
    assert_eq!(taken.pid(), left.pid);
    drop(taken);
    assert_eq!(Record::running(data.path(), Backend::MongoDb), None);
}

#[test]
#[ignore = "needs servers"]
fn a_port_that_was_taken_meanwhile_is_named() {
    let (mut server, _data) = server(Backend::MongoDb);
    server.stop().unwrap();
    let port = server.ports()[0];
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = server.restart().unwrap_err().to_string();
    assert!(
        error.contains(&port.to_string()) && error.contains("taken"),
        "{error}"
    );
}
