//! The steps of a trace that a message takes, by the names of the OpenTelemetry conventions for messaging.
//!
//! ```text
//!   call ─ publish <topic> (PRODUCER, when the message is made) ─┬─ send <topic> (CLIENT, the outbox' relay)
//!            its context is the message's traceparent            └─ process <topic> (CONSUMER) ─ publish <topic>.dlq
//! ```

use marquee_telemetry::{Kind, Span, TraceContext, exports_traces};

use crate::{Message, Outgoing, Record};

const SYSTEM: &str = "messaging.system";
const DESTINATION: &str = "messaging.destination.name";
const OPERATION: &str = "messaging.operation.type";
const MESSAGE: &str = "messaging.message.id";

fn span(
    kind: Kind,
    parent: Option<TraceContext>,
    operation: &'static str,
    topic: &str,
    message: &str,
) -> Span {
    let mut span = Span::begin(kind, parent, || format!("{operation} {topic}"));
    span.set(SYSTEM, || "marquee");
    span.set(DESTINATION, || topic.to_owned());
    span.set(OPERATION, || operation);
    span.set(MESSAGE, || message.to_owned());
    span
}

fn parent(message: &Message) -> Option<TraceContext> {
    TraceContext::parse(message.traceparent.as_deref())
}

/// A message is made, by what runs now.
pub(crate) fn publish(topic: &str, id: &str) -> Span {
    span(Kind::Producer, TraceContext::current(), "publish", topic, id)
}

/// These are on their way to the bus; until the spans are dropped.
pub(crate) fn send<'a>(batch: impl IntoIterator<Item = &'a Outgoing>) -> Vec<Span> {
    if !exports_traces() {
        return Vec::new();
    }
    let spans = batch
        .into_iter()
        .map(|Outgoing { topic, message }| span(Kind::Client, parent(message), "send", topic, &message.id));
    spans.collect()
}

/// An attempt to handle a record.
pub(crate) fn process(record: &Record, group: &str) -> Span {
    let message = &record.message;
    let mut span = span(
        Kind::Consumer,
        parent(message),
        "process",
        &record.topic,
        &message.id,
    );
    span.set("messaging.consumer.group.name", || group.to_owned());
    span.set("messaging.destination.partition.id", || {
        record.partition.to_string()
    });
    span
}

/// The step of a record that is handled without a [`Consumer`](crate::Consumer), for example with others in a batch; drop
/// it when that is done. `None` where nobody records it.
pub fn processing(record: &Record, group: &str) -> Option<Span> {
    exports_traces().then(|| process(record, group))
}

/// A record goes to the dead letters, which is what the attempt to handle it came to.
pub(crate) fn bury(letter: &Outgoing) -> Span {
    let message = &letter.message;
    let attempt = TraceContext::current().or_else(|| parent(message));
    span(Kind::Producer, attempt, "publish", &letter.topic, &message.id)
}
