//! A server on port 0 with services whose answers depend on the name that is asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails where it cannot go on"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use marquee_auth::{Claims, Role, Signer, StaticKeys, Verifier, principal};
use marquee_error::invalid;
use marquee_proto::analytics::v1::beacon_service_server::{BeaconService, BeaconServiceServer};
use marquee_proto::analytics::v1::{
    SendBeaconsRequest, SendBeaconsResponse, StreamBeaconsRequest, StreamBeaconsResponse,
};
use marquee_proto::events::v1::event_service_server::{EventService, EventServiceServer};
use marquee_proto::events::v1::*;
use marquee_proto::name::AccountName;
use marquee_proto::notifications::v1::inbox_service_server::{InboxService, InboxServiceServer};
use marquee_proto::notifications::v1::*;
use marquee_server::{Error, Face, Limits, Listener, Service, run};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const ACCOUNT: &str = "accounts/0190b0c0-0000-7000-8000-000000000001";

type Watched<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct Stage;

#[tonic::async_trait]
impl EventService for Stage {
    async fn create_event(
        &self,
        request: Request<CreateEventRequest>,
    ) -> Result<Response<CreateEventResponse>, Status> {
        let owner = principal(&request).id();
        let request = request.into_inner();
        let mut event = request.event.unwrap_or_default();
        if event.title.is_empty() {
            return Err(marquee_error::ErrorExt::to_status(&invalid(
                "event.title",
                "must not be empty",
            )));
        }
        event.name = format!("{}/events/e1", request.parent);
        event.etag = format!("{owner} {}", request.request_id);
        Ok(Response::new(CreateEventResponse { event: Some(event) }))
    }

    async fn get_event(
        &self,
        request: Request<GetEventRequest>,
    ) -> Result<Response<GetEventResponse>, Status> {
        let remaining = marquee_server::remaining(&request);
        let header = |name: &str| {
            request
                .metadata()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("-")
                .to_owned()
        };
        let name = request.get_ref().name.clone();
        let mut event = Event {
            name: name.clone(),
            title: "Owls".to_owned(),
            ..Event::default()
        };
        match name.rsplit('/').next().unwrap_or_default() {
            "slow" => std::future::pending().await,
            "large" => event.description = "x".repeat(5 << 20),
            "budget" => {
                event.description = format!("{}", remaining.map_or(-1, |left| left.as_millis() as i64))
            }
            "headers" => {
                event.tags = ["user-agent", "x-forwarded-for", "accept-language", "cookie"]
                    .map(header)
                    .to_vec();
            }
            "client" => {
                event.description = request
                    .remote_addr()
                    .map(|client| client.ip().to_string())
                    .unwrap_or_default();
            }
            "missing" => return Err(Status::not_found("event was not found")),
            "wrong" => return Err(invalid("name", "is wrong").into()),
            "busy" => {
                let mut details = tonic_types::ErrorDetails::new();
                details.set_retry_info(Some(Duration::from_secs(3)));
                use tonic_types::StatusExt as _;
                return Err(Status::with_error_details(
                    tonic::Code::Unavailable,
                    "later",
                    details,
                ));
            }
            _ => {}
        }
        Ok(Response::new(GetEventResponse { event: Some(event) }))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let request = request.into_inner();
        let events = (0..request.page_size).map(|n| Event {
            name: format!("{}/events/{n}", request.parent),
            ..Event::default()
        });
        Ok(Response::new(ListEventsResponse {
            events: events.collect(),
            next_page_token: request.filter,
        }))
    }

    async fn update_event(
        &self,
        request: Request<UpdateEventRequest>,
    ) -> Result<Response<UpdateEventResponse>, Status> {
        let request = request.into_inner();
        let mut event = request.event.unwrap_or_default();
        event.etag = request.update_mask.unwrap_or_default().paths.join(" ");
        Ok(Response::new(UpdateEventResponse { event: Some(event) }))
    }

    async fn cancel_event(
        &self,
        request: Request<CancelEventRequest>,
    ) -> Result<Response<CancelEventResponse>, Status> {
        let CancelEventRequest { name, etag } = request.into_inner();
        let event = Event {
            name,
            etag,
            state: EventState::Cancelled.into(),
            ..Event::default()
        };
        Ok(Response::new(CancelEventResponse { event: Some(event) }))
    }

    type WatchEventStream = Watched<WatchEventResponse>;

