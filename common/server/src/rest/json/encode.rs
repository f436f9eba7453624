use prost_reflect::{
    DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, SerializeOptions, Value,
};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::is_well_known;

/// The largest integer that every JSON reader keeps exactly (RFC 8259 section 6).
const MAX_SAFE: u64 = (1 << 53) - 1;

const WELL_KNOWN: SerializeOptions = SerializeOptions::new().use_proto_field_name(true);

/// Serializes a message: proto field names, scalars and lists also when they have their default value, integers as
/// numbers within ±(2^53 - 1) and as strings beyond.
pub(crate) struct Json<'a>(pub(crate) &'a DynamicMessage);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let descriptor = self.0.descriptor();
        if is_well_known(descriptor.full_name()) {
            return self.0.serialize_with_options(serializer, &WELL_KNOWN);
        }
        let mut map = serializer.serialize_map(None)?;
        for field in descriptor.fields() {
            if field.supports_presence() && !self.0.has_field(&field) {
                continue;
            }
            let value = self.0.get_field(&field);
            map.serialize_entry(
                field.name(),
                &Element {
                    value: &value,
                    kind: &field.kind(),
                },
            )?;
        }
        map.end()
    }
}

struct Element<'a> {
    value: &'a Value,
    kind: &'a Kind,
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::I64(value) if value.unsigned_abs() > MAX_SAFE => serializer.collect_str(value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::U64(value) if *value > MAX_SAFE => serializer.collect_str(value),
            Value::U64(value) => serializer.serialize_u64(*value),
            Value::F32(value) => float(f64::from(*value), |s| s.serialize_f32(*value), serializer),
            Value::F64(value) => float(*value, |s| s.serialize_f64(*value), serializer),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.collect_str(&base64::display::Base64Display::new(
                value,
                &base64::prelude::BASE64_STANDARD,
            )),
            Value::EnumNumber(number) => match self.kind.as_enum().and_then(|kind| kind.get_value(*number)) {
                Some(value) => serializer.serialize_str(value.name()),
                None => serializer.serialize_i32(*number),
            },
            Value::Message(message) => Json(message).serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Element {
                        value,
                        kind: self.kind,
                    })?;
                }
                list.end()
            }
            Value::Map(values) => {
                let kind = self
                    .kind
                    .as_message()
                    .map(MessageDescriptor::map_entry_value_field)
                    .map(|f| f.kind());
                let kind = kind.as_ref().unwrap_or(self.kind);
                let mut sorted: Vec<_> = values.iter().map(|(key, value)| (key_text(key), value)).collect();
                // The map has no order of its own; sorted answers can be compared.
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, value) in sorted {
                    map.serialize_entry(&key, &Element { value, kind })?;
                }
                map.end()
            }
        }
    }
}

fn float<S: Serializer>(
    value: f64,
    finite: impl FnOnce(S) -> Result<S::Ok, S::Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        finite(serializer)
    } else if value.is_nan() {
        serializer.serialize_str("NaN")
    } else {
        serializer.serialize_str(if value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use marquee_proto::DESCRIPTORS;
    use serde_json::json;

    use super::*;

    fn render<M: prost::Message>(name: &str, message: &M) -> serde_json::Value {
        let descriptor = DESCRIPTORS.get_message_by_name(name).unwrap();
        let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap();
        serde_json::to_value(Json(&message)).unwrap()
    }

    #[test]
    fn names_are_those_of_the_proto_and_defaults_are_written() {
        let message = marquee_proto::events::v1::Channel {
            name: "channels/c1".to_owned(),
            display_name: "Owls".to_owned(),
            create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        let json = render("marquee.events.v1.Channel", &message);
        assert_eq!(json["display_name"], "Owls");
        assert_eq!(json["handle"], "");
        assert_eq!(json["tags"], json!([]));
        assert_eq!(json["create_time"], "1970-01-01T00:00:00Z");
        assert_eq!(json.get("update_time"), None, "an absent message is absent");
    }

    #[test]
    fn integers_are_numbers_until_a_double_would_change_them() {
        let render = |value: i64| {
            serde_json::to_value(Element {
                value: &Value::I64(value),
                kind: &Kind::Int64,
            })
            .unwrap()
        };
        assert_eq!(render(9_007_199_254_740_991), json!(9_007_199_254_740_991_i64));
        assert_eq!(render(9_007_199_254_740_992), json!("9007199254740992"));
        assert_eq!(render(i64::MIN), json!("-9223372036854775808"));
    }
}
