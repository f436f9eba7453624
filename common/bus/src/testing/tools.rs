use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_proto::topic::Topic;

use crate::{EventBus, Message, Outgoing, Polled, Record, Subscription};

/// A bus to test.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// Makes an empty one, or one that is as good as empty.
    fn start() -> impl Future<Output = Self> + Send;
    /// The bus; whoever has it drops it before [`restart`](Self::restart).
    fn bus(&self) -> Arc<dyn EventBus>;
    /// Stops the bus and starts it again on the same data.
    fn restart(self) -> impl Future<Output = Self> + Send;
    /// Lets everything that is on the topic now become older than the topic keeps it.
    fn expire(&self, topic: &Topic) -> impl Future<Output = ()> + Send;
}

/// Everything here is local; what takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(20);

/// A topic of its own, so that cases can share a server.
pub fn topic(partitions: u32) -> Topic {
    let name = format!("marquee.test.{}.v1", uuid::Uuid::now_v7().simple());
    Topic {
        name: name.leak(),
        source: "test",
        partitions,
        retention: Duration::from_secs(3600),
    }
}

/// A message whose value is the text.
pub fn message(topic: &Topic, key: &str, value: &str) -> Outgoing {
    Outgoing {
        topic: Cow::Borrowed(topic.name),
        message: Message {
            id: uuid::Uuid::now_v7().simple().to_string(),
            key: key.to_owned(),
            event_type: "test.happened".to_owned(),
            source: "test".to_owned(),
            time: Timestamp::now(),
            value: value.as_bytes().to_vec().into(),
            ..Message::default()
        },
    }
}

/// Polls until so many records came.
pub async fn collect(subscription: &mut dyn Subscription, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let collecting = async {
        while records.len() < count {
            if let Polled::Records(more) = subscription.poll(100).await.unwrap() {
                records.extend(more);
            }
        }
    };
    let done = tokio::time::timeout(LIMIT, collecting).await.is_ok();
    assert!(done, "{} of {count} records came", records.len());
    records
}

/// The values, by partition, in the order in which they came.
pub fn values(records: &[Record]) -> BTreeMap<u32, Vec<String>> {
    let mut values: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for record in records {
        let value = String::from_utf8_lossy(&record.message.value).into_owned();
        values.entry(record.partition).or_default().push(value);
    }
    values
}

/// Waits until the condition holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "{what}");
}

/// Ends by itself if what is waited for never comes.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}"),
    }
}
