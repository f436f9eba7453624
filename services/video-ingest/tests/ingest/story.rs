//! What the service says on the bus.

use std::collections::VecDeque;
use std::time::Duration;

use marquee_bus::{EventBus, Polled, Subscription};
use marquee_proto::topic::{RECORDING, STREAM, Topic};
use marquee_proto::video_ingest::v1::stream_changed::Change;
use marquee_proto::video_ingest::v1::{
    LiveStream, Recording, RecordingChanged, StreamChanged, recording_changed,
};
use prost::Message as _;
use tokio::time::timeout;

/// How long an event may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// The events of one topic, in order.
pub(crate) struct Story {
    subscription: Box<dyn Subscription>,
    records: VecDeque<marquee_bus::Message>,
}

impl Story {
    async fn of(bus: &dyn EventBus, topic: Topic) -> Self {
        Self {
            subscription: bus
                .subscribe(&uuid::Uuid::new_v4().to_string(), &[topic])
                .await
                .unwrap(),
            records: VecDeque::new(),
        }
    }

    pub(crate) async fn of_streams(bus: &dyn EventBus) -> Self {
        Self::of(bus, STREAM).await
    }

    pub(crate) async fn of_recordings(bus: &dyn EventBus) -> Self {
        Self::of(bus, RECORDING).await
    }

    pub(crate) async fn next(&mut self) -> marquee_bus::Message {
        while self.records.is_empty() {
            if let Polled::Records(records) = self.subscription.poll(100).await.unwrap() {
                self.records
                    .extend(records.into_iter().map(|record| record.message));
            }
        }
        self.records.pop_front().unwrap()
    }

    /// The next event, which is of this type; returns the stream in it.
    pub(crate) async fn expect(&mut self, event_type: &str) -> LiveStream {
        let message = timeout(LIMIT, self.next())
            .await
            .unwrap_or_else(|_| panic!("waited for {event_type}"));
        assert_eq!(
            message.event_type,
            format!("marquee.video-ingest.stream.{event_type}")
        );
        let stream = match StreamChanged::decode(message.value).unwrap().change.unwrap() {
            Change::Started(event) => event.live_stream,
            Change::Interrupted(event) => event.live_stream,
            Change::Resumed(event) => event.live_stream,
            Change::Ended(event) => event.live_stream,
        };
        let stream = stream.unwrap();
        assert_eq!(message.key, stream.name);
        stream
    }

    /// The next event, which says that a recording is ready.
    pub(crate) async fn expect_recording(&mut self) -> Recording {
        let message = timeout(LIMIT, self.next()).await.expect("waited for a recording");
        match RecordingChanged::decode(message.value).unwrap().change.unwrap() {
            recording_changed::Change::Ready(ready) => ready.recording.unwrap(),
            recording_changed::Change::Deleted(_) => panic!("it was deleted"),
        }
    }

    /// The next event that says that a recording is ready.
    pub(crate) async fn expect_ready(&mut self) -> Recording {
        loop {
            let message = timeout(LIMIT, self.next()).await.expect("waited for a recording");
            if let Some(recording_changed::Change::Ready(ready)) =
                RecordingChanged::decode(message.value).unwrap().change
            {
                return ready.recording.unwrap();
            }
        }
    }

    /// The next event says that a recording was deleted.
    pub(crate) async fn expect_deleted(&mut self) -> Recording {
        let message = timeout(LIMIT, self.next()).await.expect("waited for a deletion");
        match RecordingChanged::decode(message.value).unwrap().change.unwrap() {
            recording_changed::Change::Deleted(deleted) => deleted.recording.unwrap(),
            recording_changed::Change::Ready(_) => panic!("it became ready again"),
        }
    }
}

/// How many events there ever were on a topic.
pub(crate) async fn count(bus: &dyn EventBus, topic: &Topic) -> u64 {
    bus.end_offsets(topic).await.unwrap().iter().sum()
}
