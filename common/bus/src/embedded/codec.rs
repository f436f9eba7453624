//! How messages lie in a blob: each behind its length, strings behind theirs.

use bytes::{Buf, Bytes};
use jiff::Timestamp;

use crate::Message;

/// Appends a message.
pub(crate) fn encode(message: &Message, into: &mut Vec<u8>) {
    into.extend_from_slice(&message.time.as_second().to_le_bytes());
    into.extend_from_slice(&message.time.subsec_nanosecond().to_le_bytes());
    for text in [&message.id, &message.key, &message.event_type, &message.source] {
        put(text, into);
    }
    // An absent trace context is an empty one: the empty text is no valid trace context.
    put(message.traceparent.as_deref().unwrap_or_default(), into);
    put_length(message.attributes.len(), into);
    for (name, value) in &message.attributes {
        put(name, into);
        put(value, into);
    }
    into.extend_from_slice(&message.value);
}

/// Reads one; `None` when the bytes are damaged. The value is a slice of the bytes and copies nothing.
pub(crate) fn decode(bytes: &mut Bytes) -> Option<Message> {
    let seconds = bytes.try_get_i64_le().ok()?;
    let nanoseconds = bytes.try_get_i32_le().ok()?;
    let time = Timestamp::new(seconds, nanoseconds).ok()?;
    let (id, key, event_type, source) = (take(bytes)?, take(bytes)?, take(bytes)?, take(bytes)?);
    let traceparent = Some(take(bytes)?).filter(|text| !text.is_empty());
    let mut attributes = Vec::new();
    for _ in 0..take_length(bytes)? {
        attributes.push((take(bytes)?, take(bytes)?));
    }
    let value = std::mem::take(bytes);
    Some(Message {
        id,
        key,
        event_type,
        source,
        time,
        traceparent,
        value,
        attributes,
    })
}

/// Appends a message behind its length, for [`next_record`].
pub(crate) fn push_record(message: &Message, into: &mut Vec<u8>) {
    let at = into.len();
    into.extend_from_slice(&[0; 4]);
    encode(message, into);
    // A message is far smaller than 4 GiB: publishing checks it.
    let length = u32::try_from(into.len() - at - 4).unwrap_or(u32::MAX);
    into[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes the next message's bytes off a blob; `None` when there is none or the blob is damaged.
pub(crate) fn next_record(blob: &mut Bytes) -> Option<Bytes> {
    let length = blob.try_get_u32_le().ok()? as usize;
    (length <= blob.len()).then(|| blob.split_to(length))
}

fn put(text: &str, into: &mut Vec<u8>) {
    put_length(text.len(), into);
    into.extend_from_slice(text.as_bytes());
}

/// LEB128, as in protobuf.
fn put_length(mut length: usize, into: &mut Vec<u8>) {
    while length >= 0x80 {
        into.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
}

fn take(bytes: &mut Bytes) -> Option<String> {
    let length = take_length(bytes)?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?.to_owned();
    bytes.advance(length);
    Some(text)
}

fn take_length(bytes: &mut Bytes) -> Option<usize> {
    let mut length = 0;
    for shift in (0..35).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        (
            (".*", ".*", ".*", ".*", proptest::option::of("[0-9a-f-]{1,55}")),
            (
                -1_000_000_000_000i64..1_000_000_000_000,
                any::<Vec<u8>>(),
                proptest::collection::vec((".*", ".*"), 0..4),
            ),
        )
            .prop_map(
                |((id, key, event_type, source, traceparent), (micros, value, attributes))| Message {
                    id,
                    key,
                    event_type,
                    source,
                    traceparent,
                    time: Timestamp::from_microsecond(micros).unwrap(),
                    value: value.into(),
                    attributes,
                },
            )
    }

    proptest! {
        #[test]
        fn every_message_is_read_as_it_was_written(messages in proptest::collection::vec(message(), 0..8)) {
            let mut blob = Vec::new();
            messages.iter().for_each(|message| push_record(message, &mut blob));
            let mut blob = Bytes::from(blob);
            for message in &messages {
                let read = decode(&mut next_record(&mut blob).unwrap());
                prop_assert_eq!(read.as_ref(), Some(message));
            }
            prop_assert_eq!(next_record(&mut blob), None);
        }

        #[test]
        fn damaged_bytes_are_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            let mut blob = Bytes::from(bytes.clone());
            while let Some(mut record) = next_record(&mut blob) {
                decode(&mut record);
            }
            decode(&mut Bytes::from(bytes));
        }
    }
}
