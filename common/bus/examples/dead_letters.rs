//! The dead letters of a fleet: how many wait, what they are, and another chance for them.
//!
//! ```text
//! cargo run -p marquee-bus --features kafka --example dead_letters -- kafka:9092                          # how many, by topic
//! cargo run -p marquee-bus --features kafka --example dead_letters -- kafka:9092 list marquee.events.event.v1
//! cargo run -p marquee-bus --features kafka --example dead_letters -- kafka:9092 replay marquee.events.event.v1 [MAX]
//! ```
//!
//! `MARQUEE_KAFKA_PREFIX` is the fleet's prefix, when it has one.
#![allow(clippy::print_stdout, reason = "a tool for a terminal")]

use std::error::Error;
use std::time::Duration;

use marquee_bus::kafka::{Kafka, Settings};
use marquee_bus::{EventBus, Polled, Record, dead_letters, replay};
use marquee_proto::topic::{self, Topic};

/// Without a letter for so long, the list ends.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let brokers = words
        .next()
        .ok_or("usage: dead_letters BROKERS [list|replay TOPIC [MAX]]")?;
    let mut settings = Settings::new(brokers);
    settings.create_topics = false;
    settings.client_id = "marquee-dead-letters".to_owned();
    settings.prefix = std::env::var("MARQUEE_KAFKA_PREFIX").unwrap_or_default();
    let bus = Kafka::open(settings)?;
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => count(&*bus).await?,
        (Some("list"), Some(name), None) => list(&*bus, known(&name)?).await?,
        (Some("replay"), Some(name), max) => {
            let max = max.map_or(Ok(u64::MAX), |max| max.parse())?;
            let done = replay(&*bus, known(&name)?, max).await?;
            println!("{} replayed, {} left", done.messages, done.left);
        }
        _ => return Err("there are: list TOPIC, replay TOPIC [MAX]".into()),
    }
    bus.left(Duration::from_secs(5)).await;
    Ok(())
}

fn known(name: &str) -> Result<&'static Topic, String> {
    let name = name.trim_end_matches(".dlq");
    topic::ALL
        .iter()
        .find(|topic| topic.name == name)
        .ok_or_else(|| format!("there is no topic `{name}`"))
}

/// Letters that are kept, whether they were replayed or not.
async fn kept(bus: &dyn EventBus, letters: &Topic) -> Result<u64, marquee_bus::Error> {
    let starts = bus.start_offsets(letters).await?;
    let ends = bus.end_offsets(letters).await?;
    Ok(ends.iter().zip(&starts).map(|(end, start)| end - start).sum())
}

async fn count(bus: &dyn EventBus) -> Result<(), Box<dyn Error>> {
    for topic in topic::ALL {
        match kept(bus, &dead_letters(topic)).await {
            Ok(0) | Err(marquee_bus::Error::UnknownTopic(_)) => {}
            Ok(letters) => println!("{letters:8} {}", topic.name),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn list(bus: &dyn EventBus, topic: &Topic) -> Result<(), Box<dyn Error>> {
    let letters = dead_letters(topic);
    let mut left = kept(bus, &letters).await?;
    if left == 0 {
        return Ok(());
    }
    // Nothing is committed, so that nothing of it stays.
    let group = format!("marquee-list-{}", std::process::id());
    let mut subscription = bus.subscribe(&group, &[letters]).await?;
    while left > 0 {
        let polled = tokio::time::timeout(PATIENCE, subscription.poll(100)).await;
        let Ok(polled) = polled else { break };
        if let Polled::Records(records) = polled? {
            left = left.saturating_sub(records.len() as u64);
            records.iter().for_each(print);
        }
    }
    subscription.close().await;
    Ok(())
}

fn print(letter: &Record) {
    let message = &letter.message;
    let of = |name: &str| message.attribute(&format!("dead_letter_{name}")).unwrap_or("-");
    println!(
        "{} {} {} key={} from={}/{}/{} group={} reason={}",
        message.time,
        message.id,
        message.event_type,
        message.key,
        of("topic"),
        of("partition"),
        of("offset"),
        of("group"),
        of("reason"),
    );
}
