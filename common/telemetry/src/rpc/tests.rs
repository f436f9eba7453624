use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::*;
use crate::{Metrics, current_traceparent};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn request(path: &str) -> Request<()> {
    Request::get(format!("http://localhost{path}")).body(()).unwrap()
}

fn value(line: &str) -> Option<u64> {
    let text = Metrics::install().render();
    let found = text.lines().find(|l| l.starts_with(line))?;
    found.rsplit(' ').next()?.parse().ok()
}

fn count_of(service: &str, method: &str, status: u8) -> Option<u64> {
    value(&format!(
        "rpc_server_duration_seconds_count{{rpc_service=\"{service}\",rpc_method=\"{method}\",rpc_grpc_status_code=\"{status}\"}}"
    ))
}

fn active_of(service: &str, method: &str) -> Option<u64> {
    value(&format!(
        "rpc_server_active_requests{{rpc_service=\"{service}\",rpc_method=\"{method}\"}}"
    ))
}

#[tokio::test]
async fn the_handler_runs_in_the_callers_trace() {
    let handler = service_fn(async |_: Request<()>| {
        let body = Full::new(Bytes::from(current_traceparent().unwrap()));
        Ok::<_, Infallible>(Response::new(body))
    });
    let mut request = request("/trace.Test/Get");
    request
        .headers_mut()
        .insert("traceparent", PARENT.parse().unwrap());

    let response = ServiceBuilder::new()
        .layer(RpcLayer::new(["/trace.Test/Get"]))
        .service(handler)
        .oneshot(request)
        .await
        .unwrap();

    let inside = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(inside.get(..35), PARENT.as_bytes().get(..35));
    assert_ne!(inside.get(36..52), PARENT.as_bytes().get(36..52), "another step");
    assert_eq!(current_traceparent(), None, "it ended with the call");
}

#[tokio::test]
async fn the_status_is_read_from_headers_or_trailers() {
    let _ = Metrics::install();
    let handler = service_fn(async |request: Request<()>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"hello"))),
            Ok(Frame::trailers(trailers)),
        ];
        let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)));
        if request.uri().path().ends_with("Refused") {
            response.headers_mut().insert("grpc-status", "7".parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    });
    let layer = RpcLayer::new(["/status.Test/Fine", "/status.Test/Refused"]);
    for path in ["/status.Test/Fine", "/status.Test/Fine", "/status.Test/Refused"] {
        let service = ServiceBuilder::new().layer(layer.clone()).service(handler);
        let response = service.oneshot(request(path)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    assert_eq!(count_of("status.Test", "Fine", 0), Some(2));
    assert_eq!(count_of("status.Test", "Refused", 7), Some(1));
    assert_eq!(count_of("status.Test", "Refused", 0), None);
}

#[tokio::test]
async fn a_stream_is_active_until_it_ends_and_cancelled_when_its_caller_leaves() {
    let _ = Metrics::install();
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"x"))))
    });
    let layer = RpcLayer::new(["/left.Test/Watch"]);
    let service = ServiceBuilder::new().layer(layer).service(handler);

    let stream = service.oneshot(request("/left.Test/Watch")).await.unwrap();
    assert_eq!(active_of("left.Test", "Watch"), Some(1));
    drop(stream);

    assert_eq!(active_of("left.Test", "Watch"), Some(0));
    assert_eq!(count_of("left.Test", "Watch", 1), Some(1));
}

#[tokio::test]
async fn paths_that_nobody_knows_do_not_grow_the_metrics() {
    let _ = Metrics::install();
    let handler = service_fn(async |_: Request<()>| {
        let mut response = Response::new(Full::new(Bytes::new()));
        response
            .headers_mut()
            .insert("grpc-status", "12".parse().unwrap());
        Ok::<_, Infallible>(response)
    });
    let layer = RpcLayer::new(["/known.Test/Get"]);
    for n in 0..100 {
        let service = ServiceBuilder::new().layer(layer.clone()).service(handler);
        service
            .oneshot(request(&format!("/guess{n}.Test/Get")))
            .await
            .unwrap();
    }

    assert!(!Metrics::install().render().contains("guess"));
    assert_eq!(count_of("_OTHER", "_OTHER", 12), Some(100));
}

#[tokio::test]
async fn a_call_of_a_peer_is_the_next_step_and_has_its_own_durations() {
    let _ = Metrics::install();
    let outer: crate::TraceContext = PARENT.parse().unwrap();
    let calls = ClientCalls::new(["/peer.Test/Get"]);
    let mut call = {
        let _outer = outer.enter();
        calls.begin("/peer.Test/Get")
    };
    assert_eq!(call.context().trace_id(), outer.trace_id());
    assert_ne!(call.context().span_id(), outer.span_id());
    call.ended(14);
    drop(call);

    assert_eq!(
        value(
            "rpc_client_duration_seconds_count{rpc_service=\"peer.Test\",rpc_method=\"Get\",rpc_grpc_status_code=\"14\"}"
        ),
        Some(1)
    );
}
