//! deploy/nginx/templates/routes.inc.template: which service a path belongs to, from the annotations of the protos.

use std::fmt::Write as _;

use marquee_proto::DESCRIPTORS;
use prost_reflect::{MethodDescriptor, Value};

const HEAD: &str = "\
# Which service a path belongs to: packages for gRPC and grpc-web, google.api.http for REST. At most one expression fits a
# path. Made by `cargo xtask docs` from the protos; do not edit.
map $uri $marquee_service {
    default \"\";
";

/// Paths that no proto tells of.
const OTHERS: &[(&str, &str)] = &[
    // Every service of the fleet describes the whole API; any will do.
    ("^/openapi\\.json$", "events"),
    ("^/grpc\\.(reflection|health)\\.", "events"),
];

pub(super) fn page() -> String {
    let mut services: Vec<_> = DESCRIPTORS
        .services()
        .filter(|service| service.package_name().starts_with("marquee."))
        .collect();
    services.sort_by(|a, b| a.full_name().cmp(b.full_name()));

    let mut rows: Vec<(String, String)> = Vec::new();
    for service in &services {
        let package = service.package_name();
        // marquee.video_ingest.v1 is video-ingest.
        let Some(name) = package.split('.').nth(1).map(|name| name.replace('_', "-")) else {
            continue;
        };
        rows.push((format!("^/{}\\.", package.replace('.', "\\.")), name.clone()));
        for method in service.methods() {
            rows.extend(
                templates(&method)
                    .iter()
                    .map(|template| (pattern(template), name.clone())),
            );
        }
    }
    rows.extend(
        OTHERS
            .iter()
            .map(|(pattern, name)| ((*pattern).to_owned(), (*name).to_owned())),
    );
    rows.sort();
    rows.dedup();
    let width = rows
        .iter()
        .map(|(pattern, _)| pattern.len())
        .max()
        .unwrap_or_default()
        + 3;
    let mut text = HEAD.to_owned();
    for (pattern, service) in rows {
        let quoted = format!("\"~{pattern}\"");
        let _ = writeln!(text, "    {quoted:width$} {service};");
    }
    text.push_str("}\n");
    text
}

/// The paths of the method's REST bindings.
fn templates(method: &MethodDescriptor) -> Vec<String> {
    let Some(extension) = DESCRIPTORS.get_extension_by_name("google.api.http") else {
        return Vec::new();
    };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let options = options.get_extension(&extension);
    let Some(rule) = options.as_message() else {
        return Vec::new();
    };
    let mut templates: Vec<_> = super::api::path(rule).into_iter().collect();
    if let Some(more) = rule.get_field_by_name("additional_bindings")
        && let Value::List(more) = more.as_ref()
    {
        templates.extend(
            more.iter()
                .filter_map(Value::as_message)
                .filter_map(super::api::path),
        );
    }
    templates
}

/// The expression of a template (`/v1/{name=channels/*}:verb`): a `*` is one segment without a verb.
fn pattern(template: &str) -> String {
    let mut pattern = "^".to_owned();
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '{' => {
                // A variable without a pattern is one segment.
                let end = rest.find('}').unwrap_or(rest.len());
                let inside = &rest[..end];
                if let Some((_, segments)) = inside.split_once('=') {
                    pattern.push_str(&segments.replace('*', "[^/:]+"));
                } else {
                    pattern.push_str("[^/:]+");
                }
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            '.' => pattern.push_str("\\."),
            '*' => pattern.push_str("[^/:]+"),
            other => pattern.push(other),
        }
    }
    pattern.push('$');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_its_segments_and_a_verb_stays() {
        assert_eq!(
            pattern("/v1/{name=channels/*/events/*}:watch"),
            "^/v1/channels/[^/:]+/events/[^/:]+:watch$"
        );
        assert_eq!(pattern("/.well-known/jwks.json"), "^/\\.well-known/jwks\\.json$");
        assert_eq!(pattern("/v1/things/{id}"), "^/v1/things/[^/:]+$");
    }
}
