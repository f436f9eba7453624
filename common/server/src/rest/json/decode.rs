use std::collections::HashMap;

use marquee_error::FieldViolation;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::Value as JsonValue;

use super::is_well_known;
use crate::nearest::nearest;

/// How deep messages may be nested; prost refuses deeper ones too.
const MAX_DEPTH: usize = 64;
/// How many characters of a wrong value are told back.
const MAX_QUOTED: usize = 40;

/// Reads `json` as a `descriptor`, naming every field that is unknown or of the wrong type by its path.
pub(crate) fn decode(
    descriptor: &MessageDescriptor,
    json: &JsonValue,
    at: &str,
) -> Result<DynamicMessage, Vec<FieldViolation>> {
    let mut reader = Reader {
        violations: Vec::new(),
    };
    let message = reader.message(descriptor, json, at, 0);
    match message {
        Some(message) if reader.violations.is_empty() => Ok(message),
        _ => Err(reader.violations),
    }
}

/// Reads one field that holds no message of ours: a scalar, an enum, a well-known type, or lists and maps of these.
pub(crate) fn leaf(field: &FieldDescriptor, json: &JsonValue) -> Result<Value, String> {
    if let (Kind::Enum(kind), JsonValue::String(name)) = (field.kind(), json)
        && kind.get_value_by_name(name).is_none()
    {
        let known: Vec<String> = kind.values().map(|value| value.name().to_owned()).collect();
        return Err(format!("{name:?} is none of {}", known.join(", ")));
    }
    if let (Kind::Message(kind), JsonValue::String(paths), false) = (field.kind(), json, field.is_list())
        && kind.full_name() == "google.protobuf.FieldMask"
    {
        return mask(&kind, paths);
    }
    let object = JsonValue::Object([(field.name().to_owned(), json.clone())].into_iter().collect());
    let message =
        DynamicMessage::deserialize(field.parent_message().clone(), object).map_err(|e| e.to_string())?;
    Ok(message.get_field(field).into_owned())
}

/// A field mask: paths with commas between them. Proto3 JSON has `displayName` only; `display_name` is how this product
/// spells the field everywhere else, and both are read.
fn mask(descriptor: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let mut paths = Vec::new();
    for path in text.split(',').filter(|path| !path.is_empty()) {
        let mut snake = String::with_capacity(path.len() + 4);
        for character in path.chars() {
            match character {
                'A'..='Z' => snake.extend(['_', character.to_ascii_lowercase()]),
                'a'..='z' | '0'..='9' | '_' | '.' => snake.push(character),
                _ => {
                    let path: String = path.chars().take(MAX_QUOTED).collect();
                    return Err(format!("{path:?} is not the path of a field"));
                }
            }
        }
        paths.push(Value::String(snake));
    }
    let mut mask = DynamicMessage::new(descriptor.clone());
    mask.try_set_field_by_name("paths", Value::List(paths))
        .map_err(|error| error.to_string())?;
    Ok(Value::Message(mask))
}

/// `, did you mean "x"?` with the field of `descriptor` that is nearest to `name`, or nothing.
pub(crate) fn nearest_field(descriptor: &MessageDescriptor, name: &str) -> String {
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    nearest(name, fields.iter().map(FieldDescriptor::name))
        .map(|field| format!(", did you mean {field:?}?"))
        .unwrap_or_default()
}

struct Reader {
    violations: Vec<FieldViolation>,
}

impl Reader {
    fn refuse(&mut self, at: &str, description: impl Into<String>) {
        self.violations.push(FieldViolation {
            field: at.to_owned(),
            description: description.into(),
        });
    }

    fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        json: &JsonValue,
        at: &str,
        depth: usize,
    ) -> Option<DynamicMessage> {
        if depth > MAX_DEPTH {
            self.refuse(at, "is nested too deeply");
            return None;
        }
        if is_well_known(descriptor.full_name()) {
            return DynamicMessage::deserialize(descriptor.clone(), json)
                .map_err(|error| self.refuse(at, error.to_string()))
                .ok();
        }
        let JsonValue::Object(object) = json else {
            self.refuse(at, format!("must be an object, not {}", kind_name(json)));
            return None;
        };
        let mut message = DynamicMessage::new(descriptor.clone());
        for (key, value) in object {
            let path = join(at, key);
            let field = descriptor
                .get_field_by_name(key)
                .or_else(|| descriptor.get_field_by_json_name(key));
            let Some(field) = field else {
                let hint = nearest_field(descriptor, key);
                self.refuse(&path, format!("is not a field{hint}"));
                continue;
            };
            if message.has_field(&field) {
                self.refuse(&path, "is there twice");
            } else if let Some(value) = self.field(&field, value, &path, depth) {
                message.set_field(&field, value);
            }
        }
        Some(message)
    }

    fn field(&mut self, field: &FieldDescriptor, json: &JsonValue, at: &str, depth: usize) -> Option<Value> {
        if field.is_map() {
            return self.map(field, json, at, depth);
        }
        let kind = field.kind();
        let nested = kind
            .as_message()
            .filter(|message| !is_well_known(message.full_name()));
        let Some(nested) = nested else {
            return match leaf(field, json) {
                // null is the same as absent.
                Ok(value) => (!json.is_null() || is_value(&kind)).then_some(value),
                Err(problem) => {
                    self.refuse(at, problem);
                    None
                }
            };
        };
        match json {
            JsonValue::Null => None,
            JsonValue::Array(items) if field.is_list() => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(Value::Message(self.message(
                        nested,
                        item,
                        &format!("{at}[{index}]"),
                        depth + 1,
                    )?));
                }
                Some(Value::List(list))
            }
            _ if field.is_list() => {
                self.refuse(at, format!("must be an array, not {}", kind_name(json)));
                None
            }
            _ => self.message(nested, json, at, depth + 1).map(Value::Message),
        }
    }

    fn map(&mut self, field: &FieldDescriptor, json: &JsonValue, at: &str, depth: usize) -> Option<Value> {
        let kind = field.kind();
        let entry = kind.as_message()?;
        let value_kind = entry.map_entry_value_field().kind();
        let nested = value_kind
            .as_message()
            .filter(|message| !is_well_known(message.full_name()));
        let string_keys = entry.map_entry_key_field().kind() == Kind::String;
        match (nested, json) {
            (_, JsonValue::Null) => None,
            (Some(nested), JsonValue::Object(object)) if string_keys => {
                let mut map = HashMap::new();
                for (key, value) in object {
                    let message = self.message(nested, value, &join(at, key), depth + 1)?;
                    map.insert(MapKey::String(key.clone()), Value::Message(message));
                }
                Some(Value::Map(map))
            }
            _ => leaf(field, json).map_err(|problem| self.refuse(at, problem)).ok(),
        }
    }
}

