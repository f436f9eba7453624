//! What topics the cluster has, and where they begin and end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::RwLock;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Quiet;
use super::producer::{MAX_BATCH_BYTES, Producer};
use super::{Settings, blocking, unavailable};
use crate::Error;

/// A question about the cluster takes so long at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// New topics are known to every broker within so long.
const SPREAD: Duration = Duration::from_secs(15);

/// Before looking again whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the cluster said last.
#[derive(Default)]
struct Known {
    /// Topics that can be written, and their partitions.
    led: HashMap<String, u32>,
    /// Topics that exist, with a partition that has no leader for the moment.
    leaderless: HashSet<String>,
}

impl Known {
    /// # Errors
    /// [`Error::Unavailable`] while it has no leader, [`Error::UnknownTopic`] when it does not exist.
    fn partitions(&self, topic: &str) -> Result<u32, Error> {
        match self.led.get(topic) {
            Some(partitions) => Ok(*partitions),
            None if self.leaderless.contains(topic) => Err(Error::Unavailable(format!(
                "kafka: a partition of `{topic}` has no leader"
            ))),
            None => Err(Error::UnknownTopic(topic.to_owned())),
        }
    }
}

pub(super) struct Topics {
    settings: Arc<Settings>,
    producer: Arc<Producer>,
    known: RwLock<Known>,
}

