use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use marquee_server::{Limits, Service};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::stage::{ACCOUNT, face, start, start_with};

#[tokio::test]
async fn a_resource_is_read_by_its_name() {
    let server = start();
    let answer = server.get("/v1/channels/c1/events/e1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let event = &answer.json()["event"];
    assert_eq!(
        (&event["name"], &event["title"]),
        (&json!("channels/c1/events/e1"), &json!("Owls"))
    );
    assert_eq!(event["state"], "EVENT_STATE_UNSPECIFIED");
}

#[tokio::test]
async fn requests_that_lead_nowhere_are_counted_too() {
    let server = start();
    assert_eq!(server.get("/v1/nothing/of/this").await.status, 404);
    assert_eq!(server.send("DELETE", "/v1/events", &[], "").await.status, 405);
    let metrics = server.get("/metrics").await.text;
    let counted = |labels: [&str; 3]| {
        metrics.lines().any(|line| {
            line.starts_with("http_server_request_duration_seconds_count")
                && labels.iter().all(|label| line.contains(label))
        })
    };
    // Of a path that anybody can make up, no label is made.
    for labels in [
        ["method=\"GET\"", "route=\"_OTHER\"", "code=\"404\""],
        ["method=\"DELETE\"", "route=\"/v1/events\"", "code=\"405\""],
    ] {
        assert!(counted(labels), "{labels:?}: {metrics}");
    }
}

#[tokio::test]
async fn query_parameters_are_fields() {
    let server = start();
    let answer = server
        .get("/v1/channels/c1/events?page_size=2&filter=state%20%3D%20LIVE")
        .await;
    assert_eq!(answer.json()["events"].as_array().unwrap().len(), 2);
    assert_eq!(answer.json()["next_page_token"], "state = LIVE");
    let answer = server.get("/v1/events?pageSize=1&parent=channels/-").await;
    assert_eq!(answer.json()["events"][0]["name"], "channels/-/events/0");
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_with_the_nearest() {
    let answer = start().get("/v1/channels/c1/events?pagesize=2").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["violations"][0]["field"], "pagesize");
    assert!(
        answer.json()["violations"][0]["description"]
            .as_str()
            .unwrap()
            .contains("page_size")
    );
}

#[tokio::test]
async fn a_body_field_and_query_make_one_request() {
    let server = start();
    let answer = server
        .post(
            "/v1/channels/c1/events?request_id=r1",
            r#"{"title": "Owls", "scheduledStartTime": "2026-01-01T00:00:00Z"}"#,
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let event = &answer.json()["event"];
    assert_eq!(event["name"], "channels/c1/events/e1");
    assert_eq!(event["scheduled_start_time"], "2026-01-01T00:00:00Z");
    assert_eq!(
        event["etag"],
        format!("{ACCOUNT} r1"),
        "the guard's principal and the query's field arrive"
    );
}

#[tokio::test]
async fn a_nested_name_comes_from_the_path() {
    let server = start();
    let authorization = format!("authorization: Bearer {}", server.token());
    let answer = server
        .send(
            "PATCH",
            "/v1/channels/c1/events/e1?update_mask=title,tags",
            &["content-type: application/json", &authorization],
            r#"{"title": "New", "name": "channels/other/events/other"}"#,
        )
        .await;
    assert_eq!(answer.json()["event"]["name"], "channels/c1/events/e1");
    assert_eq!(answer.json()["event"]["etag"], "title tags");
}

#[tokio::test]
async fn a_verb_takes_the_whole_body() {
    let server = start();
    let answer = server
        .post("/v1/channels/c1/events/e1:cancel", r#"{"etag": "x"}"#)
        .await;
    assert_eq!(answer.json()["event"]["state"], "EVENT_STATE_CANCELLED");
    assert_eq!(answer.json()["event"]["etag"], "x");
    let empty = server.post("/v1/channels/c1/events/e1:cancel", "").await;
    assert_eq!(empty.status, 200);
}

#[tokio::test]
async fn wrong_bodies_are_told_what_is_wrong() {
    let server = start();
    let broken = server.post("/v1/channels/c1/events", "{\n  \"title\": }").await;
    assert_eq!(
        (broken.status, broken.header("content-type")),
        (400, "application/problem+json")
    );
    assert_eq!(broken.json()["reason"], "INVALID_JSON");
    assert_eq!(broken.json()["metadata"]["line"], "2");

    let unknown = server.post("/v1/channels/c1/events", r#"{"titel": "x"}"#).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.json()["violations"][0]["field"], "event.titel");
    assert!(
        unknown.json()["violations"][0]["description"]
            .as_str()
            .unwrap()
            .contains("title")
    );

    let wrong = server.post("/v1/channels/c1/events", r#"{"title": 5}"#).await;
    assert_eq!(
        (wrong.status, &wrong.json()["violations"][0]["field"]),
        (400, &json!("event.title"))
    );

    let large = server
        .post(
            "/v1/channels/c1/events",
            &format!("{{\"title\": \"{}\"}}", "x".repeat(5 << 20)),
        )
        .await;
    assert_eq!(
        (large.status, &large.json()["reason"]),
        (413, &json!("REQUEST_TOO_LARGE"))
    );
}

#[tokio::test]
async fn an_error_of_the_service_keeps_its_details() {
    let server = start();
    let invalid = server.post("/v1/channels/c1/events", "{}").await;
    assert_eq!(invalid.status, 400);
    assert_eq!(
        invalid.json()["violations"],
        json!([{"field": "event.title", "description": "must not be empty"}])
    );
    assert_eq!(server.get("/v1/channels/c1/events/missing").await.status, 404);
    let busy = server.get("/v1/channels/c1/events/busy").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, "3"));
}

#[tokio::test]
async fn the_guard_stands_before_rest_too() {
    let server = start();
    let answer = server
        .send(
            "POST",
            "/v1/channels/c1/events/e1:cancel",
            &["content-type: application/json"],
            "{}",
        )
        .await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (401, "Bearer")
    );
    let answer = server
        .send(
            "GET",
            "/v1/channels/c1/events/e1",
            &["authorization: Bearer nonsense"],
            "",
        )
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn wrong_methods_paths_and_media_types_have_their_status() {
    let server = start();
    let method = server.send("DELETE", "/v1/channels/c1/events/e1", &[], "").await;
    assert_eq!(method.status, 405);
    assert!(method.header("allow").contains("GET") && method.header("allow").contains("PATCH"));
    let path = server.get("/v1/nothing").await;
    assert_eq!(
        (path.status, path.header("content-type")),
        (404, "application/problem+json")
    );
    let authorization = format!("authorization: Bearer {}", server.token());
    let form = [
        "content-type: application/x-www-form-urlencoded",
        authorization.as_str(),
    ];
    assert_eq!(
        server
            .send("POST", "/v1/channels/c1/events/e1:cancel", &form, "etag=x")
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn some_headers_reach_the_service_and_no_others() {
    let limits = Limits {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..Limits::default()
    };
    let server = start_with(vec![Service::new(face(), CancellationToken::new())], limits);
    let headers = [
        "user-agent: curl/8",
        "x-forwarded-for: 192.0.2.1",
        "accept-language: de",
        "cookie: secret=1",
    ];
    let answer = server
        .send("GET", "/v1/channels/c1/events/headers", &headers, "")
        .await;
    assert_eq!(
        answer.json()["event"]["tags"],
        json!(["curl/8", "192.0.2.1", "de", "-"])
    );
}

#[tokio::test]
async fn a_timeout_in_a_header_is_kept() {
    let server = start();
    let answer = server
        .send("GET", "/v1/channels/c1/events/slow", &["x-timeout: 0.05"], "")
        .await;
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (504, &json!("DEADLINE_EXCEEDED"))
    );
    let answer = server
        .send("GET", "/v1/channels/c1/events/e1", &["x-timeout: soon"], "")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn large_integers_are_strings() {
    let server = start();
    let answer = server
        .post(
            &format!("/v1/{ACCOUNT}/notifications:markRead"),
            r#"{"all": true}"#,
        )
        .await;
    assert_eq!(answer.json()["unread_count"], "9007199254740993");
    let authorization = format!("authorization: Bearer {}", server.token());
    let answer = server
        .send(
            "GET",
            &format!("/v1/{ACCOUNT}/notifications:unreadCount"),
            &[&authorization],
            "",
        )
        .await;
    assert_eq!(answer.json()["unread_count"], 0);
}

#[tokio::test]
async fn a_stream_is_server_sent_events_that_resume() {
    let server = start();
    let path = format!(
        "/v1/{ACCOUNT}/notifications:watch?access_token={}",
        server.token()
    );
    let answer = server.get(&path).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/event-stream")
    );
    let ids = |text: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("id: ").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&answer.text), ["1", "2"]);
    let data = answer
        .text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(data).unwrap(),
        json!({"cursor": "1", "unread_count": 1})
    );

    let resumed = server.send("GET", &path, &["last-event-id: 41"], "").await;
    assert_eq!(ids(&resumed.text), ["42", "43"]);
}

#[tokio::test]
async fn a_token_in_the_query_is_for_streams_only() {
    let server = start();
    let path = format!(
        "/v1/{ACCOUNT}/notifications:unreadCount?access_token={}",
        server.token()
    );
    assert_eq!(server.get(&path).await.status, 400);
    assert_eq!(
        server
            .get(&format!("/v1/{ACCOUNT}/notifications:watch"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_stream_that_fails_says_so_in_an_event_or_before_it_begins() {
    let server = start();
    let missing = server.get("/v1/channels/c1/events/missing:watch").await;
    assert_eq!(
        (missing.status, missing.header("content-type")),
        (404, "application/problem+json")
    );
    let failing = server.get("/v1/channels/c1/events/failing:watch").await;
    assert_eq!(failing.status, 200);
    let (_, error) = failing.text.split_once("event: error\n").unwrap();
    let data = error
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let problem: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&problem["status"], &problem["detail"]),
        (&json!(503), &json!("the store is gone"))
    );
}

#[tokio::test]
async fn the_first_event_arrives_while_the_stream_is_open() {
    let server = start();
    let response = server
        .open("GET", "/v1/channels/c1/events/e1:watch", &[], "")
        .await;
    let first = response
        .into_body()
        .into_data_stream()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert!(first.starts_with(b"data: {\"event\":{\"name\":\"channels/c1/events/e1\""));
}

#[tokio::test]
async fn the_document_describes_what_this_address_has() {
    let server = start();
    let document = server.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/channels/{channel}/events/{event}"]["get"].is_object());
    assert!(
        document["paths"].get("/v1/search").is_none(),
        "search is not served here"
    );
}
