//! Measures the embedded bus, in a folder of its own: `cargo run --release -p marquee-bus --example bench [FOLDER] [PAGE_SIZE]`;
//! or a server: `cargo run --release -p marquee-bus --features kafka --example bench kafka://HOST:PORT`.
//!
//! Prints one JSON object a line: `{"metric": ..., "value": ..., "unit": ...}`. Takes about 15 seconds.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement for a terminal"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::{EventBus, Message, Outgoing, Polled};
use marquee_proto::topic::Topic;

const fn topic(name: &'static str, partitions: u32) -> Topic {
    Topic {
        name,
        source: "bench",
        partitions,
        retention: Duration::from_secs(3600),
    }
}

const APPEND: Topic = topic("marquee.bench.append.v1", 6);
const LATENCY: Topic = topic("marquee.bench.latency.v1", 6);

/// Messages of the append measurement; with 300-byte values this is about 0.8 GB.
const MESSAGES: usize = 2_000_000;
const BATCH: usize = 1_000;
const PUBLISHERS: usize = 4;

/// 1,000 messages a second for so long.
const LATENCY_FOR: Duration = Duration::from_secs(5);

fn report(metric: &str, value: f64, unit: &str) {
    println!(r#"{{"metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#);
}

fn message(topic: &Topic, n: usize, value: &bytes::Bytes) -> Outgoing {
    let message = Message {
        id: format!("{n:032x}"),
        key: format!("channels/{}", n % 1000),
        event_type: "marquee.bench.happened".to_owned(),
        source: "bench".to_owned(),
        time: Timestamp::UNIX_EPOCH,
        value: value.clone(),
        ..Message::default()
    };
    Outgoing {
        topic: topic.name.into(),
        message,
    }
}

#[tokio::main]
async fn main() {
    #[cfg(feature = "kafka")]
    if let Some(brokers) = std::env::args()
        .nth(1)
        .and_then(|place| Some(place.strip_prefix("kafka://")?.to_owned()))
    {
        return on_kafka(brokers).await;
    }
    let made;
    let folder = match std::env::args().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            made = tempfile::tempdir().unwrap();
            made.path().to_owned()
        }
    };
    let mut options = Options::default();
    if let Some(page_size) = std::env::args().nth(2) {
        options.page_size = page_size.parse().unwrap();
    }
    let bus: Arc<dyn EventBus> = Embedded::open(&folder, options).unwrap();
    bus.declare(&[APPEND, LATENCY]).await.unwrap();
    latency(&bus, "bus", 1_000).await;
    append(&bus, "bus", MESSAGES).await;
    read(&bus, "bus", MESSAGES).await;
}

/// Topics of its own on the server; they expire within the hour.
#[cfg(feature = "kafka")]
async fn on_kafka(brokers: String) {
    use marquee_bus::kafka::{Kafka, Settings};
    let mut settings = Settings::new(brokers);
    settings.prefix = format!("bench-{}.", uuid::Uuid::now_v7().simple());
    let kafka = Kafka::open(settings).unwrap();
    let bus: Arc<dyn EventBus> = kafka.clone();
    bus.declare(&[APPEND, LATENCY]).await.unwrap();
    // The first message waits for connections and the producer's id.
    bus.publish(vec![message(&APPEND, 0, &bytes::Bytes::new())])
        .await
        .unwrap();
    latency(&bus, "bus.kafka", 200).await;
    latency(&bus, "bus.kafka", 1_000).await;
    append(&bus, "bus.kafka", MESSAGES / 4).await;
    read(&bus, "bus.kafka", MESSAGES / 4).await;
    rebalance(&bus).await;
    drop(bus);
    kafka.left(Duration::from_secs(10)).await;
}

