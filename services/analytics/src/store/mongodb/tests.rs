//! The suite on a real replica set, and what only a server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use marquee_backends::{Backend, Home, Server, install};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::*;
use crate::domain::{Rules, State, fold};
use crate::store::suite::{Fixture, check, partition, received, suite, visit};

/// A database of the test's own.
struct Scratch(String);

fn uri() -> String {
    marquee_backends::address(Backend::MongoDb)
}

fn settings(uri: &str, database: &str) -> Settings {
    Settings {
        uri: Secret::new(uri),
        database: database.to_owned(),
    }
}

impl Fixture for Scratch {
    type Store = MongoDb;

    async fn new() -> Self {
        Self(format!("analytics_test_{}", Uuid::new_v4().simple()))
    }

    fn place(&self) -> String {
        self.0.clone()
    }

    async fn open(place: &str) -> MongoDb {
        MongoDb::open(&settings(&uri(), place)).await.unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = self.0.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(uri()).await.unwrap();
                let database = client.database(&name);
                // What a test gave up half-way would keep the database for a minute.
                let owners = database.collection::<Document>(server::OWNERS);
                let mut owners = owners.find(doc! {}).await.unwrap();
                while let Some(owner) = owners.try_next().await.unwrap() {
                    let session = doc! { "id": owner.get("session") };
                    let end = doc! { "killSessions": [session] };
                    database.run_command(end).await.unwrap();
                }
                database.drop().await.unwrap();
            });
        });
        drop(dropped.join());
    }
}

suite!(Scratch, ignore = "needs mongodb");

/// A server of the test's own.
struct Private {
    server: Server,
    _data: TempDir,
}

impl Private {
    fn start() -> Self {
        let home = Home::default().unwrap();
        install(&home, Backend::MongoDb, &mut |_| {}).unwrap();
        let data = tempfile::tempdir().unwrap();
        Self {
            server: Server::start(&home, Backend::MongoDb, data.path()).unwrap(),
            _data: data,
        }
    }

    async fn store(&self) -> MongoDb {
        MongoDb::open(&settings(&self.server.address(), "analytics"))
            .await
            .unwrap()
    }
}

