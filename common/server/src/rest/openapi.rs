//! The OpenAPI 3.1 document of the REST face, from the descriptors and the comments in the protos.

mod comments;
mod schema;

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Map, Value, json};

use self::comments::Comments;
use self::schema::Schemas;
use super::route::{Body, Route, Routes};
use super::template::{Segment, Template};

/// The document of these routes.
pub(crate) fn document(routes: &Routes) -> Value {
    let comments = Comments::read();
    let mut schemas = Schemas::new(&comments);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    for route in routes.iter() {
        let (path, parameters) = path(&route.template);
        let operation = operation(route, &path, parameters, &comments, &mut schemas);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
        let service = route.rpc.parent_service();
        if !tags.iter().any(|tag| tag["name"] == service.full_name()) {
            tags.push(json!({"name": service.full_name(), "description": comments.of(service.parent_file().name(), service.path())}));
        }
    }
    let mut schemas = schemas.finish();
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Marquee",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST face of Marquee's gRPC services. Requests may spell fields in snake_case or lowerCamelCase; answers use snake_case.",
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "The request failed (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "access_token": {
                    "type": "apiKey", "in": "query", "name": "access_token",
                    "description": "Only for event streams, where a browser cannot set headers.",
                },
            },
        },
    })
}

fn operation(
    route: &Route,
    path: &str,
    mut parameters: Vec<Value>,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
) -> Value {
    let rpc = &route.rpc;
    let service = rpc.parent_service();
    let description = comments.of(rpc.parent_file().name(), rpc.path());
    let summary = description
        .split_inclusive('.')
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned();
    let bound: Vec<&FieldDescriptor> = route
        .variables
        .iter()
        .filter_map(|fields| fields.first())
        .collect();
    if !matches!(route.body, Body::Whole) {
        for field in rpc.input().fields() {
            let in_body = matches!(&route.body, Body::Field(body) if *body == field);
            if bound.contains(&&field) || in_body || is_message(&field) {
                continue;
            }
            parameters.push(json!({
                "name": field.name(), "in": "query", "required": false,
                "description": comments.of(field.parent_file().name(), field.path()),
                "schema": schemas.field(&field),
            }));
        }
    }
    let stream = rpc.is_server_streaming();
    if stream && rpc.input().get_field_by_name("cursor").is_some() {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The id of the last event that was received; sets `cursor`.",
        }));
    }
    let answer = schemas.reference(&rpc.output());
    let ok = if stream {
        json!({
            "description": "Server-sent events; the data of each is the JSON of one message.",
            "content": {"text/event-stream": {"schema": answer}},
        })
    } else {
        json!({"description": "OK", "content": {"application/json": {"schema": answer}}})
    };
    let mut operation = json!({
        "operationId": operation_id(route, path),
        "tags": [service.full_name()],
        "summary": summary,
        "description": description,
        "parameters": parameters,
        "responses": {"200": ok, "default": {"$ref": "#/components/responses/Problem"}},
        "security": security(route),
    });
    let body = match &route.body {
        Body::None => None,
        Body::Whole => Some(schemas.reference(&rpc.input())),
        Body::Field(field) => Some(schemas.field(field)),
    };
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

/// The RPC's name; with a collection of the path for an additional binding, since ids are unique.
fn operation_id(route: &Route, path: &str) -> String {
    let service = route.rpc.parent_service();
    let id = format!("{}.{}", service.full_name(), route.rpc.name());
    if route.variables.is_empty() && route.rpc.input().get_field_by_name("parent").is_some() {
        format!("{id}.{}", path.rsplit('/').next().unwrap_or_default())
    } else if route.additional {
        // What it is reached through: `events` of `/v1/channels/{channel}/events/{event}/playbackSessions`.
        let mut collections = path.rsplit('/').filter(|part| !part.starts_with('{'));
        format!("{id}.{}", collections.nth(1).unwrap_or_default())
    } else {
        id
    }
}

fn security(route: &Route) -> Value {
    let option = marquee_proto::DESCRIPTORS.get_extension_by_name("marquee.auth.v1.access");
    let access = option.and_then(|option| route.rpc.options().get_extension(&option).as_enum_number());
    let with_token = if route.rpc.is_server_streaming() {
        vec![json!({"bearer": []}), json!({"access_token": []})]
    } else {
        vec![json!({"bearer": []})]
    };
    match access {
        // ACCESS_PUBLIC: a token is read when there is one.
        Some(1) => [vec![json!({})], with_token].concat().into(),
        _ => with_token.into(),
    }
}

fn is_message(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(kind) if !kind.full_name().starts_with("google.protobuf."))
}

/// `/v1/{name=channels/*/events/*}:cancel` is `/v1/channels/{channel}/events/{event}:cancel`.
pub(super) fn path(template: &Template) -> (String, Vec<Value>) {
    let mut path = String::new();
    let mut names: Vec<String> = Vec::new();
    for (index, segment) in template.segments.iter().enumerate() {
        path.push('/');
        let (Segment::One | Segment::Rest) = segment else {
            if let Segment::Literal(literal) = segment {
                path.push_str(literal);
            }
            continue;
        };
        let collection = index
            .checked_sub(1)
            .and_then(|before| template.segments.get(before));
        let variable = template
            .variables
            .iter()
            .find(|v| (v.start..v.end).contains(&index));
        let mut name = match (collection, variable) {
            (Some(Segment::Literal(collection)), Some(v)) if v.end - v.start > 1 => singular(collection),
            (_, Some(v)) => v.field.join("_"),
            _ => format!("segment{index}"),
        };
        while names.contains(&name) {
            name.push('_');
        }
        path.push_str(&format!("{{{name}}}"));
        names.push(name);
    }
    if let Some(verb) = &template.verb {
        path.push(':');
        path.push_str(verb);
    }
    let parameters = names
        .iter()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    (path, parameters)
}

fn singular(collection: &str) -> String {
    match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => collection.strip_suffix('s').unwrap_or(collection).to_owned(),
    }
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457) with the details of the gRPC status.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "description": "Identifies the kind of problem."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string", "description": "UPPER_SNAKE; see docs/ERRORS.md."},
            "domain": {"type": "string"},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            "violations": {"type": "array", "items": {
                "type": "object",
                "required": ["field", "description"],
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
            }},
            "retry_after": {"type": "number", "description": "Seconds after which a retry may work."},
        },
    })
}

#[cfg(test)]
mod tests;
