use std::collections::BTreeSet;

use super::*;

fn everything() -> (Routes, Value) {
    let names: Vec<String> = marquee_proto::DESCRIPTORS
        .services()
        .map(|service| service.full_name().to_owned())
        .collect();
    let routes = Routes::of(names.iter().map(String::as_str)).unwrap();
    let document = document(&routes);
    (routes, document)
}

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_an_operation() {
    let (routes, document) = everything();
    assert!(routes.iter().count() > 40);
    assert_eq!(
        operations(&document).len(),
        routes.iter().count(),
        "two routes share a path and a method"
    );
    for route in routes.iter() {
        let (path, _) = path(&route.template);
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = &document["paths"][&path][&method];
        assert!(
            operation["operationId"]
                .as_str()
                .unwrap()
                .contains(route.rpc.name()),
            "{method} {path}"
        );
    }
}

#[test]
fn names_become_parameters() {
    let (_, document) = everything();
    let operation = &document["paths"]["/v1/channels/{channel}/events/{event}:cancel"]["post"];
    let names: Vec<_> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(names, ["channel", "event"]);
    assert_eq!(
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/events.v1.CancelEventRequest"
    );
}

#[test]
fn comments_become_descriptions() {
    let (_, document) = everything();
    let operation = &document["paths"]["/v1/channels/{channel}"]["get"];
    assert!(
        operation["description"]
            .as_str()
            .unwrap()
            .starts_with("Returns one channel by its name")
    );
    let schema = &document["components"]["schemas"]["events.v1.Event"];
    assert_eq!(schema["description"], "One live event.");
    assert_eq!(
        schema["properties"]["title"]["description"],
        "Title, 1 to 200 characters."
    );
    for (path, method, operation) in operations(&document) {
        assert!(
            !operation["summary"].as_str().unwrap().is_empty(),
            "{method} {path} has no comment"
        );
    }
}

#[test]
fn the_structure_holds_together() {
    let (_, document) = everything();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some_and(Value::is_object),
            "{reference} leads nowhere"
        );
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{method} {path} shares its id"
        );
        let mut names = BTreeSet::new();
        for parameter in operation["parameters"].as_array().unwrap() {
            assert!(
                names.insert((parameter["in"].to_string(), parameter["name"].to_string())),
                "{path} {parameter}"
            );
            if parameter["in"] == "path" {
                assert!(
                    path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())),
                    "{path}"
                );
                assert_eq!(parameter["required"], true);
            }
        }
        let placeholders = path.matches('{').count();
        assert_eq!(
            names.iter().filter(|(place, _)| place.contains("path")).count(),
            placeholders,
            "{path}"
        );
        assert!(operation["responses"]["200"]["content"].is_object());
        assert!(operation["responses"]["default"].is_object());
        assert!(operation["security"].is_array());
    }
}

#[test]
fn a_stream_is_an_event_stream_that_takes_its_token_in_the_query() {
    let (_, document) = everything();
    let operation = &document["paths"]["/v1/accounts/{account}/notifications:watch"]["get"];
    assert!(operation["responses"]["200"]["content"]["text/event-stream"].is_object());
    assert_eq!(
        operation["security"],
        json!([{"bearer": []}, {"access_token": []}])
    );
    assert!(
        operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "Last-Event-ID")
    );
}
