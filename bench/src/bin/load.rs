//! Calls one unary gRPC method as fast as it is answered, and prints one JSON object.
//!
//! `load http://HOST:PORT /package.Service/Method ARGUMENT`: the request is a message whose field 1 is the string ARGUMENT,
//! as those of GetEvent and SayHello are. It speaks HTTP/2 without a gRPC library, to take little from the server's cores.
#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use marquee_proto::events::v1::GetEventRequest;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: usize = 4;
/// Calls that run at once on a connection.
const CALLERS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Caller {
    /// In the window.
    delays: Vec<Duration>,
    /// With those of the warm-up.
    calls: usize,
    bytes: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, method, argument] = &*arguments else {
        bail!("three arguments: address, method, field 1")
    };
    let host = base
        .strip_prefix("http://")
        .context("the address begins with http://")?;
    let uri: http::Uri = format!("{base}{method}").parse()?;
    let body = frame(argument);

    let mut callers = JoinSet::new();
    let mut connections = JoinSet::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let socket = TcpStream::connect(host).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
        connections.spawn(connection);
        for _ in 0..CALLERS {
            callers.spawn(call(sender.clone(), uri.clone(), body.clone(), began));
        }
    }
    let mut all = Caller::default();
    while let Some(caller) = callers.join_next().await {
        let caller = caller??;
        all.delays.extend(caller.delays);
        all.calls += caller.calls;
        all.bytes = caller.bytes;
    }
    all.delays.sort_unstable();
    let at = |part: usize| {
        all.delays
            .get(all.delays.len() * part / 100)
            .map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e6)
    };
    let figures = serde_json::json!({
        "per_second": all.delays.len() as f64 / WINDOW.as_secs_f64(),
        "p50_us": at(50),
        "p99_us": at(99),
        "calls": all.calls as f64,
        "bytes": all.bytes,
    });
    println!("{figures}");
    Ok(())
}

/// A request as gRPC frames it: not compressed, four bytes of length, the message.
fn frame(argument: &str) -> Bytes {
    let message = GetEventRequest {
        name: argument.to_owned(),
    };
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    frame.put(message.encode_to_vec().as_slice());
    frame.freeze()
}

/// One call after the other until the window is over.
async fn call(
    mut sender: SendRequest<Full<Bytes>>,
    uri: http::Uri,
    body: Bytes,
    began: Instant,
) -> Result<Caller> {
    let mut caller = Caller::default();
    while began.elapsed() < WARM_UP + WINDOW {
        let request = Request::post(uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body.clone()))?;
        let sent = Instant::now();
        sender.ready().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().unwrap_or(&head.headers);
        ensure!(ended_well(trailers), "the server answers {trailers:?}");
        caller.bytes = body.to_bytes().len();
        caller.calls += 1;
        let ended = Instant::now();
        // What ends after the window is not counted in it.
        if sent > began + WARM_UP && ended <= began + WARM_UP + WINDOW {
            caller.delays.push(ended - sent);
        }
    }
    Ok(caller)
}

fn ended_well(trailers: &HeaderMap) -> bool {
    trailers.get("grpc-status").is_some_and(|status| status == "0")
}
