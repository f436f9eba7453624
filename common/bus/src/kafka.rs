//! The bus on Kafka, for a fleet of processes (docs/adr/0007).
//!
//! ```text
//!  publish ─► Producer (acks=all, idempotent) ─► Kafka ─► a thread per subscription ─► buffer per partition, bounded ─► poll
//!                                                           │   owns the consumer:       paused at its limit
//!                                                           └── rebalances, seeks, commits
//! ```
//!
//! librdkafka does the protocol. Calls of it that may block run on threads of ours, never on the runtime's.

mod cloudevents;
mod context;
mod events;
mod failures;
mod group;
mod member;
mod poller;
mod probe;
mod producer;
mod shared;
mod thread;
mod topics;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use marquee_proto::topic::Topic;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use tokio_util::task::TaskTracker;

use crate::measure::Publishing;
use crate::{Error, EventBus, Outgoing, Subscription};
use failures::Failures;
use probe::Probe;
use producer::Producer;
use thread::Membership;
use topics::Topics;

/// Where Kafka is and how it is used. Begin with [`Settings::new`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port`, several with commas between them; any that answers will do.
    pub brokers: String,
    /// Copies of each partition, for topics that are made here.
    pub replication: i16,
    /// Whether topics that are missing are made. If not, they are only checked.
    pub create_topics: bool,
    /// What the brokers' logs call this process.
    pub client_id: String,
    /// How long a member of a group may be silent before the others take its partitions: so long does a group wait for
    /// what a killed process had. The brokers' `group.min.session.timeout.ms` (6 s unless changed) is the least.
    pub session_timeout: Duration,
    /// How long publishing waits for the brokers before it fails as [`Error::Unavailable`].
    pub delivery_timeout: Duration,
    /// Put before the names of all topics and groups, so that installations can share a cluster; usually empty.
    pub prefix: String,
}

impl Settings {
    /// The usual settings.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            replication: 1,
            create_topics: true,
            client_id: "marquee".to_owned(),
            session_timeout: Duration::from_secs(6),
            delivery_timeout: Duration::from_secs(10),
            prefix: String::new(),
        }
    }

    /// What all clients have in common.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            // A server that comes back is noticed within a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "1000")
            // A request that a hanging broker does not answer; longer than any that we let wait there.
            .set("socket.timeout.ms", "10000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        config
    }
}

/// The bus on Kafka.
pub struct Kafka {
    settings: Arc<Settings>,
    producer: Arc<Producer>,
    topics: Topics,
    probe: Probe,
    /// Of its subscriptions' consumers.
    failures: Arc<Failures>,
    /// The threads of its subscriptions.
    members: TaskTracker,
}

impl Kafka {
    /// Connects in the background: a broker that is down is waited for when it is needed.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn open(settings: Settings) -> Result<Arc<Self>, Error> {
        let settings = Arc::new(settings);
        let producer = Arc::new(Producer::new(&settings)?);
        Ok(Arc::new(Self {
            topics: Topics::new(settings.clone(), producer.clone()),
            probe: Probe::start(producer.clone())?,
            failures: Arc::default(),
            producer,
            settings,
            members: TaskTracker::new(),
        }))
    }

    /// Waits until the subscriptions that were dropped have stored their commits and left their groups; at most so
    /// long. For the end of a process.
    pub async fn left(&self, limit: Duration) {
        self.members.close();
        if tokio::time::timeout(limit, self.members.wait()).await.is_err() {
            tracing::warn!("not every consumer has left its group yet: the others wait until it is missed");
        }
        self.members.reopen();
    }
}

#[async_trait]
impl EventBus for Kafka {
    async fn declare(&self, topics: &[Topic]) -> Result<(), Error> {
        self.topics.declare(topics).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let publishing = Publishing::begin(&messages);
        let result = async {
            for outgoing in &messages {
                outgoing.check()?;
            }
            let names = messages.iter().map(|outgoing| &*outgoing.topic);
            self.topics.check_known(names).await?;
            self.producer.publish(messages).await
        };
        let result = result.await;
        publishing.end(result.is_ok());
        result
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Subscription>, Error> {
        self.topics
            .check_known(topics.iter().map(|topic| topic.name))
            .await?;
        let membership = Membership::new(&self.settings, group, topics, self.failures.place());
        Ok(Box::new(member::Member::join(membership, self.members.token())?))
    }

    async fn start_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        let offsets = self.topics.offsets(topic).await?;
        Ok(offsets.into_iter().map(|(start, _)| start).collect())
    }

    async fn end_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error> {
        let offsets = self.topics.offsets(topic).await?;
        Ok(offsets.into_iter().map(|(_, end)| end).collect())
    }

    async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error> {
        self.topics.committed(group, topic).await
    }

    fn ready(&self) -> Result<(), String> {
        self.probe.state()?;
        self.failures.state()
    }
}

/// An error of librdkafka, in words: its types stay in here.
fn unavailable(error: &KafkaError) -> Error {
    Error::Unavailable(format!("kafka: {error}"))
}

/// Runs what may block on a thread that may.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(call)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("kafka: the call was cancelled".to_owned())))
}
