use std::sync::Arc;

use async_trait::async_trait;
use marquee_proto::topic::Topic;

use crate::{Error, Message, Outgoing};

/// A durable, partitioned log of messages.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Makes sure that the topics exist.
    ///
    /// # Errors
    /// [`Error::TopicMismatch`] when one exists otherwise.
    async fn declare(&self, topics: &[Topic]) -> Result<(), Error>;

    /// Publishes all of them. They are durable when this returns. Messages of one key keep their order, within the
    /// call and after the calls that returned before. After an error some may have been published: publish again, and
    /// let consumers dedupe by [`Message::id`].
    async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), Error>;

    /// Joins a group. The group's members share the partitions; a new group starts at the earliest record.
    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Subscription>, Error>;

    /// The offset of the earliest record of each partition that is kept; where the next record will be when there is none.
    async fn start_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error>;

    /// The offset that the next record of each partition will get.
    async fn end_offsets(&self, topic: &Topic) -> Result<Vec<u64>, Error>;

    /// Where the group goes on in each partition; `None` where it never committed.
    async fn committed(&self, group: &str, topic: &Topic) -> Result<Vec<Option<u64>>, Error>;

    /// Whether the bus can be reached, from what is known already: for readiness.
    ///
    /// # Errors
    /// What is the matter with it, in words.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A member of a group. Dropping it leaves the group.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next thing to happen. May be dropped while waiting without losing anything. What is on a topic and
    /// is no message of ours is delivered too, and says so: [`Message::damage`].
    ///
    /// Rebalancing is cooperative: after [`Polled::Revoked`], finish and commit what is in hand of those partitions;
    /// the next poll gives them up. Other partitions go on meanwhile. A bus with other processes on it does not wait for
    /// that poll for ever. Records read but not committed come again, to whoever has the partition next.
    async fn poll(&mut self, max: usize) -> Result<Polled, Error>;

    /// Says that everything before `next_offset` was handled. It survives a restart; a crash right after (or leaving
    /// without [`close`](Self::close)) may lose the last commits, and then those records come again.
    ///
    /// # Errors
    /// [`Error::NotAssigned`] when another member has the partition by now.
    async fn commit(&mut self, partition: &TopicPartition, next_offset: u64) -> Result<(), Error>;

    /// Goes on at another offset. A position before the earliest kept record means the earliest. Right after
    /// [`Polled::Assigned`] it says where to begin.
    fn seek(&mut self, partition: &TopicPartition, offset: u64);

    /// Delivers nothing of the partition until it is resumed; how a consumer that is busy with it says so. Cleared
    /// when the partition is assigned anew.
    fn pause(&mut self, partition: &TopicPartition);

    /// Delivers the partition again.
    fn resume(&mut self, partition: &TopicPartition);

    /// Leaves the group, as dropping does, and waits until what was committed is stored and the others may take over;
    /// for a few seconds at most. Who is about to exit calls this.
    async fn close(self: Box<Self>) {}
}

/// What [`Subscription::poll`] came to.
#[derive(Debug)]
pub enum Polled {
    /// These partitions are this member's from now on, at the group's committed offsets.
    Assigned(Vec<TopicPartition>),
    /// These go to another member with the next poll.
    Revoked(Vec<TopicPartition>),
    /// Records of one partition, in order.
    Records(Vec<Record>),
}

/// A message with its place.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The place in the partition, without gaps.
    pub offset: u64,
    /// The message.
    pub message: Message,
}

impl Record {
    /// Where it is from.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.clone(),
            partition: self.partition,
        }
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: u32,
}