    /// One message, then silence; `failing` fails after it, `missing` before.
    async fn watch_event(
        &self,
        request: Request<WatchEventRequest>,
    ) -> Result<Response<Self::WatchEventStream>, Status> {
        let name = request.into_inner().name;
        if name.ends_with("/missing") {
            return Err(Status::not_found("event was not found"));
        }
        let first = Ok(WatchEventResponse {
            event: Some(Event {
                name: name.clone(),
                ..Event::default()
            }),
        });
        let rest: Watched<_> = if name.ends_with("/failing") {
            stream::iter([Err(Status::unavailable("the store is gone"))]).boxed()
        } else {
            stream::pending().boxed()
        };
        Ok(Response::new(stream::iter([first]).chain(rest).boxed()))
    }
}

#[tonic::async_trait]
impl InboxService for Stage {
    async fn list_notifications(
        &self,
        _: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        Ok(Response::new(ListNotificationsResponse::default()))
    }

    async fn get_unread_count(
        &self,
        _: Request<GetUnreadCountRequest>,
    ) -> Result<Response<GetUnreadCountResponse>, Status> {
        Ok(Response::new(GetUnreadCountResponse { unread_count: 0 }))
    }

    async fn mark_read(&self, _: Request<MarkReadRequest>) -> Result<Response<MarkReadResponse>, Status> {
        Ok(Response::new(MarkReadResponse {
            unread_count: 9_007_199_254_740_993,
        }))
    }

    type WatchNotificationsStream = Watched<WatchNotificationsResponse>;

    /// Two messages after the cursor, then the end.
    async fn watch_notifications(
        &self,
        request: Request<WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let after: i64 = request.into_inner().cursor.parse().unwrap_or(0);
        let messages = [1, 2].map(|n| {
            Ok(WatchNotificationsResponse {
                cursor: (after + n).to_string(),
                unread_count: n,
                ..Default::default()
            })
        });
        Ok(Response::new(stream::iter(messages).boxed()))
    }
}

#[tonic::async_trait]
impl BeaconService for Stage {
    async fn stream_beacons(
        &self,
        request: Request<Streaming<StreamBeaconsRequest>>,
    ) -> Result<Response<StreamBeaconsResponse>, Status> {
        let mut messages = request.into_inner();
        let mut accepted = 0;
        while messages.message().await?.is_some() {
            accepted += 1;
        }
        Ok(Response::new(StreamBeaconsResponse {
            accepted,
            ..Default::default()
        }))
    }

    async fn send_beacons(
        &self,
        _: Request<SendBeaconsRequest>,
    ) -> Result<Response<SendBeaconsResponse>, Status> {
        Ok(Response::new(SendBeaconsResponse::default()))
    }
}

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), Error>>,
    signer: Signer,
}

pub(crate) fn face() -> Face {
    Face::new("stage")
        .grpc(EventServiceServer::new(Stage))
        .grpc(InboxServiceServer::new(Stage))
        .grpc(BeaconServiceServer::new(Stage))
}

pub(crate) fn start() -> Server {
    start_with(
        vec![Service::new(face(), CancellationToken::new())],
        Limits::default(),
    )
}

pub(crate) fn start_with(services: Vec<Service>, limits: Limits) -> Server {
    let signer = Signer::generate();
    let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![signer.jwk()]))));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().to_string();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(listener, services, verifier, limits, shutdown.clone()));
    Server {
        address,
        shutdown,
        running,
        signer,
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    pub(crate) fn running_at(
        address: String,
        shutdown: CancellationToken,
        running: JoinHandle<Result<(), Error>>,
    ) -> Self {
        Self {
            address,
            shutdown,
            running,
            signer: Signer::generate(),
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub(crate) fn token(&self) -> String {
        let name: AccountName = ACCOUNT.parse().unwrap();
        self.signer.issue(&Claims::account(
            &name,
            Role::Viewer,
            Timestamp::now(),
            Duration::from_secs(60),
        ))
    }

    /// Sends a request; headers as `name: value`.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> http::Response<hyper::body::Incoming> {
        let client: Client<HttpConnector, Full<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        client
            .request(request.body(Full::from(body.to_owned())).unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, json: &str) -> Answer {
        let authorization = format!("authorization: Bearer {}", self.token());
        self.send(
            "POST",
            path,
            &["content-type: application/json", &authorization],
            json,
        )
        .await
    }
}
