//! Aggregate messages (RTMP 7.1.6): several messages in the form of FLV tags inside one.

use bytes::{Buf, Bytes};

use crate::chunk::{Kind, Message};
use crate::{Error, Result};

/// The rest of an aggregate, taken apart one message at a time so that no list of them is ever held.
#[derive(Debug)]
pub(crate) struct Aggregate {
    rest: Bytes,
    /// Timestamp of the aggregate; the first part's own timestamp corresponds to it.
    timestamp: u32,
    first: Option<u32>,
    chunk_stream: u32,
    stream: u32,
}

impl Aggregate {
    pub(crate) fn new(message: Message) -> Self {
        Self {
            rest: message.payload,
            timestamp: message.timestamp,
            first: None,
            chunk_stream: message.chunk_stream,
            stream: message.stream,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Message>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.rest.len() < 11 {
            return Err(Error::MalformedAggregate {
                why: "ends inside a header",
            });
        }
        let kind = Kind(self.rest.get_u8());
        // Three bytes, so that the conversion loses nothing.
        let length = self.rest.get_uint(3) as usize;
        let low = u32::try_from(self.rest.get_uint(3)).unwrap_or_default();
        let timestamp = u32::from(self.rest.get_u8()) << 24 | low;
        self.rest.advance(3);
        if self.rest.len() < length {
            return Err(Error::MalformedAggregate {
                why: "ends inside a message",
            });
        }
        let payload = self.rest.split_to(length);
        // The back pointer is of no use here, and the last one is left out by some.
        self.rest.advance(self.rest.len().min(4));
        let first = *self.first.get_or_insert(timestamp);
        let timestamp = self.timestamp.wrapping_add(timestamp.wrapping_sub(first));
        Ok(Some(Message {
            chunk_stream: self.chunk_stream,
            timestamp,
            kind,
            stream: self.stream,
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, timestamp: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![
            kind,
            0,
            0,
            u8::try_from(body.len()).unwrap(),
            0,
            0,
            timestamp,
            0,
            0,
            0,
            0,
        ];
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&[0, 0, 0, 11 + u8::try_from(body.len()).unwrap()]);
        bytes
    }

    fn aggregate(payload: Vec<u8>) -> Aggregate {
        let payload = Bytes::from(payload);
        Aggregate::new(Message {
            chunk_stream: 6,
            timestamp: 1000,
            kind: Kind::AGGREGATE,
            stream: 1,
            payload,
        })
    }

    #[test]
    fn parts_keep_their_distance_and_start_at_the_aggregate() {
        let mut parts = aggregate([tag(8, 20, b"a"), tag(9, 43, b"bc")].concat());
        let first = parts.next().unwrap().unwrap();
        assert_eq!(
            (first.kind, first.timestamp, &first.payload[..]),
            (Kind::AUDIO, 1000, &b"a"[..])
        );
        let second = parts.next().unwrap().unwrap();
        assert_eq!(
            (second.kind, second.timestamp, &second.payload[..]),
            (Kind::VIDEO, 1023, &b"bc"[..])
        );
        assert_eq!(parts.next(), Ok(None));
    }

    #[test]
    fn a_part_longer_than_the_aggregate_is_refused() {
        let mut bytes = tag(8, 0, b"abc");
        bytes[3] = 200;
        assert_eq!(
            aggregate(bytes).next(),
            Err(Error::MalformedAggregate {
                why: "ends inside a message"
            })
        );
    }
}
