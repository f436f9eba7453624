use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use marquee_proto::topic::BusEvent;

/// A message: CloudEvents 1.0 attributes around a protobuf event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `ce_id`: the same for every delivery of the same event; what consumers dedupe by.
    pub id: String,
    /// The aggregate's id, `ce_subject`. Messages of one key stay in order.
    pub key: String,
    /// `ce_type`, for example `marquee.events.event.live`.
    pub event_type: String,
    /// `ce_source`: the service that published it.
    pub source: String,
    /// `ce_time`: when it happened.
    pub time: Timestamp,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
    /// The event, encoded.
    pub value: Bytes,
    /// Further headers, for example where a dead letter came from.
    pub attributes: Vec<(String, String)>,
}

impl Message {
    /// The first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A message on its way to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: Cow<'static, str>,
    /// The message.
    pub message: Message,
}

/// An event that happened now, with a new id, as the next step of what runs now or the first of a new trace.
///
/// The key is the id of the aggregate whose events must stay in order.
pub fn event<E: BusEvent>(key: impl ToString, event: &E) -> Outgoing {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let span = crate::trace::publish(E::TOPIC.name, &id);
    Outgoing {
        topic: Cow::Borrowed(E::TOPIC.name),
        message: Message {
            id,
            key: key.to_string(),
            event_type: event.event_type().unwrap_or_default().to_owned(),
            source: E::TOPIC.source.to_owned(),
            time: Timestamp::now(),
            traceparent: Some(span.context().to_string()),
            value: event.encode_to_vec().into(),
            attributes: Vec::new(),
        },
    }
}