/// How long a group takes to give a member that comes its share, and to take over from one that leaves.
#[cfg(feature = "kafka")]
async fn rebalance(bus: &Arc<dyn EventBus>) {
    let began = Instant::now();
    let mut first = bus.subscribe("rebalance", &[LATENCY]).await.unwrap();
    let mut owned = 0;
    while owned == 0 {
        if let Polled::Assigned(partitions) = first.poll(1).await.unwrap() {
            owned = partitions.len();
        }
    }
    report(
        "bus.kafka.first_assignment",
        began.elapsed().as_secs_f64() * 1000.0,
        "ms",
    );
    let (leave, mut leaving) = tokio::sync::oneshot::channel();
    let going_on = tokio::spawn(async move {
        loop {
            tokio::select! {
                polled = first.poll(100) => drop(polled.unwrap()),
                _ = &mut leaving => return first.close().await,
            }
        }
    });
    let began = Instant::now();
    let mut second = bus.subscribe("rebalance", &[LATENCY]).await.unwrap();
    let mut owned = 0;
    while owned < 3 {
        if let Polled::Assigned(partitions) = second.poll(1).await.unwrap() {
            owned += partitions.len();
        }
    }
    report(
        "bus.kafka.share_of_a_new_member",
        began.elapsed().as_secs_f64() * 1000.0,
        "ms",
    );
    let began = Instant::now();
    leave.send(()).unwrap();
    while owned < 6 {
        if let Polled::Assigned(partitions) = second.poll(1).await.unwrap() {
            owned += partitions.len();
        }
    }
    report(
        "bus.kafka.takeover_from_one_that_leaves",
        began.elapsed().as_secs_f64() * 1000.0,
        "ms",
    );
    going_on.await.unwrap();
    second.close().await;
}

async fn append(bus: &Arc<dyn EventBus>, name: &str, messages: usize) {
    let value = bytes::Bytes::from(vec![7; 300]);
    let started = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (bus, value) = (bus.clone(), value.clone());
            tokio::spawn(async move {
                for batch in 0..messages / PUBLISHERS / BATCH {
                    let first = (batch * PUBLISHERS + publisher) * BATCH;
                    bus.publish(
                        (first..first + BATCH)
                            .map(|n| message(&APPEND, n, &value))
                            .collect(),
                    )
                    .await
                    .unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    report(
        &format!("{name}.append"),
        messages as f64 / started.elapsed().as_secs_f64(),
        "messages/s",
    );
}

/// One member reads everything from the database: the tail is far too small for it.
async fn read(bus: &Arc<dyn EventBus>, name: &str, messages: usize) {
    let mut subscription = bus.subscribe("bench", &[APPEND]).await.unwrap();
    let started = Instant::now();
    let mut count = 0;
    while count < messages {
        if let Polled::Records(records) = subscription.poll(1000).await.unwrap() {
            count += records.len();
        }
    }
    report(
        &format!("{name}.read"),
        messages as f64 / started.elapsed().as_secs_f64(),
        "messages/s",
    );
}

/// Single messages, each published when it is due, whether or not those before it were acknowledged.
async fn latency(bus: &Arc<dyn EventBus>, name: &str, per_second: u32) {
    let total = (LATENCY_FOR.as_secs_f64() * f64::from(per_second)) as usize;
    let mut subscription = bus.subscribe("bench", &[LATENCY]).await.unwrap();
    while !matches!(subscription.poll(1).await.unwrap(), Polled::Assigned(_)) {}
    let origin = Instant::now();
    let reader = tokio::spawn(async move {
        let mut delays = Vec::with_capacity(total);
        while delays.len() < total {
            if let Polled::Records(records) = subscription.poll(1000).await.unwrap() {
                let now = origin.elapsed();
                for record in &records {
                    let due = u64::from_le_bytes(record.message.value[..8].try_into().unwrap());
                    delays.push(now.saturating_sub(Duration::from_nanos(due)));
                }
                let last = records.last().unwrap();
                subscription
                    .commit(&last.topic_partition(), last.offset + 1)
                    .await
                    .unwrap();
            }
        }
        subscription.close().await;
        delays
    });
    let mut publishing = tokio::task::JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    for n in 0..total {
        tick.tick().await;
        let bus = bus.clone();
        publishing.spawn(async move {
            let mut value = vec![0; 300];
            let due = u64::try_from(origin.elapsed().as_nanos()).unwrap();
            value[..8].copy_from_slice(&due.to_le_bytes());
            bus.publish(vec![message(&LATENCY, n, &value.into())])
                .await
                .unwrap();
        });
    }
    publishing.join_all().await;
    let mut delays = reader.await.unwrap();
    delays.sort_unstable();
    let label = match per_second {
        1_000 => format!("{name}.publish_to_deliver"),
        _ => format!("{name}.publish_to_deliver_at_{per_second}"),
    };
    for (figure, at) in [("p50", total / 2), ("p99", total * 99 / 100), ("max", total - 1)] {
        report(
            &format!("{label}.{figure}"),
            delays[at].as_secs_f64() * 1000.0,
            "ms",
        );
    }
}
