use bytes::{BufMut as _, BytesMut};
use futures::StreamExt as _;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::*;
use marquee_proto::search::v1::SearchRequest;
use marquee_proto::search::v1::search_service_client::SearchServiceClient;
use marquee_server::{Limits, Service};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_reflection::pb::{v1, v1alpha};

use crate::stage::{face, start, start_with};

#[tokio::test]
async fn one_port_speaks_grpc_and_http() {
    let server = start();
    let mut events = EventServiceClient::new(server.channel().await);
    let request = GetEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    assert_eq!(
        events
            .get_event(request)
            .await
            .unwrap()
            .into_inner()
            .event
            .unwrap()
            .title,
        "Owls"
    );
    assert_eq!(server.get("/healthz").await.text, "ok\n");
    assert!(
        server
            .get("/metrics")
            .await
            .text
            .contains("rpc_server_duration_seconds")
    );
}

#[tokio::test]
async fn grpc_web_over_http_1_passes_the_same_guard() {
    let server = start();
    let message = GetEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    }
    .encode_to_vec();
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(message.len() as u32);
    body.put_slice(&message);
    let body = String::from_utf8(body.to_vec()).unwrap();
    let headers = [
        "content-type: application/grpc-web+proto",
        "origin: https://example.com",
    ];
    let path = "/marquee.events.v1.EventService/GetEvent";
    let answer = server.send("POST", path, &headers, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("grpc-status")
    );
    assert!(
        answer.text.contains("Owls") && answer.text.contains("grpc-status:0"),
        "{}",
        answer.text
    );

    let path = "/marquee.events.v1.EventService/CancelEvent";
    let answer = server.send("POST", path, &headers, &body).await;
    assert!(
        answer.header("grpc-status") == "16" || answer.text.contains("grpc-status:16"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask_first() {
    let server = start();
    let headers = [
        "origin: https://example.com",
        "access-control-request-method: POST",
        "access-control-request-headers: authorization,content-type,x-grpc-web,grpc-timeout",
    ];
    let answer = server
        .send(
            "OPTIONS",
            "/marquee.events.v1.EventService/GetEvent",
            &headers,
            "",
        )
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    // A bare "*" does not cover Authorization (Fetch, "CORS-safelisted").
    assert!(
        answer
            .header("access-control-allow-headers")
            .to_ascii_lowercase()
            .contains("authorization")
    );
}

#[tokio::test]
async fn unknown_rpcs_are_unimplemented() {
    let server = start();
    let mut search = SearchServiceClient::new(server.channel().await);
    let status = search.search(SearchRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    for path in [
        "/marquee.events.v1.EventService/Nothing",
        "/nobody.Nothing/Get",
        "/",
    ] {
        let answer = server
            .send("POST", path, &["content-type: application/grpc"], "")
            .await;
        assert_eq!(
            (answer.status, answer.header("grpc-status")),
            (200, "12"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let answer = start().get("/nothing/here").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (404, "application/problem+json")
    );
    assert_eq!(answer.json()["reason"], "PATH_NOT_FOUND");
}

#[tokio::test]
async fn routers_and_pages_stand_beside_the_rpcs() {
    use axum::routing::get;
    let face = face()
        .http(axum::Router::new().route("/hls/index.m3u8", get(|| async { "#EXTM3U\n" })))
        .fallback(axum::Router::new().fallback(|| async { "a page" }));
    let server = start_with(
        vec![Service::new(face, CancellationToken::new())],
        Limits::default(),
    );
    assert_eq!(server.get("/hls/index.m3u8").await.text, "#EXTM3U\n");
    assert_eq!(server.get("/watch/e1").await.text, "a page");
    for path in [
        "/v1/nothing",
        "/v1/channels/c1/events/e1/foo",
        "/live/c1",
        "/recordings/c1/r1/x/y",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.json()["reason"], "PATH_NOT_FOUND", "{path} is no page");
    }
    assert_eq!(
        server.get("/v1/channels/c1/events/e1").await.json()["event"]["title"],
        "Owls"
    );
}

#[tokio::test]
async fn reflection_of_both_versions_lists_what_is_here() {
    let channel = start().channel().await;
    let mut names = Vec::new();
    {
        use v1::server_reflection_request::MessageRequest;
        use v1::server_reflection_response::MessageResponse;
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
        let request = v1::ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut answers = client
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap()
            .into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else {
            panic!("{answer:?}")
        };
        names.extend(list.service.into_iter().map(|service| service.name));
    }
    assert!(
        names.contains(&"marquee.events.v1.EventService".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
    assert!(
        !names.contains(&"marquee.search.v1.SearchService".to_owned()),
        "{names:?}"
    );

    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(MessageRequest::FileContainingSymbol(
            "marquee.events.v1.EventService".to_owned(),
        )),
        ..Default::default()
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(answer, MessageResponse::FileDescriptorResponse(_)),
        "{answer:?}"
    );
}
