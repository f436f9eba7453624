use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use marquee_proto::topic::BusEvent;

use crate::Error;
use crate::topics::{DEAD_LETTER_ROOM, DEAD_LETTERS};

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
    /// Why this is no message of ours but whatever lay on the topic, for example because somebody else wrote there:
    /// nobody handles it, it belongs to the dead letters. `None` of every sound message.
    pub fn damage(&self) -> Option<&str> {
        self.attribute(DAMAGE)
    }

    /// The first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.id, &self.key, &self.event_type, &self.source].map(String::len);
        let attributes = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4);
        let traceparent = self.traceparent.as_ref().map_or(0, String::len);
        32 + texts.into_iter().chain(attributes).sum::<usize>() + traceparent + self.value.len()
    }
}

/// The attribute that says what is wrong with a message.
pub(crate) const DAMAGE: &str = "damage";

/// Marks a message as damaged.
pub(crate) fn damaged(message: &mut Message, reason: &str) {
    message
        .attributes
        .insert(0, (DAMAGE.to_owned(), reason.to_owned()));
}

/// Bytes of one message at most, attributes included: what every bus takes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A message on its way to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: Cow<'static, str>,
    /// The message.
    pub message: Message,
}

impl Outgoing {
    /// Checks that a bus will take it. Whoever keeps messages to publish them later asks before: one that is refused
    /// would keep everything behind it waiting for ever.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check(&self) -> Result<(), Error> {
        self.check_within(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn check_within(&self, limit: usize) -> Result<(), Error> {
        let limit = limit
            + if self.topic.ends_with(DEAD_LETTERS) {
                DEAD_LETTER_ROOM
            } else {
                0
            };
        let size = self.message.size();
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }
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
