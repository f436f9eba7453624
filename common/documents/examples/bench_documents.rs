//! Measures the document store: `cargo run --release -p marquee-documents --example bench_documents [FOLDER]`.
//!
//! Prints one JSON object a line: `{"metric": ..., "value": ..., "unit": ...}`. Takes about 10 seconds.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement for a terminal"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use marquee_bus::{Message, Outgoing};
use marquee_documents::{Collection, Document, Index, Query, Store, Transaction};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Event {
    id: String,
    channel: String,
    start: u64,
    title: String,
    description: String,
}

impl Document for Event {
    const COLLECTION: &'static str = "events";
    const INDEXES: &'static [Index] = &[Index {
        name: "channel_start",
        fields: &["channel", "start"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.id
    }
}

const WRITERS: usize = 64;
const MEASURE: Duration = Duration::from_secs(3);

fn report(metric: &str, value: f64, unit: &str) {
    println!(r#"{{"metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#);
}

#[tokio::main]
async fn main() {
    let made;
    let folder = match std::env::args().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            made = tempfile::tempdir().unwrap();
            made.path().to_owned()
        }
    };
    let store = Store::open_sqlite(&folder.join("bench.sqlite"), &[Collection::of::<Event>()]).unwrap();
    let inserted = insert(&store).await;
    get(&store, "documents.get_first", inserted.min(20_000), 1).await;
    get(&store, "documents.get_cached", 2_000, 500).await;
    query(&store).await;
}

/// Each insert with one outbox row, from 64 tasks; each waits for its commit.
async fn insert(store: &Store) -> usize {
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut delays = Vec::new();
                while started.elapsed() < MEASURE {
                    let n = writer + WRITERS * delays.len();
                    let event = Event {
                        id: format!("channels/{}/events/{n}", n % 100),
                        channel: format!("channels/{}", n % 100),
                        start: n as u64,
                        title: "a show that goes on".to_owned(),
                        description: "d".repeat(300),
                    };
                    let message = Message {
                        id: n.to_string(),
                        key: event.id.clone(),
                        ..Message::default()
                    };
                    let outgoing = Outgoing {
                        topic: "marquee.bench.v1".into(),
                        message: Message {
                            value: vec![7; 300].into(),
                            ..message
                        },
                    };
                    let began = Instant::now();
                    store
                        .commit(Transaction::new().insert(&event).unwrap().publish(outgoing))
                        .await
                        .unwrap();
                    delays.push(began.elapsed());
                }
                delays
            })
        })
        .collect();
    let mut delays = Vec::new();
    for writer in writers {
        delays.extend(writer.await.unwrap());
    }
    report(
        "documents.insert_with_outbox",
        delays.len() as f64 / started.elapsed().as_secs_f64(),
        "commits/s",
    );
    delays.sort_unstable();
    report(
        "documents.insert_with_outbox.p99",
        delays[delays.len() * 99 / 100].as_secs_f64() * 1000.0,
        "ms",
    );
    delays.len() / 2
}

async fn get(store: &Store, metric: &str, documents: usize, rounds: usize) {
    let started = Instant::now();
    for _ in 0..rounds {
        for n in 0..documents {
            let id = format!("channels/{}/events/{n}", n % 100);
            assert!(store.get::<Event>(&id).await.unwrap().is_some());
        }
    }
    report(
        metric,
        (documents * rounds) as f64 / started.elapsed().as_secs_f64(),
        "gets/s",
    );
}

async fn query(store: &Store) {
    let started = Instant::now();
    let rounds = 2_000;
    for n in 0..rounds {
        let query = Query::by("channel_start")
            .equals(format!("channels/{}", n % 100))
            .at_least(100)
            .limit(20);
        assert!(!store.query::<Event>(query).await.unwrap().items.is_empty());
    }
    report(
        "documents.query_page_of_20",
        f64::from(rounds) / started.elapsed().as_secs_f64(),
        "queries/s",
    );
}
