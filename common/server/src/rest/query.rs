//! Query parameters to fields of the request: `?page_size=5&event.title=x&tags=a&tags=b`.

use marquee_error::FieldViolation;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::Value as JsonValue;

use super::json;

/// The parameters of a query, decoded (`application/x-www-form-urlencoded`).
pub(crate) fn parse(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Sets the fields that `parameters` name. `bound` are fields that the path or the body sets already.
pub(crate) fn apply(
    message: &mut DynamicMessage,
    descriptor: &MessageDescriptor,
    parameters: &[(String, String)],
    bound: &[&[FieldDescriptor]],
) -> Result<(), Vec<FieldViolation>> {
    let mut violations = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, text) in parameters {
        let repeated = seen.contains(&name.as_str());
        seen.push(name);
        let result = resolve(descriptor, name).and_then(|path| {
            if bound.iter().any(|taken| path.starts_with(taken)) {
                return Err("is set by the path or the body".to_owned());
            }
            let Some((last, parents)) = path.split_last() else {
                return Ok(());
            };
            if repeated && !last.is_list() {
                return Err("is there twice".to_owned());
            }
            let value = if last.is_list() {
                json::leaf(last, &JsonValue::Array(vec![scalar(last, text)]))?
            } else {
                json::leaf(last, &scalar(last, text))?
            };
            set(message, parents, last, value);
            Ok(())
        });
        if let Err(description) = result {
            violations.push(FieldViolation {
                field: name.clone(),
                description,
            });
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

/// Sets the field at the end of a path of messages, making those that are absent; adds to a list.
pub(crate) fn set(
    message: &mut DynamicMessage,
    parents: &[FieldDescriptor],
    last: &FieldDescriptor,
    value: Value,
) {
    let Some((parent, rest)) = parents.split_first() else {
        if let (Value::List(more), Some(list)) = (&value, message.get_field_mut(last).as_list_mut()) {
            list.extend(more.iter().cloned());
        } else {
            message.set_field(last, value);
        }
        return;
    };
    if let Some(inner) = message.get_field_mut(parent).as_message_mut() {
        set(inner, rest, last, value);
    }
}

fn resolve(descriptor: &MessageDescriptor, name: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut message = Some(descriptor.clone());
    let mut path = Vec::new();
    for part in name.split('.') {
        let inside = message.take().ok_or("is not a field")?;
        let field = inside
            .get_field_by_name(part)
            .or_else(|| inside.get_field_by_json_name(part));
        let Some(field) = field else {
            return Err(format!(
                "is not a parameter{}",
                json::nearest_field(&inside, part)
            ));
        };
        if field.is_map() {
            return Err("is a map, which a query cannot carry".to_owned());
        }
        if !field.is_list() {
            message = field
                .kind()
                .as_message()
                .filter(|kind| !kind.full_name().starts_with("google.protobuf."))
                .cloned();
        }
        path.push(field);
    }
    if message.is_some() || path.last().is_some_and(|last| last.is_list() && is_message(last)) {
        return Err("is a message; name one of its fields".to_owned());
    }
    Ok(path)
}

fn is_message(field: &FieldDescriptor) -> bool {
    field
        .kind()
        .as_message()
        .is_some_and(|kind| !kind.full_name().starts_with("google.protobuf."))
}

/// The JSON value that a text stands for. Proto3 JSON reads numbers from strings; booleans and enum numbers it does not.
fn scalar(field: &FieldDescriptor, text: &str) -> JsonValue {
    let wrapped_bool = |kind: &MessageDescriptor| kind.full_name() == "google.protobuf.BoolValue";
    match (field.kind(), text) {
        (Kind::Bool, "true" | "1" | "") => JsonValue::Bool(true),
        (Kind::Bool, "false" | "0") => JsonValue::Bool(false),
        (Kind::Message(kind), "true" | "false") if wrapped_bool(&kind) => JsonValue::Bool(text == "true"),
        (Kind::Enum(_), text) if text.parse::<i32>().is_ok() => {
            text.parse::<i32>().map_or(JsonValue::Null, JsonValue::from)
        }
        _ => JsonValue::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use marquee_proto::DESCRIPTORS;
    use marquee_proto::events::v1::{ListEventsRequest, UpdateEventRequest, Visibility};

    use super::*;

    fn read<M: prost::Message + Default>(name: &str, query: &str) -> Result<M, Vec<FieldViolation>> {
        let descriptor = DESCRIPTORS.get_message_by_name(name).unwrap();
        let mut message = DynamicMessage::new(descriptor.clone());
        apply(&mut message, &descriptor, &parse(query), &[])?;
        Ok(message.transcode_to().unwrap())
    }

    #[test]
    fn scalars_are_read_and_decoded() {
        let request: ListEventsRequest = read(
            "marquee.events.v1.ListEventsRequest",
            "page_size=5&filter=state+%3D+LIVE&orderBy=create_time",
        )
        .unwrap();
        assert_eq!((request.page_size, request.filter.as_str()), (5, "state = LIVE"));
        assert_eq!(request.order_by, "create_time");
    }

    #[test]
    fn nested_repeated_enum_time_and_mask_fields_are_read() {
        let request: UpdateEventRequest = read(
            "marquee.events.v1.UpdateEventRequest",
            "event.tags=a&event.tags=b&event.visibility=VISIBILITY_UNLISTED&event.overdue=true\
             &event.scheduled_start_time=2026-01-01T00:00:00Z&update_mask=title,tags",
        )
        .unwrap();
        let event = request.event.unwrap();
        assert_eq!(event.tags, ["a", "b"]);
        assert_eq!(event.visibility(), Visibility::Unlisted);
        assert!(event.overdue);
        assert_eq!(event.scheduled_start_time.unwrap().seconds, 1_767_225_600);
        assert_eq!(request.update_mask.unwrap().paths, ["title", "tags"]);
    }

    #[test]
    fn the_paths_of_a_field_mask_are_spelled_either_way() {
        for mask in ["scheduled_start_time,tags", "scheduledStartTime,tags"] {
            let query = format!("update_mask={mask}");
            let request: UpdateEventRequest = read("marquee.events.v1.UpdateEventRequest", &query).unwrap();
            assert_eq!(
                request.update_mask.unwrap().paths,
                ["scheduled_start_time", "tags"]
            );
        }
    }

    #[test]
    fn an_unknown_parameter_names_the_nearest_known() {
        let violations =
            read::<ListEventsRequest>("marquee.events.v1.ListEventsRequest", "pagesize=5").unwrap_err();
        assert_eq!(violations[0].field, "pagesize");
        assert_eq!(
            violations[0].description,
            "is not a parameter, did you mean \"page_size\"?"
        );
    }

    #[test]
    fn wrong_values_are_named() {
        for (query, field) in [
            ("page_size=many", "page_size"),
            ("page_size=1&page_size=2", "page_size"),
            ("page_size.x=1", "page_size.x"),
        ] {
            let violations =
                read::<ListEventsRequest>("marquee.events.v1.ListEventsRequest", query).unwrap_err();
            assert_eq!(violations[0].field, field, "{query}");
        }
        assert!(read::<UpdateEventRequest>("marquee.events.v1.UpdateEventRequest", "event=x").is_err());
    }
}
