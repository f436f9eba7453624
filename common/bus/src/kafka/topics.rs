//! What topics the cluster has, and where they begin and end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::topic::Topic;
use parking_lot::RwLock;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
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

pub(super) struct Topics {
    settings: Arc<Settings>,
    producer: Arc<Producer>,
    /// Topics that exist, and their partitions.
    known: RwLock<HashMap<String, u32>>,
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
            topics
                .iter()
                .filter(|topic| !known.contains_key(topic.name))
                .copied()
                .collect()
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
        let known = self.known.read();
        for topic in topics {
            match known.get(topic.name) {
                Some(found) if *found != topic.partitions => {
                    return Err(Error::TopicMismatch {
                        topic: topic.name.to_owned(),
                        found: *found,
                        declared: topic.partitions,
                    });
                }
                Some(_) => {}
                None => return Err(Error::UnknownTopic(topic.name.to_owned())),
            }
        }
        Ok(())
    }

    fn knows(&self, topics: &[Topic]) -> bool {
        let known = self.known.read();
        topics.iter().all(|topic| known.contains_key(topic.name))
    }

    async fn create(&self, topics: &[Topic]) -> Result<(), Error> {
        let admin: AdminClient<Quiet> = self
            .settings
            .client()
            .create_with_context(Quiet)
            .map_err(|error| unavailable(&error))?;
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
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        let results = admin.create_topics(&new, &options).await;
        // It waits for its thread.
        drop(tokio::task::spawn_blocking(move || drop(admin)).await);
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

    /// Notes all topics that there are and that can be written.
    async fn look(&self) -> Result<(), Error> {
        let (producer, prefix) = (self.producer.clone(), self.settings.prefix.clone());
        let found = blocking(move || {
            let client = producer.client();
            let metadata = client
                .client()
                .fetch_metadata(None, PATIENCE)
                .map_err(|error| unavailable(&error))?;
            let led = metadata.topics().iter().filter(|topic| {
                topic.error().is_none()
                    && !topic.partitions().is_empty()
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            });
            Ok(led
                .filter_map(|topic| {
                    let partitions = u32::try_from(topic.partitions().len()).ok()?;
                    Some((topic.name().strip_prefix(&prefix)?.to_owned(), partitions))
                })
                .collect::<HashMap<_, _>>())
        });
        *self.known.write() = found.await?;
        Ok(())
    }

    /// # Errors
    /// [`Error::UnknownTopic`] when one of them does not exist.
    pub(super) async fn check_known(&self, names: impl Iterator<Item = &str> + Clone) -> Result<(), Error> {
        let unknown = |topics: &Self| {
            let known = topics.known.read();
            names
                .clone()
                .find(|name| !known.contains_key(*name))
                .map(str::to_owned)
        };
        if unknown(self).is_none() {
            return Ok(());
        }
        self.look().await?;
        match unknown(self) {
            None => Ok(()),
            Some(name) => Err(Error::UnknownTopic(name)),
        }
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, Error> {
        self.check_known(std::iter::once(topic.name)).await?;
        let partitions = self.known.read().get(topic.name).copied();
        partitions.ok_or_else(|| Error::UnknownTopic(topic.name.to_owned()))
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