fn is_value(kind: &Kind) -> bool {
    kind.as_message()
        .is_some_and(|message| message.full_name() == "google.protobuf.Value")
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn kind_name(json: &JsonValue) -> &'static str {
    match json {
        JsonValue::Null => "null",
        JsonValue::Bool(_) => "a boolean",
        JsonValue::Number(_) => "a number",
        JsonValue::String(_) => "a string",
        JsonValue::Array(_) => "an array",
        JsonValue::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use marquee_proto::DESCRIPTORS;
    use marquee_proto::events::v1::{CreateEventRequest, UpdateChannelRequest};
    use serde_json::json;

    use super::*;

    fn read<M: prost::Message + Default>(name: &str, json: &JsonValue) -> Result<M, Vec<(String, String)>> {
        let descriptor = DESCRIPTORS.get_message_by_name(name).unwrap();
        decode(&descriptor, json, "")
            .map(|message| message.transcode_to().unwrap())
            .map_err(|violations| violations.into_iter().map(|v| (v.field, v.description)).collect())
    }

    #[test]
    fn both_spellings_of_a_name_are_read() {
        let json = json!({"event": {"title": "t", "scheduledStartTime": "2026-01-01T00:00:00Z", "maturity_rating": "PG"}});
        let request: CreateEventRequest = read("marquee.events.v1.CreateEventRequest", &json).unwrap();
        let event = request.event.unwrap();
        assert_eq!(event.scheduled_start_time.unwrap().seconds, 1_767_225_600);
        assert_eq!(event.maturity_rating, "PG");
    }

    #[test]
    fn a_field_mask_is_one_string() {
        let json = json!({"update_mask": "displayName,tags"});
        let request: UpdateChannelRequest = read("marquee.events.v1.UpdateChannelRequest", &json).unwrap();
        assert_eq!(request.update_mask.unwrap().paths, ["display_name", "tags"]);
    }

    #[test]
    fn the_paths_of_a_field_mask_are_spelled_either_way() {
        let json = json!({"update_mask": "display_name,maturityRating,a_b.cD"});
        let request: UpdateChannelRequest = read("marquee.events.v1.UpdateChannelRequest", &json).unwrap();
        assert_eq!(
            request.update_mask.unwrap().paths,
            ["display_name", "maturity_rating", "a_b.c_d"]
        );
    }

    #[test]
    fn an_ill_formed_path_of_a_field_mask_is_named() {
        let json = json!({"update_mask": "title,display name"});
        let violations =
            read::<UpdateChannelRequest>("marquee.events.v1.UpdateChannelRequest", &json).unwrap_err();
        assert_eq!(violations[0].0, "update_mask");
        assert_eq!(violations[0].1, "\"display name\" is not the path of a field");
    }

    #[test]
    fn null_is_absent() {
        let json = json!({"event": null, "parent": null});
        let request: CreateEventRequest = read("marquee.events.v1.CreateEventRequest", &json).unwrap();
        assert_eq!(request, CreateEventRequest::default());
    }

    #[test]
    fn every_wrong_field_is_named_by_its_path() {
        let json = json!({"event": {"titel": "x", "tags": "music", "visibility": "VISIBILITY_SECRET",
            "scheduled_start_time": "tomorrow"}, "parent": 7});
        let violations =
            read::<CreateEventRequest>("marquee.events.v1.CreateEventRequest", &json).unwrap_err();
        let fields: Vec<&str> = violations.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields.iter().collect::<std::collections::BTreeSet<_>>(),
            [
                "event.scheduled_start_time",
                "event.tags",
                "event.titel",
                "event.visibility",
                "parent"
            ]
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
        );
        let titel = violations
            .iter()
            .find(|(field, _)| field == "event.titel")
            .unwrap();
        assert_eq!(titel.1, "is not a field, did you mean \"title\"?");
        let visibility = violations
            .iter()
            .find(|(field, _)| field == "event.visibility")
            .unwrap();
        assert!(visibility.1.contains("VISIBILITY_UNLISTED"), "{}", visibility.1);
    }
}
