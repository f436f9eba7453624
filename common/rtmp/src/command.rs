//! Command messages (RTMP 7.1.1): a name, a transaction, an object, arguments.

use bytes::{Bytes, BytesMut};

use crate::amf0::{self, AmfLimits, Value};
use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) transaction: f64,
    pub(crate) object: Value,
    pub(crate) arguments: Vec<Value>,
}

impl Command {
    pub(crate) fn parse(payload: &[u8], limits: AmfLimits) -> Result<Self> {
        let mut values = amf0::decode_all(payload, limits)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(Error::MalformedCommand {
                command: "unnamed",
                why: "does not begin with a name",
            });
        };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self {
            name,
            transaction,
            object,
            arguments: values.collect(),
        })
    }

    pub(crate) fn new(name: &str, transaction: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            object,
            arguments,
        }
    }

    /// `onStatus` (RTMP 7.2.2): how a server tells about a stream.
    pub(crate) fn on_status(level: &str, code: &str, description: &str) -> Self {
        let status = Value::object([
            ("level", level.into()),
            ("code", code.into()),
            ("description", description.into()),
        ]);
        Self::new("onStatus", 0.0, Value::Null, vec![status])
    }

    pub(crate) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        amf0::encode(&Value::String(self.name.clone()), &mut out);
        amf0::encode(&Value::Number(self.transaction), &mut out);
        amf0::encode(&self.object, &mut out);
        for argument in &self.arguments {
            amf0::encode(argument, &mut out);
        }
        out
    }

    pub(crate) fn text_argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(Value::as_str)
    }
}

/// The AMF0 values inside an AMF3 message: its first byte is 0, and what follows is AMF0, where a marker switches to AMF3
/// for one value.
pub(crate) fn unwrap_amf3(payload: &Bytes) -> Bytes {
    match payload.first() {
        Some(0) => payload.slice(1..),
        _ => payload.clone(),
    }
}

/// A data message without the `@setDataFrame` that tells a server to keep it: what players are sent.
pub(crate) fn without_set_data_frame(payload: &Bytes) -> Bytes {
    const PREFIX: &[u8] = b"\x02\x00\x0d@setDataFrame";
    if payload.starts_with(PREFIX) {
        payload.slice(PREFIX.len()..)
    } else {
        payload.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_back() {
        let command = Command::new("publish", 5.0, Value::Null, vec!["key".into(), "live".into()]);
        assert_eq!(
            Command::parse(&command.encode(), AmfLimits::default()),
            Ok(command)
        );
    }

    #[test]
    fn set_data_frame_is_taken_off() {
        let mut payload = BytesMut::new();
        amf0::encode(&"@setDataFrame".into(), &mut payload);
        amf0::encode(&"onMetaData".into(), &mut payload);
        assert_eq!(
            &without_set_data_frame(&payload.freeze())[..],
            b"\x02\x00\x0aonMetaData"
        );
    }

    #[test]
    fn a_command_without_a_name_is_refused() {
        assert!(matches!(
            Command::parse(&[0x05], AmfLimits::default()),
            Err(Error::MalformedCommand {
                command: "unnamed",
                ..
            })
        ));
    }
}
