//! Giving dead letters another chance.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use marquee_proto::topic::Topic;

use crate::topics::COORDINATES;
use crate::{Error, EventBus, Message, Outgoing, Polled, Record, TopicPartition, dead_letters};

/// The group that says how far the dead letters were replayed, over all calls.
const GROUP: &str = "marquee-replay";

/// Letters that are published in one go.
const BATCH: usize = 100;

/// Nothing has come for so long: somebody else is replaying the same topic, or the bus is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// What [`replay`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Messages that were published again.
    pub messages: u64,
    /// Dead letters that are left for the next call.
    pub left: u64,
}

/// Publishes up to so many dead letters of a topic on it again, in their order, as the messages that they were: with their
/// id, key, time, trace and attributes. Every group gets them again, not only the one that could not handle them;
/// whoever handled them before knows them by their id.
///
/// The next call, by whichever process, goes on where this one stopped; letters that come while it runs are for the
/// next. If it is killed half way, some are published twice. A letter that is poison still is a new letter afterwards.
///
/// # Errors
/// Those of the bus; [`Error::Unavailable`] too when another replay of the topic is running.
pub async fn replay(bus: &dyn EventBus, topic: &Topic, max: u64) -> Result<Replayed, Error> {
    let letters = dead_letters(topic);
    bus.declare(&[letters]).await?;
    let mut left = waiting(bus, &letters).await?;
    let mut messages = 0;
    if left.is_empty() || max == 0 {
        return Ok(Replayed {
            messages,
            left: count(&left),
        });
    }
    let mut subscription = bus.subscribe(GROUP, &[letters]).await?;
    while messages < max && !left.is_empty() {
        let batch = BATCH.min(usize::try_from(max - messages).unwrap_or(BATCH));
        let polled = tokio::time::timeout(PATIENCE, subscription.poll(batch))
            .await
            .map_err(|_| {
                Error::Unavailable(format!(
                    "no dead letter of `{}` came: is another replay running?",
                    topic.name
                ))
            })?;
        let Polled::Records(records) = polled? else {
            continue;
        };
        let Some(partition) = records.first().map(Record::topic_partition) else {
            continue;
        };
        let Some((next, end)) = left.get_mut(&partition) else {
            // It came after this call.
            subscription.pause(&partition);
            continue;
        };
        let records: Vec<Record> = records
            .into_iter()
            .filter(|record| record.offset < *end)
            .collect();
        let Some(last) = records.last() else {
            left.remove(&partition);
            subscription.pause(&partition);
            continue;
        };
        *next = last.offset + 1;
        let (replayed, done) = (records.len() as u64, *next >= *end);
        let next = *next;
        bus.publish(
            records
                .into_iter()
                .map(|letter| original(topic, letter.message))
                .collect(),
        )
        .await?;
        subscription.commit(&partition, next).await?;
        messages += replayed;
        if done {
            left.remove(&partition);
            subscription.pause(&partition);
        }
    }
    subscription.close().await;
    Ok(Replayed {
        messages,
        left: count(&left),
    })
}

/// The letters that wait to be replayed, by partition: from where, up to where.
async fn waiting(bus: &dyn EventBus, letters: &Topic) -> Result<BTreeMap<TopicPartition, (u64, u64)>, Error> {
    let starts = bus.start_offsets(letters).await?;
    let ends = bus.end_offsets(letters).await?;
    let committed = bus.committed(GROUP, letters).await?;
    let places = (0..).zip(starts.into_iter().zip(ends).zip(committed));
    Ok(places
        .map(|(partition, ((start, end), committed))| {
            let topic = letters.name.into();
            (
                TopicPartition { topic, partition },
                (committed.unwrap_or(0).max(start), end),
            )
        })
        .filter(|(_, (next, end))| next < end)
        .collect())
}

fn count(left: &BTreeMap<TopicPartition, (u64, u64)>) -> u64 {
    left.values().map(|(next, end)| end - next).sum()
}

/// The message that a letter was made of.
fn original(topic: &Topic, mut letter: Message) -> Outgoing {
    letter
        .attributes
        .retain(|(name, _)| !name.starts_with(COORDINATES));
    Outgoing {
        topic: Cow::Borrowed(topic.name),
        message: letter,
    }
}
