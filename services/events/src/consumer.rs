//! What other services tell on the bus.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_bus::{Delivery, Handler, HandlerError};
use marquee_proto::name::LiveStreamName;
use marquee_proto::time::from_proto;
use marquee_proto::video_ingest::v1::{
    LiveStream, RecordingChanged, StreamChanged, recording_changed, stream_changed,
};

use crate::app::{App, Stream};
use crate::config::micros;

/// Turns events live and over as video-ingest tells of their streams.
pub(crate) struct Streams(pub(crate) Arc<App>);

#[async_trait]
impl Handler<StreamChanged> for Streams {
    async fn handle(&self, delivery: Delivery<StreamChanged>) -> Result<(), HandlerError> {
        use stream_changed::Change;
        match delivery.event.change {
            Some(Change::Started(started)) => {
                let live_stream = present(started.live_stream, "live_stream")?;
                let stream = Stream {
                    name: stream_name(&live_stream.name)?,
                    start: time(live_stream.start_time.as_ref(), delivery.time),
                    playback_path: live_stream.playback_path,
                };
                Ok(self.0.stream_started(&stream).await?)
            }
            Some(Change::Ended(ended)) => {
                let live_stream: LiveStream = present(ended.live_stream, "live_stream")?;
                let end = time(live_stream.end_time.as_ref(), delivery.time);
                Ok(self.0.stream_ended(&stream_name(&live_stream.name)?, end).await?)
            }
            // The event stays live within the grace period, which video-ingest keeps.
            Some(Change::Interrupted(_) | Change::Resumed(_)) => Ok(()),
            None => Err(HandlerError::Poison("the message says of no change".into())),
        }
    }
}

#[async_trait]
impl Handler<RecordingChanged> for Streams {
    async fn handle(&self, delivery: Delivery<RecordingChanged>) -> Result<(), HandlerError> {
        use recording_changed::Change;
        match delivery.event.change {
            Some(Change::Ready(ready)) => {
                let recording = present(ready.recording, "recording")?;
                let live_stream = stream_name(&recording.live_stream)?;
                Ok(self
                    .0
                    .recording_ready(&live_stream, &recording.playback_path)
                    .await?)
            }
            Some(Change::Deleted(deleted)) => {
                let recording = present(deleted.recording, "recording")?;
                Ok(self
                    .0
                    .recording_deleted(&stream_name(&recording.live_stream)?)
                    .await?)
            }
            None => Err(HandlerError::Poison("the message says of no change".into())),
        }
    }
}

fn present<T>(field: Option<T>, name: &str) -> Result<T, HandlerError> {
    field.ok_or_else(|| HandlerError::Poison(format!("the message has no {name}").into()))
}

fn stream_name(name: &str) -> Result<LiveStreamName, HandlerError> {
    name.parse()
        .map_err(|error| HandlerError::Poison(Box::new(error)))
}

/// The time that the message tells, or else when it was sent.
fn time(told: Option<&prost_types::Timestamp>, sent: Timestamp) -> Timestamp {
    micros(told.and_then(from_proto).unwrap_or(sent))
}
