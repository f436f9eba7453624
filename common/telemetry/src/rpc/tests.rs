use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::*;
use crate::{LogArgs, Metrics, current_traceparent, init};

fn request(path: &str) -> Request<()> {
    Request::get(format!("http://localhost{path}")).body(()).unwrap()
}

fn count(line: &str) -> Option<u64> {
    let text = Metrics::install().render();
    let found = text.lines().find(|l| l.starts_with(line))?;
    found.rsplit(' ').next()?.parse().ok()
}

fn count_of(service: &str, method: &str, status: &str) -> Option<u64> {
    count(&format!(
        "rpc_server_duration_seconds_count{{rpc_service=\"{service}\",rpc_method=\"{method}\",grpc_status=\"{status}\"}}"
    ))
}

#[tokio::test]
async fn the_handler_runs_in_the_callers_trace() {
    let _guard = init("test", &LogArgs::default());
    let handler = service_fn(async |_: Request<()>| {
        let body = Full::new(Bytes::from(current_traceparent().unwrap()));
        Ok::<_, Infallible>(Response::new(body))
    });
    let mut request = request("/trace.Test/Get");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request
        .headers_mut()
        .insert("traceparent", parent.parse().unwrap());

    let response = ServiceBuilder::new()
        .layer(RpcLayer::new())
        .service(handler)
        .oneshot(request)
        .await
        .unwrap();

    let inside = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(inside.get(..35), parent.as_bytes().get(..35));
}

#[tokio::test]
async fn the_status_is_read_from_headers_or_trailers() {
    let _guard = init("test", &LogArgs::default());
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
    let layer = RpcLayer::new();
    for path in ["/status.Test/Fine", "/status.Test/Fine", "/status.Test/Refused"] {
        let service = ServiceBuilder::new().layer(layer.clone()).service(handler);
        let response = service.oneshot(request(path)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    assert_eq!(count_of("status.Test", "Fine", "OK"), Some(2));
    assert_eq!(count_of("status.Test", "Refused", "PERMISSION_DENIED"), Some(1));
    assert_eq!(count_of("status.Test", "Refused", "OK"), None);
}

#[tokio::test]
async fn a_stream_that_the_caller_leaves_is_cancelled() {
    let _guard = init("test", &LogArgs::default());
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"x"))))
    });
    let service = ServiceBuilder::new().layer(RpcLayer::new()).service(handler);

    drop(service.oneshot(request("/left.Test/Watch")).await.unwrap());

    assert_eq!(count_of("left.Test", "Watch", "CANCELLED"), Some(1));
}

#[tokio::test]
async fn paths_that_nobody_answers_do_not_grow_the_metrics() {
    let _guard = init("test", &LogArgs::default());
    let handler = service_fn(async |_: Request<()>| {
        let mut response = Response::new(Full::new(Bytes::new()));
        response
            .headers_mut()
            .insert("grpc-status", "12".parse().unwrap());
        Ok::<_, Infallible>(response)
    });
    for n in 0..100 {
        let service = ServiceBuilder::new().layer(RpcLayer::new()).service(handler);
        service
            .oneshot(request(&format!("/guess{n}.Test/Get")))
            .await
            .unwrap();
    }

    assert!(!Metrics::install().render().contains("guess"));
    assert!(count_of("unknown", "unknown", "UNIMPLEMENTED").unwrap() >= 100);
}