/// Flushes until it has, whatever is in the way; the offset says what became of an attempt.
async fn flush_through(store: &MongoDb, number: u32, offset: u64) {
    let trying = async {
        loop {
            match store
                .flush(partition(number), offset, offset + 1, visit(number, offset))
                .await
            {
                Ok(()) => return,
                Err(Error::Conflict { found, .. }) => return assert_eq!(found, offset + 1),
                Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), trying)
        .await
        .expect("flushed within a minute");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_server_that_is_killed_under_flushes_has_each_of_them_once_when_it_is_back() {
    let mut private = Private::start();
    let store = private.store().await;
    let next = Arc::new(AtomicU64::new(0));
    let owners: Vec<_> = (0..3)
        .map(|number| {
            let (store, next) = (store.clone(), next.clone());
            tokio::spawn(async move {
                for offset in 0..120 {
                    flush_through(&store, number, offset).await;
                    next.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for after in [40, 120, 200] {
        until(|| next.load(Ordering::Relaxed) >= after).await;
        tokio::task::block_in_place(|| {
            private.server.kill();
            private.server.restart().unwrap();
        });
    }
    for owner in owners {
        owner.await.unwrap();
    }
    assert_eq!(check(&store).await, 360);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_store_outlives_a_server_that_is_stopped_and_started() {
    let mut private = Private::start();
    let store = private.store().await;
    flush_through(&store, 0, 0).await;
    tokio::task::block_in_place(|| private.server.stop().unwrap());
    let away = store.ready().await.unwrap_err();
    assert!(matches!(away, Error::Unavailable(_)), "{away:?}");
    assert!(away.to_string().starts_with("mongodb: "), "{away}");
    tokio::task::block_in_place(|| private.server.restart().unwrap());
    flush_through(&store, 0, 1).await;
    assert_eq!(check(&store).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn a_server_that_does_not_answer_is_told_within_patience() {
    let private = Private::start();
    let store = private.store().await;
    flush_through(&store, 0, 0).await;
    private.server.pause();
    let away = timeout(PATIENCE * 3, store.flush(partition(0), 1, 2, visit(0, 1))).await;
    private.server.resume();
    let away = away.expect("gives up").unwrap_err();
    assert!(matches!(away, Error::Unavailable(_)), "{away:?}");
    flush_through(&store, 0, 1).await;
    assert_eq!(check(&store).await, 2);
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn who_follows_is_told_of_what_others_flush() {
    let scratch = Scratch::new().await;
    let (store, other) = (Scratch::open(&scratch.0).await, Scratch::open(&scratch.0).await);
    let mut changes = store.changes().await.unwrap().unwrap();
    other.flush(partition(4), 0, 1, visit(4, 0)).await.unwrap();
    let flush = visit(4, 0);
    let heard = timeout(Duration::from_secs(20), changes.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let (key, session) = flush.sessions.into_iter().next().unwrap();
    assert_eq!(
        heard,
        [Heard {
            partition: 4,
            key: key.clone(),
            session: session.clone()
        }]
    );

    // A session that goes on is told whole, too.
    let session = Session {
        last_received_ms: 11_000,
        ..session
    };
    let again = Flush {
        sessions: [(key.clone(), session.clone())].into(),
        known: [key.clone()].into(),
        ledger: Ledger {
            duplicate: 1,
            ..Ledger::default()
        },
        ..Flush::default()
    };
    other.flush(partition(4), 1, 2, again).await.unwrap();
    let heard = timeout(Duration::from_secs(20), changes.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(
        heard,
        [Heard {
            partition: 4,
            key,
            session
        }]
    );
}

#[tokio::test]
async fn the_connection_string_is_not_shown() {
    let secret = settings("mongodb://marquee:hunter2@127.0.0.1:1/", "analytics");
    assert!(!format!("{secret:?}").contains("hunter2"));
    let store = MongoDb::open(&secret).await.unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
    for wrong in [
        "mongodb://marquee:hunter2@/",
        "marquee:hunter2@127.0.0.1",
        "mongodb+srv://a:hunter2@b.c/",
    ] {
        let error = MongoDb::open(&settings(wrong, "analytics")).await.unwrap_err();
        assert!(matches!(error, Error::Settings(_)), "{error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = MongoDb::open(&settings("mongodb://127.0.0.1:1/", "a.b"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "`a.b` cannot be a database's name");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_waited_for_at_the_start_and_named_then() {
    let store = MongoDb::open(&settings(
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50",
        "analytics",
    ))
    .await
    .unwrap();
    let away = store.ready().await.unwrap_err();
    assert_eq!(
        away.to_string(),
        "mongodb: no server answers that may be written to"
    );
}

/// How fast batches are taken over, for the record: prints, asserts nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn measure_flushes() {
    for (partitions, batch, sessions) in [
        (1, 1, 1),
        (1, 1_000, 1_000),
        (4, 1_000, 1_000),
        (12, 1_000, 1_000),
        (4, 1_000, 100),
    ] {
        let scratch = Scratch::new().await;
        let store = &Scratch::open(&scratch.0).await;
        store.ready().await.unwrap();
        let begun = Instant::now();
        let limit = Duration::from_secs(5);
        let owners = (0..partitions).map(|number| async move {
            let (mut offset, mut flushes) = (0_u64, 0_u32);
            while begun.elapsed() < limit {
                // Players go on and on: each session is met again by the next batch.
                let batch: Vec<_> = (0..batch)
                    .map(|n| {
                        let (viewer, at) = (format!("v{number}-{}", n % sessions), offset + n as u64 + 1);
                        received(&viewer, "s", at, i64::from(flushes) * 5, State::Playing)
                    })
                    .collect();
                let mut keys: Vec<_> = batch.iter().map(|received| received.report.key.clone()).collect();
                keys.sort_unstable();
                keys.dedup();
                let mut known = store.sessions(keys).await.unwrap();
                let there = known.keys().cloned().collect();
                let folded = fold(&Rules::default(), |key| known.remove(key), &batch);
                let flush = Flush {
                    known: there,
                    sessions: folded.sessions,
                    totals: folded.totals,
                    ledger: folded.ledger,
                    ..Flush::default()
                };
                let next = offset + batch.len() as u64;
                store.flush(partition(number), offset, next, flush).await.unwrap();
                (offset, flushes) = (next, flushes + 1);
            }
            (offset, flushes)
        });
        let done = futures::future::join_all(owners).await;
        let seconds = begun.elapsed().as_secs_f64();
        let beacons: u64 = done.iter().map(|(beacons, _)| beacons).sum();
        let flushes: u32 = done.iter().map(|(_, flushes)| flushes).sum();
        println!(
            "{partitions} partitions, batches of {batch} over {sessions} sessions: {:.0} flushes/s, {:.0} beacons/s",
            f64::from(flushes) / seconds,
            beacons as f64 / seconds
        );
    }
}

async fn until(enough: impl Fn() -> bool) {
    let waiting = async {
        while !enough() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting)
        .await
        .expect("within a minute");
}
