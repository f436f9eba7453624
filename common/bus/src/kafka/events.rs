//! What librdkafka tells a subscription's thread while it is polled.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use super::context;
use super::group::Place;

/// What librdkafka tells while it is polled.
#[derive(Default)]
pub(super) struct Events {
    /// How often it told something; polling says "nothing" for that too.
    pub(super) count: AtomicU64,
    pub(super) leaving: AtomicBool,
    /// The group has said which partitions are its own.
    pub(super) joined: AtomicBool,
    pub(super) rebalances: Mutex<VecDeque<Rebalance>>,
    /// Where partitions stand, once the server has told it again.
    pub(super) places: Mutex<Option<HashMap<(String, i32), Place>>>,
}

pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke {
        partitions: TopicPartitionList,
        lost: bool,
    },
}

impl Events {
    fn happened(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.happened();
        context::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.happened();
        context::trouble(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.happened();
        let mut places = HashMap::new();
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                // Below zero it is not known yet.
                if let Ok(end) = u64::try_from(partition.hi_offset.max(partition.ls_offset)) {
                    let place = Place {
                        start: u64::try_from(partition.lo_offset).unwrap_or(0),
                        end,
                        committed: u64::try_from(partition.committed_offset).ok(),
                    };
                    places.insert((name.clone(), number), place);
                }
            }
        }
        *self.places.lock() = Some(places);
    }
}

impl ConsumerContext for Events {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.happened();
        let assign = matches!(code, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        if assign {
            self.joined.store(true, Ordering::Relaxed);
        }
        // At the end there is nobody to ask. With nothing to say, neither.
        if self.leaving.load(Ordering::Relaxed) || partitions.count() == 0 {
            let done = if assign {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            return report(done, "rebalance");
        }
        // Otherwise it goes on when the member has been asked. The consumer waits for that and stays in the group.
        let partitions = partitions.clone();
        self.rebalances.lock().push_back(if assign {
            Rebalance::Assign(partitions)
        } else {
            let lost = consumer.assignment_lost();
            Rebalance::Revoke { partitions, lost }
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.happened();
        if let Err(error) = result {
            tracing::debug!(%error, "cannot commit, trying again");
        }
    }
}

/// What goes wrong here goes on by itself, or is seen elsewhere.
pub(super) fn report(result: KafkaResult<()>, what: &str) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "kafka refused");
    }
}
