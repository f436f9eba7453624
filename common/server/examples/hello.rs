//! `GetEvent` through every layer beside a bare tonic server with the same handler; prints one JSON object.
//!
//! `cargo run --release -p marquee-server --example hello [seconds per run]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends where it cannot go on"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use marquee_auth::{Signer, StaticKeys, Verifier};
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::event_service_server::{EventService, EventServiceServer};
use marquee_proto::events::v1::*;
use marquee_server::{Face, Limits, Listener, serve};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

const CONNECTIONS: usize = 4;
const CALLERS: usize = 16;
/// Alternating runs, so that what else the machine does hits both.
const ROUNDS: usize = 3;

struct Hello(Event);

type Nothing = tokio_stream::Empty<Result<WatchEventResponse, Status>>;

#[tonic::async_trait]
impl EventService for Hello {
    async fn get_event(&self, _: Request<GetEventRequest>) -> Result<Response<GetEventResponse>, Status> {
        Ok(Response::new(GetEventResponse {
            event: Some(self.0.clone()),
        }))
    }
    async fn create_event(
        &self,
        _: Request<CreateEventRequest>,
    ) -> Result<Response<CreateEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn update_event(
        &self,
        _: Request<UpdateEventRequest>,
    ) -> Result<Response<UpdateEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn cancel_event(
        &self,
        _: Request<CancelEventRequest>,
    ) -> Result<Response<CancelEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    type WatchEventStream = Nothing;
    async fn watch_event(&self, _: Request<WatchEventRequest>) -> Result<Response<Nothing>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn hello() -> EventServiceServer<Hello> {
    EventServiceServer::new(Hello(Event {
        name: "channels/c1/events/e1".to_owned(),
        title: "Owls at night".to_owned(),
        description: "A camera in a barn. ".repeat(10),
        etag: "1".to_owned(),
        ..Event::default()
    }))
}

/// Requests per second.
async fn load(address: &str, length: Duration) -> f64 {
    let mut callers = tokio::task::JoinSet::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        for _ in 0..CALLERS {
            let mut client = EventServiceClient::new(channel.clone());
            callers.spawn(async move {
                let mut calls = 0_u64;
                while began.elapsed() < length {
                    let request = GetEventRequest {
                        name: "channels/c1/events/e1".to_owned(),
                    };
                    client.get_event(request).await.unwrap();
                    calls += 1;
                }
                calls
            });
        }
    }
    let calls: u64 = callers.join_all().await.into_iter().sum();
    calls as f64 / began.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(3.0);
    let length = Duration::from_secs_f64(seconds);
    let _guard = marquee_telemetry::init("hello", &marquee_telemetry::TelemetryArgs::default());

    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bare = socket.local_addr().unwrap().to_string();
    let incoming = TcpListenerStream::new(socket);
    let mut servers = tokio::task::JoinSet::new();
    servers.spawn(async move {
        let server = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(hello());
        server.serve_with_incoming(incoming).await.unwrap();
    });

    let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![
        Signer::generate().jwk(),
    ]))));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let layered = listener.local_addr().to_string();
    let face = Face::new("hello").grpc(hello());
    servers.spawn(async move {
        serve(
            listener,
            face,
            verifier,
            Limits::default(),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    });

    load(&bare, length / 4).await;
    load(&layered, length / 4).await;
    let (mut bare_rates, mut layered_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare_rates.push(load(&bare, length).await);
        layered_rates.push(load(&layered, length).await);
    }
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (bare, layered) = (median(bare_rates), median(layered_rates));
    println!(
        "{}",
        serde_json::json!({"bare_tonic_per_second": bare.round(), "marquee_per_second": layered.round(), "ratio": layered / bare})
    );
}
