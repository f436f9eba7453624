//! docs/API.md, from the descriptors and the comments of the protos.

use std::collections::HashMap;
use std::fmt::Write as _;

use marquee_auth::Access;
use marquee_proto::DESCRIPTORS;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ReflectMessage, Value,
};

const HEAD: &str = "# API

Every service is on the same address as gRPC, as grpc-web, and, where an HTTP line is given, as REST with JSON
(`/openapi.json` describes that). Server streams are server-sent events over REST. Errors are explained in
[ERRORS.md](ERRORS.md). **Who** is who passes the guard: everybody, an account that is signed in, an admin, or a service;
ownership of the resource is checked behind it. Reflection is on: `grpcurl -plaintext localhost:8080 list`.

The body of a REST request is JSON: the whole request, or the one field that the binding names (`POST /v1/channels` takes
the channel itself: `{\"handle\": \"jazz\", \"display_name\": \"Jazz\"}`). Everything else is in the path or the query.

Made by `cargo xtask docs` from the protos; do not edit.

";

/// The whole page.
pub(crate) fn page() -> String {
    let comments = Comments::read();
    let mut text = HEAD.to_owned();
    let mut services: Vec<_> = DESCRIPTORS
        .services()
        .filter(|service| service.package_name().starts_with("marquee."))
        .collect();
    services.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    for service in &services {
        let _ = writeln!(text, "## {}\n", service.full_name());
        let _ = writeln!(
            text,
            "{}\n",
            comments.of(service.parent_file().name(), service.path())
        );
        let _ = writeln!(text, "| RPC | who | HTTP | |\n|---|---|---|---|");
        for method in service.methods() {
            let _ = writeln!(
                text,
                "| `{}`{} | {} | {} | {} |",
                method.name(),
                streams(&method),
                who(&method),
                bindings(&method).join("<br>"),
                cell(&comments.of(service.parent_file().name(), method.path())),
            );
        }
        text.push('\n');
    }
    text.push_str("# Messages\n\n");
    let mut messages: Vec<_> = DESCRIPTORS
        .all_messages()
        .filter(|message| message.package_name().starts_with("marquee.") && !message.is_map_entry())
        .collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    for message in &messages {
        describe_message(&mut text, &comments, message);
    }
    let mut enums: Vec<_> = DESCRIPTORS
        .all_enums()
        .filter(|of| of.package_name().starts_with("marquee."))
        .collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    for of in &enums {
        describe_enum(&mut text, &comments, of);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn describe_message(text: &mut String, comments: &Comments, message: &MessageDescriptor) {
    let file = message.parent_file();
    let _ = writeln!(
        text,
        "### {}\n\n{}\n",
        message.full_name(),
        comments.of(file.name(), message.path())
    );
    if message.fields().len() == 0 {
        return;
    }
    let _ = writeln!(text, "| field | type | |\n|---|---|---|");
    for field in message.fields() {
        let about = cell(&comments.of(file.name(), field.path()));
        let _ = writeln!(text, "| `{}` | {} | {about} |", field.name(), kind(&field));
    }
    text.push('\n');
}

fn describe_enum(text: &mut String, comments: &Comments, of: &EnumDescriptor) {
    let file = of.parent_file();
    let _ = writeln!(
        text,
        "### {}\n\n{}\n",
        of.full_name(),
        comments.of(file.name(), of.path())
    );
    let _ = writeln!(text, "| value | |\n|---|---|");
    for value in of.values() {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            value.name(),
            cell(&comments.of(file.name(), value.path()))
        );
    }
    text.push('\n');
}

fn kind(field: &FieldDescriptor) -> String {
    let name = match field.kind() {
        Kind::Message(message) => short(message.full_name()),
        Kind::Enum(of) => short(of.full_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    if field.is_list() {
        format!("{name}, repeated")
    } else {
        name
    }
}

fn short(name: &str) -> String {
    name.trim_start_matches("google.protobuf.")
        .trim_start_matches("marquee.")
        .to_owned()
}

fn streams(method: &MethodDescriptor) -> &'static str {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => "",
        (true, false) => " (client stream)",
        (false, true) => " (server stream)",
        (true, true) => " (stream both ways)",
    }
}

fn who(method: &MethodDescriptor) -> &'static str {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    match marquee_auth::access(&path) {
        Ok(Access::Public) => "everybody",
        Ok(Access::Account) => "account",
        Ok(Access::Admin) => "admin",
        Ok(Access::Service) => "service",
        Err(_) => "nobody",
    }
}

/// The REST bindings of `google.api.http`.
fn bindings(method: &MethodDescriptor) -> Vec<String> {
    let Some(extension) = DESCRIPTORS.get_extension_by_name("google.api.http") else {
        return Vec::new();
    };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(rule) => {
            let mut lines: Vec<_> = binding(rule).into_iter().collect();
            if let Some(more) = rule.get_field_by_name("additional_bindings")
                && let Value::List(more) = more.as_ref()
            {
                lines.extend(more.iter().filter_map(Value::as_message).filter_map(binding));
            }
            lines
        }
        _ => Vec::new(),
    }
}

/// The path of a binding.
pub(super) fn path(rule: &DynamicMessage) -> Option<String> {
    pattern(rule).map(|(_, path)| path)
}

/// A binding's HTTP method and path.
fn pattern(rule: &DynamicMessage) -> Option<(String, String)> {
    let pattern = rule
        .descriptor()
        .oneofs()
        .find(|oneof| oneof.name() == "pattern")?;
    let field = pattern.fields().find(|field| rule.has_field(field))?;
    let path = rule.get_field(&field).as_str()?.to_owned();
    Some((field.name().to_uppercase(), path))
}

fn binding(rule: &DynamicMessage) -> Option<String> {
    let (method, path) = pattern(rule)?;
    let body = rule.get_field_by_name("body");
    let body = match body.as_ref().and_then(|body| body.as_str()) {
        None | Some("") => String::new(),
        Some("*") => ", body: the rest of the request".to_owned(),
        Some(field) => format!(", body: `{field}`"),
    };
    Some(format!("`{method} {path}`{body}"))
}

/// One line of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The comments of the protos by file and path.
struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    fn read() -> Self {
        let mut comments = HashMap::new();
        for file in DESCRIPTORS.file_descriptor_protos() {
            for location in file.source_code_info.iter().flat_map(|info| &info.location) {
                let lines: Vec<_> = location
                    .leading_comments()
                    .trim()
                    .lines()
                    .map(str::trim)
                    .collect();
                comments.insert((file.name().to_owned(), location.path.clone()), lines.join(" "));
            }
        }
        Self(comments)
    }

    fn of(&self, file: &str, path: &[i32]) -> String {
        self.0
            .get(&(file.to_owned(), path.to_vec()))
            .cloned()
            .unwrap_or_default()
    }
}
