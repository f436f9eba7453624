//! A member of a group: the async side of a subscription.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::shared::Shared;
use super::thread::Membership;
use crate::{Error, Polled, Subscription, TopicPartition, measure};

/// Leaving a group takes so long at most, for who waits for it.
const LEAVE: Duration = Duration::from_secs(5);

pub(super) struct Member {
    shared: Arc<Shared>,
    group: String,
    /// Ends with the poller.
    left: Option<oneshot::Receiver<()>>,
}

impl Member {
    pub(super) fn join(membership: Membership, token: TaskTrackerToken) -> Result<Self, Error> {
        let group = membership.group.clone();
        let (shared, left) = membership.start(token)?;
        Ok(Self {
            shared,
            group,
            left: Some(left),
        })
    }
}

#[async_trait]
impl Subscription for Member {
    async fn poll(&mut self, max: usize) -> Result<Polled, Error> {
        let max = max.max(1);
        let mut begin = true;
        loop {
            let (polled, work) = {
                let mut state = self.shared.state.lock();
                if begin {
                    state.group.polled();
                }
                if state.ended {
                    return Err(Error::Unavailable("kafka: the consumer has ended".to_owned()));
                }
                let polled = state.group.next(max);
                let work = begin || state.group.has_work();
                (polled, work)
            };
            // What the poller waits for has happened, or there is room again.
            if work && (begin || polled.is_some()) {
                self.shared.wake.wake();
            }
            begin = false;
            if let Some(polled) = polled {
                measure::consumed(&self.group, &polled);
                return Ok(polled);
            }
            self.shared.arrived.notified().await;
        }
    }

    async fn commit(&mut self, partition: &TopicPartition, next_offset: u64) -> Result<(), Error> {
        if !self.shared.state.lock().group.commit(partition, next_offset) {
            return Err(Error::NotAssigned {
                topic: partition.topic.to_string(),
                partition: partition.partition,
            });
        }
        self.shared.wake.wake();
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: u64) {
        self.shared.state.lock().group.seek(partition, offset);
        self.shared.wake.wake();
    }

    fn pause(&mut self, partition: &TopicPartition) {
        self.shared.state.lock().group.pause(partition, true);
    }

    fn resume(&mut self, partition: &TopicPartition) {
        self.shared.state.lock().group.pause(partition, false);
    }

    async fn close(mut self: Box<Self>) {
        self.leave();
        if let Some(left) = self.left.take()
            && tokio::time::timeout(LEAVE, left).await.is_err()
        {
            tracing::warn!(
                group = self.group,
                "cannot leave the group in time: the others wait until this member is missed"
            );
        }
    }
}

impl Member {
    fn leave(&self) {
        self.shared.state.lock().leaving = true;
        self.shared.wake.wake();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
