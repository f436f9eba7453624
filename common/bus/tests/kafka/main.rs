//! The bus on a real Kafka: the suite, and what it alone promises.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use marquee_backends::Backend;
use marquee_bus::EventBus;
use marquee_bus::kafka::{Kafka, Settings};
use marquee_bus::testing::Fixture;
use marquee_proto::topic::Topic;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

mod outage;
mod takeover;
mod wire;

struct OnKafka {
    settings: Settings,
    bus: Arc<Kafka>,
    /// Goes with the last that uses them.
    topics: Arc<Topics>,
}

/// The server is shared: what was made goes.
struct Topics {
    settings: Settings,
}

impl OnKafka {
    fn on(settings: Settings) -> Self {
        let topics = Topics {
            settings: settings.clone(),
        };
        Self {
            bus: Kafka::open(settings.clone()).unwrap(),
            topics: Arc::new(topics),
            settings,
        }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.settings.prefix)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        admin(&self.settings)
    }
}

fn admin(settings: &Settings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &settings.brokers)
        .create()
        .unwrap()
}

/// Settings with names of their own on the server.
fn settings(brokers: String) -> Settings {
    let mut settings = Settings::new(brokers);
    settings.prefix = format!("test-{}.", uuid::Uuid::now_v7().simple());
    settings.client_id = "marquee-bus-test".to_owned();
    settings
}

impl Fixture for OnKafka {
    async fn start() -> Self {
        Self::on(settings(marquee_backends::address(Backend::Kafka)))
    }

    fn bus(&self) -> Arc<dyn EventBus> {
        self.bus.clone()
    }

    async fn restart(self) -> Self {
        let Self { settings, topics, .. } = self;
        Self {
            bus: Kafka::open(settings.clone()).unwrap(),
            settings,
            topics,
        }
    }

    async fn expire(&self, topic: &Topic) {
        // A server looks for what is too old every few minutes; this moves the beginning of the log as that does.
        let mut all = TopicPartitionList::new();
        let partitions = i32::try_from(topic.partitions).unwrap();
        let name = self.full_name(topic.name);
        all.add_partition_range(&name, 0, partitions - 1);
        all.set_all_offsets(Offset::End).unwrap();
        self.admin()
            .delete_records(&all, &AdminOptions::new())
            .await
            .unwrap();
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        let (admin, prefix) = (admin(&self.settings), self.settings.prefix.clone());
        let cleaning = std::thread::spawn(move || {
            let Ok(metadata) = admin.inner().fetch_metadata(None, Duration::from_secs(5)) else {
                return;
            };
            let ours: Vec<&str> = metadata
                .topics()
                .iter()
                .map(|topic| topic.name())
                .filter(|name| name.starts_with(&prefix))
                .collect();
            let options = AdminOptions::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            drop(runtime.block_on(admin.delete_topics(&ours, &options)));
        });
        cleaning.join().unwrap();
    }
}

marquee_bus::suite!(OnKafka, ignore = "needs kafka");
