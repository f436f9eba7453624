use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// The schemas (JSON Schema 2020-12) of the messages that are referred to.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    known: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self {
            comments,
            known: BTreeMap::new(),
        }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.known.into_iter().collect()
    }

    /// A reference to the schema of a message, which is made when it is new.
    pub(super) fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let name = short(message.full_name());
        if !self.known.contains_key(&name) {
            // Stands in for itself while its fields are read: messages may refer to themselves.
            self.known.insert(name.clone(), Value::Null);
            let properties: Map<String, Value> = message
                .fields()
                .map(|field| {
                    let mut schema = self.field(&field);
                    let description = self.comments.of(field.parent_file().name(), field.path());
                    if let Some(schema) = schema.as_object_mut().filter(|_| !description.is_empty()) {
                        // Next to a $ref this is allowed since OpenAPI 3.1.
                        schema.insert("description".to_owned(), description.into());
                    }
                    (field.name().to_owned(), schema)
                })
                .collect();
            let schema = json!({
                "type": "object",
                "description": self.comments.of(message.parent_file().name(), message.path()),
                "properties": properties,
            });
            self.known.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map()
            && let Some(entry) = field.kind().as_message()
        {
            return json!({"type": "object", "additionalProperties": self.kind(&entry.map_entry_value_field().kind())});
        }
        let schema = self.kind(&field.kind());
        if field.is_list() {
            json!({"type": "array", "items": schema})
        } else {
            schema
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Float => json!({"type": "number", "format": "float"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "format": "int32", "minimum": 0}),
            // A string only beyond ±(2^53 - 1).
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({"type": ["integer", "string"], "format": "int64"})
            }
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(message) => self.reference(message),
            Kind::Enum(kind) => self.enumeration(kind),
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Value {
        let name = short(kind.full_name());
        if !self.known.contains_key(&name) {
            let file = kind.parent_file();
            let mut description = self.comments.of(file.name(), kind.path());
            for value in kind.values() {
                let text = self.comments.of(file.name(), value.path());
                description.push_str(&format!("\n- `{}`: {text}", value.name()));
            }
            let values: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
            self.known.insert(
                name.clone(),
                json!({"type": "string", "description": description, "enum": values}),
            );
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// `marquee.events.v1.Event` is `events.v1.Event`.
fn short(full_name: &str) -> String {
    full_name.strip_prefix("marquee.").unwrap_or(full_name).to_owned()
}

fn well_known(full_name: &str) -> Option<Value> {
    Some(match full_name {
        "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
        "google.protobuf.Duration" => json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"}),
        "google.protobuf.FieldMask" => json!({"type": "string", "examples": ["title,tags"]}),
        "google.protobuf.Struct" | "google.protobuf.Any" | "google.protobuf.Empty" => {
            json!({"type": "object"})
        }
        "google.protobuf.ListValue" => json!({"type": "array"}),
        "google.protobuf.Value" => json!({}),
        "google.protobuf.BoolValue" => json!({"type": "boolean"}),
        "google.protobuf.StringValue" => json!({"type": "string"}),
        "google.protobuf.BytesValue" => json!({"type": "string", "contentEncoding": "base64"}),
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => json!({"type": "number"}),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" => {
            json!({"type": "integer", "format": "int32"})
        }
        "google.protobuf.Int64Value" | "google.protobuf.UInt64Value" => {
            json!({"type": ["integer", "string"], "format": "int64"})
        }
        _ => return None,
    })
}
