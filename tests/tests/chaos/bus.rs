//! Kafka as somebody reads it who belongs to no service.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use marquee_bus::kafka::{Kafka, Settings};
use marquee_bus::{EventBus as _, Message, Polled, dead_letters};
use marquee_proto::topic::{self, Topic};

use crate::metrics::{Consumer, Metrics};

pub(crate) struct Bus(Arc<Kafka>);

impl Bus {
    pub(crate) fn open(brokers: &str) -> Result<Self> {
        let mut settings = Settings::new(brokers);
        settings.client_id = "chaos".into();
        settings.create_topics = false;
        Ok(Self(Kafka::open(settings)?))
    }

    async fn end(&self, topic: &Topic) -> Result<u64> {
        Ok(self.0.end_offsets(topic).await?.iter().sum())
    }

    /// How many messages each consumer has before it.
    pub(crate) async fn lags(&self, metrics: &Metrics) -> Result<BTreeMap<Consumer, u64>> {
        let mut lags = BTreeMap::new();
        for consumer in &metrics.consumers {
            let Some(topic) = topic::ALL.iter().find(|topic| topic.name == consumer.1) else {
                continue;
            };
            let ends = self.0.end_offsets(topic).await?;
            let committed = self.0.committed(&consumer.0, topic).await?;
            let lag = ends
                .iter()
                .zip(committed)
                .map(|(end, at)| end.saturating_sub(at.unwrap_or(0)))
                .sum();
            lags.insert(consumer.clone(), lag);
        }
        Ok(lags)
    }

    /// Messages that were consumed more often than once: what all processes consumed, without what they are done with.
    pub(crate) async fn replayed(&self, metrics: &Metrics) -> Result<f64> {
        let mut replayed = 0.0;
        for (consumer, consumed) in metrics.consumed() {
            let Some(topic) = topic::ALL.iter().find(|topic| topic.name == consumer.1) else {
                continue;
            };
            let committed = self.0.committed(&consumer.0, topic).await?;
            let done: u64 = committed.into_iter().flatten().sum();
            replayed += consumed - done as f64;
        }
        Ok(replayed)
    }

    /// How many dead letters there are, by topic.
    pub(crate) async fn dead_letters(&self) -> BTreeMap<&'static str, u64> {
        let mut dead = BTreeMap::new();
        for topic in topic::ALL {
            // Without a letter there is no topic.
            let letters = self.end(&dead_letters(topic)).await.unwrap_or(0);
            if letters > 0 {
                dead.insert(topic.name, letters);
            }
        }
        dead
    }

    /// Everything on these topics, by key in the order of the first delivery of each message, and how many were there again.
    pub(crate) async fn read(&self, topics: &[Topic]) -> Result<(BTreeMap<String, Vec<Message>>, u64)> {
        let mut left = 0;
        for topic in topics {
            left += self.end(topic).await?;
        }
        let mut by_key: BTreeMap<String, Vec<Message>> = BTreeMap::new();
        let (mut known, mut again) = (HashSet::new(), 0);
        let mut subscription = self.0.subscribe("chaos.reader", topics).await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while left > 0 {
            let polled = tokio::time::timeout_at(deadline.into(), subscription.poll(1_000)).await;
            let Ok(polled) = polled else {
                bail!("{left} messages of Kafka did not come in 60 s");
            };
            let Polled::Records(records) = polled? else {
                continue;
            };
            for record in records {
                left = left.saturating_sub(1);
                if known.insert(record.message.id.clone()) {
                    let key = format!("{} {}", record.topic, record.message.key);
                    by_key.entry(key).or_default().push(record.message);
                } else {
                    again += 1;
                }
            }
        }
        subscription.close().await;
        Ok((by_key, again))
    }
}
