//! Measures commits on MongoDB beside bare inserts of the driver with the same promise (majority, journal):
//! `MARQUEE_TEST_MONGODB=... cargo run --release -p marquee-documents --features mongodb --example bench_mongodb`.
//!
//! Prints one JSON object a line: `{"metric": ..., "value": ..., "unit": ...}`. Takes about a minute.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement for a terminal"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use marquee_bus::{Message, Outgoing};
use marquee_documents::mongodb::Settings;
use marquee_documents::{Collection, Document, Index, Location, RequestKey, Store, Transaction};
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, WriteConcern};
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

const MEASURE: Duration = Duration::from_secs(3);

fn event(id: String, n: usize) -> Event {
    Event {
        id,
        channel: format!("channels/{}", n % 100),
        start: n as u64,
        title: "a show that goes on".to_owned(),
        description: "d".repeat(300),
    }
}

/// So many tasks, each waiting for one commit before the next.
async fn measure<F: Future<Output = ()> + Send>(
    metric: &str,
    tasks: usize,
    commit: impl Fn(String, usize) -> F + Send + Sync + 'static,
) -> f64 {
    let (commit, started) = (Arc::new(commit), Instant::now());
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (commit, metric) = (commit.clone(), metric.to_owned());
            tokio::spawn(async move {
                let mut delays = Vec::new();
                while started.elapsed() < MEASURE {
                    let n = task + tasks * delays.len();
                    let began = Instant::now();
                    commit(format!("{metric}/{tasks}/{n}"), n).await;
                    delays.push(began.elapsed());
                }
                delays
            })
        })
        .collect();
    let mut delays = Vec::new();
    for task in running {
        delays.extend(task.await.unwrap());
    }
    let rate = delays.len() as f64 / started.elapsed().as_secs_f64();
    delays.sort_unstable();
    let p99 = delays[delays.len() * 99 / 100].as_secs_f64() * 1000.0;
    println!(r#"{{"metric":"{metric}.{tasks}","value":{rate:.0},"unit":"commits/s","p99_ms":{p99:.2}}}"#);
    rate
}

#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(string, tag = "1")]
    text: String,
}

#[tokio::main]
async fn main() {
    let uri = std::env::var("MARQUEE_TEST_MONGODB").expect("MARQUEE_TEST_MONGODB says where a server is");
    let database = format!("bench_{}", uuid::Uuid::new_v4().simple());
    let mut options = ClientOptions::parse(&uri).await.unwrap();
    options.write_concern = Some(
        WriteConcern::builder()
            .w(mongodb::options::Acknowledgment::Majority)
            .journal(true)
            .build(),
    );
    let bare = mongodb::Client::with_options(options)
        .unwrap()
        .database(&database);
    let events = bare.collection::<mongodb::bson::Document>("bare");
    let keys = doc! { "channel": 1, "start": 1, "_id": 1 };
    events
        .create_index(mongodb::IndexModel::builder().keys(keys).build())
        .await
        .unwrap();
    let location = Location::MongoDb(Settings {
        uri,
        database: database.clone(),
    });
    let store = Store::open(&location, &[Collection::of::<Event>()])
        .await
        .unwrap();
    store.ready().await.unwrap();
    for tasks in [1, 8, 64] {
        let inserted = events.clone();
        let alone = measure("mongodb.bare_insert", tasks, move |id, n| {
            let events = inserted.clone();
            async move {
                let event = event(id, n);
                let document = doc! {
                    "_id": event.id, "channel": event.channel, "start": event.start as i64,
                    "title": event.title, "description": event.description,
                };
                events.insert_one(document).await.unwrap();
            }
        })
        .await;
        let documents = store.clone();
        let single = measure("mongodb.insert", tasks, move |id, n| {
            let store = documents.clone();
            async move {
                let transaction = Transaction::new().insert(&event(id, n)).unwrap();
                store.commit(transaction).await.unwrap();
            }
        })
        .await;
        let documents = store.clone();
        let full = measure("mongodb.insert_with_outbox_and_request", tasks, move |id, n| {
            let store = documents.clone();
            async move {
                let key = RequestKey::new("accounts/a", "Create", &id, &Body { text: id.clone() });
                let message = Message {
                    id: id.clone(),
                    key: id.clone(),
                    value: vec![7; 300].into(),
                    ..Message::default()
                };
                let outgoing = Outgoing {
                    topic: "marquee.bench.v1".into(),
                    message,
                };
                let answer = Body {
                    text: "d".repeat(300),
                };
                let transaction = Transaction::new()
                    .insert(&event(id, n))
                    .unwrap()
                    .publish(outgoing)
                    .remember(key, &answer);
                store.commit(transaction).await.unwrap();
            }
        })
        .await;
        println!(
            r#"{{"metric":"mongodb.insert_ratio.{tasks}","value":{:.2},"unit":"of bare"}}"#,
            single / alone
        );
        println!(
            r#"{{"metric":"mongodb.outbox_ratio.{tasks}","value":{:.2},"unit":"of bare"}}"#,
            full / alone
        );
    }
    bare.drop().await.unwrap();
}
