use std::io::Write as _;
use std::time::Duration;

use marquee_proto::analytics::v1::StreamBeaconsRequest;
use marquee_proto::analytics::v1::beacon_service_client::BeaconServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::*;
use marquee_server::{Limits, Service};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::stage::{Server, face, start, start_with};

fn limited(limits: Limits) -> Server {
    start_with(vec![Service::new(face(), CancellationToken::new())], limits)
}

fn get(name: &str) -> Request<GetEventRequest> {
    Request::new(GetEventRequest {
        name: format!("channels/c1/events/{name}"),
    })
}

#[tokio::test]
async fn an_expired_deadline_is_told_as_such() {
    // Over plain HTTP/2, since tonic's client gives up by itself (and calls it CANCELLED).
    let headers = [
        "content-type: application/grpc",
        "te: trailers",
        "grpc-timeout: 30m",
    ];
    let message = GetEventRequest {
        name: "channels/c1/events/slow".to_owned(),
    }
    .encode_to_vec();
    let body = [&[0, 0, 0, 0, message.len() as u8], message.as_slice()].concat();
    let path = "/marquee.events.v1.EventService/GetEvent";
    let answer = start()
        .send("POST", path, &headers, std::str::from_utf8(&body).unwrap())
        .await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "4"));
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_is_open() {
    let mut events = EventServiceClient::new(start().channel().await);
    let mut request = Request::new(WatchEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    });
    request
        .metadata_mut()
        .insert("grpc-timeout", "50m".parse().unwrap());
    let mut stream = events.watch_event(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_handler_knows_how_long_its_caller_waits() {
    let mut events = EventServiceClient::new(start().channel().await);
    let mut request = get("budget");
    request.set_timeout(Duration::from_secs(5));
    let event = events
        .get_event(request)
        .await
        .unwrap()
        .into_inner()
        .event
        .unwrap();
    let left: i64 = event.description.parse().unwrap();
    assert!((1..=5_000).contains(&left), "{left}");
    let event = events
        .get_event(get("budget"))
        .await
        .unwrap()
        .into_inner()
        .event
        .unwrap();
    assert_eq!(event.description, "-1");
}

#[tokio::test]
async fn an_ill_formed_timeout_is_refused() {
    let mut events = EventServiceClient::new(start().channel().await);
    let mut request = get("e1");
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    assert_eq!(
        events.get_event(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn what_is_too_many_is_shed_with_a_hint() {
    let server = limited(Limits {
        max_in_flight: 1,
        ..Limits::default()
    });
    let channel = server.channel().await;
    let mut events = EventServiceClient::new(channel.clone());
    let mut slow = events.clone();
    // May itself be shed by a request of the loop below, so that it tries until it is in.
    let waiting = tokio::spawn(async move { while slow.get_event(get("slow")).await.is_err() {} });
    let status = loop {
        if let Err(status) = events.get_event(get("e1")).await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());

    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap();

    waiting.abort();
    // The place is free again once the server noticed that nobody waits.
    while events.get_event(get("e1")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_open_stream_takes_no_place_of_a_request() {
    let server = limited(Limits {
        max_in_flight: 1,
        ..Limits::default()
    });
    let mut events = EventServiceClient::new(server.channel().await);
    let request = WatchEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    let _first = events.watch_event(request.clone()).await.unwrap();
    let _second = events.watch_event(request).await.unwrap();
    events.get_event(get("e1")).await.unwrap();
}

#[tokio::test]
async fn a_client_that_streams_takes_no_place_of_a_request() {
    let server = limited(Limits {
        max_in_flight: 1,
        ..Limits::default()
    });
    let channel = server.channel().await;
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    let mut beacons = BeaconServiceClient::new(channel.clone());
    let streaming = tokio::spawn(async move {
        beacons
            .stream_beacons(tokio_stream::wrappers::ReceiverStream::new(messages))
            .await
    });
    // The second has room once the first is on its way, and so the call with it.
    for _ in 0..2 {
        sender.send(StreamBeaconsRequest::default()).await.unwrap();
    }
    let mut events = EventServiceClient::new(channel);
    for _ in 0..20 {
        events.get_event(get("e1")).await.unwrap();
    }
    drop(sender);
    assert_eq!(streaming.await.unwrap().unwrap().into_inner().accepted, 2);
}

#[tokio::test]
async fn more_streams_than_allowed_are_shed_until_one_ends() {
    let server = limited(Limits {
        max_open_streams: 1,
        ..Limits::default()
    });
    let mut events = EventServiceClient::new(server.channel().await);
    let request = WatchEventRequest {
        name: "channels/c1/events/e1".to_owned(),
    };
    let first = events.watch_event(request.clone()).await.unwrap();
    let shed = events.watch_event(request.clone()).await.unwrap_err();
    assert_eq!(shed.get_details_error_info().unwrap().reason, "OVERLOADED");
    drop(first);
    // The place is free again once the server noticed that nobody watches.
    while events.watch_event(request.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_never_ends_gives_its_place_back() {
    let server = limited(Limits {
        max_in_flight: 1,
        unary_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut events = EventServiceClient::new(server.channel().await);
    let status = events.get_event(get("slow")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    events.get_event(get("e1")).await.unwrap();
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused_both_ways() {
    let mut events = EventServiceClient::new(start().channel().await).max_decoding_message_size(usize::MAX);
    let request = GetEventRequest {
        name: "x".repeat(5 << 20),
    };
    let status = events.get_event(request).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(
        status.get_details_error_info().unwrap().reason,
        "REQUEST_TOO_LARGE"
    );
    let status = events.get_event(get("large")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(
        status.get_details_error_info().unwrap().reason,
        "RESPONSE_TOO_LARGE"
    );
}

#[tokio::test]
async fn compressed_requests_are_read_and_bounded() {
    let server = start();
    let mut events = EventServiceClient::new(server.channel().await)
        .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let answer = events.get_event(get("e1")).await.unwrap().into_inner();
    assert_eq!(answer.event.unwrap().name, "channels/c1/events/e1");
    let bomb = GetEventRequest {
        name: "x".repeat(64 << 20),
    };
    let status = events.get_event(bomb).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_client_stream_is_counted_to_its_end() {
    let mut beacons = BeaconServiceClient::new(start().channel().await);
    let messages = tokio_stream::iter(vec![StreamBeaconsRequest::default(); 7]);
    assert_eq!(
        beacons
            .stream_beacons(messages)
            .await
            .unwrap()
            .into_inner()
            .accepted,
        7
    );
}

/// What the server says before it closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    said
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let server = limited(Limits {
        header_timeout: Duration::from_millis(100),
        ..Limits::default()
    });
    for start in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ",
    ] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(5), until_closed(stream)).await;
        assert!(
            closed.is_ok(),
            "{:?} was waited for",
            String::from_utf8_lossy(start)
        );
    }
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let server = start();
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let mut request = Vec::new();
    write!(
        request,
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n",
        "x".repeat(256 << 10)
    )
    .unwrap();
    let _ = stream.write_all(&request).await;
    let said = until_closed(stream).await;
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn an_old_connection_is_closed_although_it_would_stay() {
    let server = limited(Limits {
        max_connection_age: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n")
        .await
        .unwrap();
    let said = tokio::time::timeout(Duration::from_secs(5), until_closed(stream))
        .await
        .unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200 OK"));
    let mut events = EventServiceClient::new(server.channel().await);
    events.get_event(get("e1")).await.unwrap();
}

/// A POST whose body was announced and of which nothing more comes.
async fn unfinished(server: &Server, length: usize) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(&server.address).await?;
    let head = format!(
        "POST /v1/channels/c1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await?;
    Ok(socket)
}

async fn first_line(mut socket: TcpStream) -> std::io::Result<String> {
    let mut answer = vec![0; 64];
    let length = socket.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..length]);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let server = limited(Limits {
        unary_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    assert_eq!(
        first_line(unfinished(&server, 100).await.unwrap()).await.unwrap(),
        "HTTP/1.1 408 Request Timeout"
    );
}

#[tokio::test]
async fn bodies_that_are_waited_for_share_a_bounded_memory() {
    let server = start();
    let mut waiting = Vec::new();
    for _ in 0..16 {
        waiting.push(unfinished(&server, 4 << 20).await.unwrap());
    }
    // The places are taken as the requests are read, which is soon.
    let refused = soon(async || {
        let socket = unfinished(&server, 4 << 20).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(200), first_line(socket)).await;
        answer.is_ok_and(|line| line.unwrap() == "HTTP/1.1 429 Too Many Requests")
    });
    assert!(refused.await, "a further body is taken");
    drop(waiting);
    let answer = server.get("/v1/channels/c1/events/e1").await;
    assert_eq!(
        answer.json()["event"]["title"],
        "Owls",
        "what has no body goes on"
    );
}

/// Asks up to twenty times.
async fn soon(mut ask: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..20 {
        if ask().await {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn what_is_no_protobuf_is_the_callers_fault() {
    let address = start().address;
    let client: hyper_util::client::legacy::Client<_, http_body_util::Full<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .http2_only(true)
            .build_http();
    let frame = [&[0, 0, 0, 0, 4][..], &[0xff; 4]].concat();
    let request = http::Request::post(format!(
        "http://{address}/marquee.events.v1.EventService/GetEvent"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .body(http_body_util::Full::from(frame))
    .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "3", "{:?}", response.headers());
}
