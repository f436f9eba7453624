//! The thread of a subscription: it makes the consumer, and another one when that failed for good.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use marquee_proto::topic::Topic;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::{Notify, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::events::Events;
use super::failures::Place;
use super::poller::{End, Poller};
use super::shared::{Shared, Wake};
use super::{Settings, unavailable};
use crate::Error;

/// What the member committed goes to the server so often.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// The pause before a consumer that failed for good is replaced, so that a cause that stays does not keep the brokers busy.
const AGAIN: Duration = Duration::from_secs(1);

/// What a subscription's consumers have in common.
pub(super) struct Membership {
    config: ClientConfig,
    pub(super) group: String,
    pub(super) prefix: String,
    /// By their names on the server.
    pub(super) topics: HashMap<String, Arc<str>>,
    pub(super) shared: Arc<Shared>,
}

impl Membership {
    pub(super) fn new(settings: &Settings, group: &str, topics: &[Topic], place: Place) -> Self {
        let session = settings.session_timeout.as_millis();
        let mut config = settings.client();
        config
            .set("group.id", format!("{}{group}", settings.prefix))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.to_string())
            // Members hear of a rebalance by their next heartbeat.
            .set(
                "heartbeat.interval.ms",
                (session / 20).clamp(100, 3_000).to_string(),
            )
            // Of what is stored, which is what the member committed. An answer to a commit of one's own that is not waited for
            // never comes: the binding asks for none.
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", COMMIT_EVERY.as_millis().to_string())
            .set("enable.auto.offset.store", "false")
            // A new group begins at the earliest record, and so does one whose place is no longer kept.
            .set("auto.offset.reset", "earliest")
            // A partition that is new or resumed waits for the fetch that is under way.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "20")
            .set("max.partition.fetch.bytes", (1 << 20).to_string())
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", (16 << 10).to_string())
            .set("statistics.interval.ms", "3000");
        Self {
            config,
            group: group.to_owned(),
            prefix: settings.prefix.clone(),
            topics: topics
                .iter()
                .map(|topic| (format!("{}{}", settings.prefix, topic.name), topic.name.into()))
                .collect(),
            shared: Arc::new(Shared {
                state: Mutex::default(),
                arrived: Notify::new(),
                wake: Wake::default(),
                place,
            }),
        }
    }

    /// A static member's name, which another consumer can take.
    #[cfg(test)]
    pub(super) fn instance(mut self, name: &str) -> Self {
        self.config.set("group.instance.id", name);
        self
    }

    fn consumer(&self) -> Result<BaseConsumer<Events>, Error> {
        let mut consumer: BaseConsumer<Events> = self
            .config
            .create_with_context(Events::default())
            .map_err(|error| unavailable(&error))?;
        let wake = self.shared.clone();
        consumer.set_nonempty_callback(move || wake.wake.wake());
        let names: Vec<&str> = self.topics.keys().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| unavailable(&error))?;
        Ok(consumer)
    }

    /// Joins the group; the answer comes when the thread has ended.
    pub(super) fn start(
        self,
        token: TaskTrackerToken,
    ) -> Result<(Arc<Shared>, oneshot::Receiver<()>), Error> {
        let consumer = self.consumer()?;
        let shared = self.shared.clone();
        let (leaving, left) = oneshot::channel();
        std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || {
                // Dropped from the last to the first: the group is left before anybody hears of it.
                let (_token, _leaving) = (token, leaving);
                let _ended = Ended(self.shared.clone(), &self.group);
                self.run(consumer);
            })
            .map_err(|error| Error::Unavailable(format!("kafka: no thread: {error}")))?;
        Ok((shared, left))
    }

    fn run(&self, consumer: BaseConsumer<Events>) {
        let mut end = Poller::new(self, consumer).run();
        while let End::Failed(reason) = end {
            let Self { group, shared, .. } = self;
            tracing::error!(
                group,
                reason,
                "kafka's consumer failed for good, making another one"
            );
            shared.place.failed(format!(
                "the consumer of the group `{group}` failed for good ({reason}); another one is made"
            ));
            // It has lost its partitions. What the member has in hand of them comes again.
            shared.state.lock().group.lost();
            shared.arrived.notify_one();
            let again = Instant::now() + AGAIN;
            while let Some(left) = again.checked_duration_since(Instant::now()) {
                if shared.state.lock().leaving {
                    return;
                }
                shared.wake.wait(left);
            }
            end = match self.consumer() {
                Ok(consumer) => Poller::new(self, consumer).run(),
                Err(error) => End::Failed(error.to_string()),
            };
        }
    }
}

/// Tells the member that nothing more comes, however the thread ends.
struct Ended<'a>(Arc<Shared>, &'a str);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let Self(shared, group) = self;
        let mut state = shared.state.lock();
        state.ended = true;
        if !state.leaving {
            shared
                .place
                .failed(format!("the consumer of the group `{group}` has ended"));
        }
        drop(state);
        shared.arrived.notify_one();
    }
}