impl Topics {
    pub(super) fn new(settings: Arc<Settings>, producer: Arc<Producer>) -> Self {
        Self {
            settings,
            producer,
            known: RwLock::default(),
        }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.settings.prefix)
    }

    pub(super) async fn declare(&self, topics: &[Topic]) -> Result<(), Error> {
        self.look().await?;
        let missing: Vec<Topic> = {
            let known = self.known.read();
            let is_missing =
                |topic: &&Topic| matches!(known.partitions(topic.name), Err(Error::UnknownTopic(_)));
            topics.iter().filter(is_missing).copied().collect()
        };
        if let Some(first) = missing.first() {
            if !self.settings.create_topics {
                return Err(Error::UnknownTopic(first.name.to_owned()));
            }
            self.create(&missing).await?;
            let deadline = tokio::time::Instant::now() + SPREAD;
            while !self.knows(&missing) {
                if tokio::time::Instant::now() > deadline {
                    return Err(Error::Unavailable(
                        "kafka: new topics have no leaders yet".to_owned(),
                    ));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                self.look().await?;
            }
        }
        for topic in topics {
            let found = self.known.read().partitions(topic.name)?;
            if found != topic.partitions {
                return Err(Error::TopicMismatch {
                    topic: topic.name.to_owned(),
                    property: "partitions",
                    found: found.into(),
                    declared: topic.partitions.into(),
                });
            }
        }
        self.compare_settings(topics).await
    }

    /// Less than what is declared loses messages, or refuses them; more is the operator's choice.
    async fn compare_settings(&self, topics: &[Topic]) -> Result<(), Error> {
        let admin = self.admin()?;
        let names: Vec<String> = topics.iter().map(|topic| self.full_name(topic.name)).collect();
        let wanted: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let described = admin.describe_configs(&wanted, &options).await;
        close(admin).await;
        for described in described.map_err(|error| unavailable(&error))? {
            let described = described.map_err(|code| Error::Unavailable(format!("kafka: {code}")))?;
            let OwnedResourceSpecifier::Topic(name) = &described.specifier else {
                continue;
            };
            let declared = topics.iter().zip(&names).find(|(_, full)| *full == name);
            let Some((topic, _)) = declared else { continue };
            let retention = u64::try_from(topic.retention.as_millis()).unwrap_or(u64::MAX);
            for (key, least) in [
                ("retention.ms", retention),
                ("max.message.bytes", MAX_BATCH_BYTES as u64),
            ] {
                let value = described.get(key).and_then(|entry| entry.value.as_deref());
                // Without a number, such as -1: there is no limit.
                let Some(found) = value.and_then(|value| value.parse::<u64>().ok()) else {
                    continue;
                };
                if found < least {
                    return Err(Error::TopicMismatch {
                        topic: topic.name.to_owned(),
                        property: key,
                        found,
                        declared: least,
                    });
                }
            }
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<Quiet>, Error> {
        let client = self.settings.client().create_with_context(Quiet);
        client.map_err(|error| unavailable(&error))
    }

    fn knows(&self, topics: &[Topic]) -> bool {
        let known = self.known.read();
        topics.iter().all(|topic| known.led.contains_key(topic.name))
    }

    async fn create(&self, topics: &[Topic]) -> Result<(), Error> {
        let admin = self.admin()?;
        let names: Vec<String> = topics.iter().map(|topic| self.full_name(topic.name)).collect();
        let retentions: Vec<String> = topics
            .iter()
            .map(|topic| topic.retention.as_millis().to_string())
            .collect();
        let largest = MAX_BATCH_BYTES.to_string();
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(names.iter().zip(&retentions))
            .map(|(topic, (name, retention))| {
                let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
                let replication = TopicReplication::Fixed(i32::from(self.settings.replication));
                NewTopic::new(name, partitions, replication)
                    .set("retention.ms", retention)
                    .set("max.message.bytes", &largest)
                    // What is acknowledged outlives the loss of any one broker, where there are enough for that.
                    .set(
                        "min.insync.replicas",
                        if self.settings.replication > 2 { "2" } else { "1" },
                    )
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        let results = admin.create_topics(&new, &options).await;
        close(admin).await;
        for result in results.map_err(|error| unavailable(&error))? {
            match result {
                Ok(name) => tracing::info!(topic = name, "topic made"),
                // Another process was quicker.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(Error::Unavailable(format!(
                        "kafka: cannot make topic `{name}`: {code}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Notes all topics that there are, and which of them can be written.
    async fn look(&self) -> Result<(), Error> {
        let (producer, prefix) = (self.producer.clone(), self.settings.prefix.clone());
        let found = blocking(move || {
            let client = producer.client();
            let metadata = client
                .client()
                .fetch_metadata(None, PATIENCE)
                .map_err(|error| unavailable(&error))?;
            let mut known = Known::default();
            for topic in metadata.topics() {
                let Some(name) = topic.name().strip_prefix(&prefix) else {
                    continue;
                };
                let is_led = topic.error().is_none()
                    && !topic.partitions().is_empty()
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0);
                if is_led {
                    let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
                    known.led.insert(name.to_owned(), partitions);
                } else {
                    known.leaderless.insert(name.to_owned());
                }
            }
            Ok(known)
        });
        *self.known.write() = found.await?;
        Ok(())
    }

    /// # Errors
    /// [`Error::UnknownTopic`] when one of them does not exist, [`Error::Unavailable`] while one cannot be written.
    pub(super) async fn check_known(&self, names: impl Iterator<Item = &str> + Clone) -> Result<(), Error> {
        let check = |topics: &Self| {
            let known = topics.known.read();
            names
                .clone()
                .try_for_each(|name| known.partitions(name).map(drop))
        };
        if check(self).is_ok() {
            return Ok(());
        }
        self.look().await?;
        check(self)
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, Error> {
        self.check_known(std::iter::once(topic.name)).await?;
        self.known.read().partitions(topic.name)
    }

    /// The earliest and the next offset of each partition.
    pub(super) async fn offsets(&self, topic: &Topic) -> Result<Vec<(u64, u64)>, Error> {
        let partitions = self.partitions(topic).await?;
        let (producer, name) = (self.producer.clone(), self.full_name(topic.name));
        blocking(move || {
            let client = producer.client();
            (0..partitions)
                .map(|partition| {
                    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                    let (start, end) = client
                        .client()
                        .fetch_watermarks(&name, partition, PATIENCE)
                        .map_err(|error| unavailable(&error))?;
                    Ok((start.unsigned_abs(), end.unsigned_abs()))
                })
                .collect()
        })
        .await
    }

    pub(super) async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error> {
        let partitions = self.partitions(topic).await?;
        let name = self.full_name(topic.name);
        let group = self.full_name(group);
        let mut config = self.settings.client();
        blocking(move || {
            // It asks in the group's name and is no member of it.
            let asking: BaseConsumer<Quiet> = config
                .set("group.id", &group)
                .create_with_context(Quiet)
                .map_err(|error| unavailable(&error))?;
            let mut places = TopicPartitionList::new();
            let last = i32::try_from(partitions).unwrap_or(i32::MAX) - 1;
            places.add_partition_range(&name, 0, last);
            let places = asking
                .committed_offsets(places, PATIENCE)
                .map_err(|error| unavailable(&error))?;
            let mut committed = vec![None; partitions as usize];
            for place in places.elements() {
                place.error().map_err(|error| unavailable(&error))?;
                let at = usize::try_from(place.partition())
                    .ok()
                    .and_then(|at| committed.get_mut(at));
                if let (Some(at), Offset::Offset(offset)) = (at, place.offset()) {
                    *at = u64::try_from(offset).ok();
                }
            }
            Ok(committed)
        })
        .await
    }
}

/// It waits for its thread.
async fn close(admin: AdminClient<Quiet>) {
    drop(tokio::task::spawn_blocking(move || drop(admin)).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_a_leader_is_waited_for_and_one_that_is_not_there_is_not() {
        let known = Known {
            led: HashMap::from([("led".to_owned(), 3)]),
            leaderless: HashSet::from(["electing".to_owned()]),
        };
        assert!(matches!(known.partitions("led"), Ok(3)));
        assert!(matches!(known.partitions("electing"), Err(Error::Unavailable(_))));
        assert!(matches!(known.partitions("none"), Err(Error::UnknownTopic(_))));
    }
}
