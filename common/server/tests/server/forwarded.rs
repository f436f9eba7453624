//! Behind proxies: who the client is, and what a request is called.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use marquee_proto::events::v1::GetEventRequest;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_server::{Limits, Service};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic_types::StatusExt as _;

use crate::stage::{Server, face, start, start_with};

fn behind_a_proxy() -> Server {
    let limits = Limits {
        trusted_proxies: "127.0.0.0/8".parse().unwrap(),
        ..Limits::default()
    };
    start_with(vec![Service::new(face(), CancellationToken::new())], limits)
}

fn get(event: &str, headers: &[(&'static str, &'static str)]) -> Request<GetEventRequest> {
    let mut request = Request::new(GetEventRequest {
        name: format!("channels/c1/events/{event}"),
    });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_service_sees_the_client_and_not_the_proxy() {
    let server = behind_a_proxy();
    let headers = ["x-forwarded-for: 203.0.113.7, 192.0.2.1"];
    let rest = server
        .send("GET", "/v1/channels/c1/events/client", &headers, "")
        .await;
    assert_eq!(rest.json()["event"]["description"], "192.0.2.1");

    let mut client = EventServiceClient::new(server.channel().await);
    let grpc = client
        .get_event(get("client", &[("x-real-ip", "192.0.2.2")]))
        .await;
    assert_eq!(grpc.unwrap().into_inner().event.unwrap().description, "192.0.2.2");
}

#[tokio::test]
async fn whoever_is_no_proxy_cannot_pretend_to_be_somebody_else() {
    let server = start();
    let headers = ["x-forwarded-for: 192.0.2.1", "x-request-id: mine"];
    let answer = server
        .send("GET", "/v1/channels/c1/events/client", &headers, "")
        .await;
    assert_eq!(answer.json()["event"]["description"], "127.0.0.1");
    assert_ne!(answer.header("x-request-id"), "mine");
    assert_eq!(answer.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn the_id_of_a_request_is_in_its_answer_and_in_its_error() {
    let server = behind_a_proxy();
    let answer = server
        .send("GET", "/v1/channels/c1/events/e1", &["x-request-id: r-1"], "")
        .await;
    assert_eq!(answer.header("x-request-id"), "r-1");

    let mut client = EventServiceClient::new(server.channel().await);
    let headers = [("x-request-id", "r-2")];
    let status = client.get_event(get("wrong", &headers)).await.unwrap_err();
    assert_eq!(status.get_details_request_info().unwrap().request_id, "r-2");
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "r-2");
}
