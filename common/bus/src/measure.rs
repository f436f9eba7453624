//! What is measured, by the names of the OpenTelemetry conventions for messaging, the same for every adapter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Outgoing, Polled};

const DESTINATION: &str = "messaging_destination_name";
const GROUP: &str = "messaging_consumer_group_name";

/// A call of `publish` that is under way.
pub(crate) struct Publishing {
    began: Instant,
    topics: BTreeMap<String, u64>,
}

impl Publishing {
    pub(crate) fn begin(messages: &[Outgoing]) -> Self {
        let mut topics: BTreeMap<String, u64> = BTreeMap::new();
        for outgoing in messages {
            match topics.get_mut(&*outgoing.topic) {
                Some(count) => *count += 1,
                None => drop(topics.insert(outgoing.topic.to_string(), 1)),
            }
        }
        Self {
            began: Instant::now(),
            topics,
        }
    }

    pub(crate) fn end(self, published: bool) {
        let took = self.began.elapsed();
        for (topic, count) in self.topics {
            metrics::histogram!("messaging_publish_duration_seconds", DESTINATION => topic.clone())
                .record(took);
            if published {
                metrics::counter!("messaging_client_sent_messages_total", DESTINATION => topic)
                    .increment(count);
            }
        }
    }
}

/// Records on their way to a consumer.
pub(crate) fn consumed(group: &str, polled: &Polled) {
    if let Polled::Records(records) = polled
        && let Some(first) = records.first()
    {
        metrics::counter!(
            "messaging_client_consumed_messages_total", DESTINATION => first.topic.clone(), GROUP => group.to_owned()
        )
        .increment(records.len() as u64);
    }
}

/// A handler took so long for one message.
pub(crate) fn processed(group: &str, topic: &Arc<str>, took: Duration) {
    metrics::histogram!("messaging_process_duration_seconds", DESTINATION => topic.clone(), GROUP => group.to_owned())
        .record(took);
}

/// A handler failed and is asked again.
pub(crate) fn retried(group: &str, topic: &Arc<str>) {
    metrics::counter!("marquee_consumer_retries_total", DESTINATION => topic.clone(), GROUP => group.to_owned())
        .increment(1);
}

/// A message went to the dead letters.
pub(crate) fn buried(group: &str, topic: &Arc<str>) {
    metrics::counter!("marquee_consumer_dead_letters_total", DESTINATION => topic.clone(), GROUP => group.to_owned())
        .increment(1);
}

/// How many messages of a topic the group has before it, in the partitions that are this member's.
pub(crate) fn lag(group: &str, topic: &Arc<str>, messages: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("marquee_consumer_lag_messages", DESTINATION => topic.clone(), GROUP => group.to_owned())
        .set(messages as f64);
}

/// How often the lag is told.
pub(crate) const LAG_EVERY: Duration = Duration::from_secs(1);
