//! Against a real server on a free port.

mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use marquee_auth::{Claims, Signer, TokenSource, Verifier};
use marquee_config::Secret;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::subscriptions::v1::session_service_server::{SessionService, SessionServiceServer};
use marquee_proto::subscriptions::v1::*;
use marquee_telemetry::InContext as _;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{Peer, PeerArgs, Peers, RemoteKeys, ServiceTokens, channel, within};

const HOUR: Duration = Duration::from_secs(3_600);

/// Issues tokens, and fails or stalls as a test wishes.
struct Sessions {
    signer: Signer,
    lifetime: Duration,
    calls: AtomicUsize,
    /// How many calls yet to refuse with UNAVAILABLE.
    refuse: AtomicUsize,
    /// The reason in those refusals.
    reason: Option<&'static str>,
    stall: AtomicBool,
    seen: Mutex<Option<MetadataMap>>,
}

impl Sessions {
    fn new() -> Self {
        Self {
            signer: Signer::generate(),
            lifetime: HOUR,
            calls: AtomicUsize::new(0),
            refuse: AtomicUsize::new(0),
            reason: None,
            stall: AtomicBool::new(false),
            seen: Mutex::new(None),
        }
    }

    async fn enter<T>(&self, request: &Request<T>) -> Result<(), Status> {
        self.calls.fetch_add(1, Relaxed);
        *self.seen.lock() = Some(request.metadata().clone());
        if self.stall.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        let refused = self
            .refuse
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if refused.is_ok() {
            let mut details = ErrorDetails::new();
            if let Some(reason) = self.reason {
                details.set_error_info(reason, marquee_error::DOMAIN, [("a".to_owned(), "b".to_owned())]);
            }
            Err(Status::with_error_details(Code::Unavailable, "busy", details))
        } else {
            Ok(())
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let seen = self.seen.lock();
        Some(seen.as_ref()?.get(name)?.to_str().unwrap().to_owned())
    }
}

struct Shared(Arc<Sessions>);

#[async_trait]
impl SessionService for Shared {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        self.0.enter(&request).await?;
        Ok(Response::new(LoginResponse::default()))
    }

    async fn refresh(&self, _: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_key_set(
        &self,
        request: Request<GetKeySetRequest>,
    ) -> Result<Response<GetKeySetResponse>, Status> {
        self.0.enter(&request).await?;
        let keys = vec![self.0.signer.jwk().into()];
        Ok(Response::new(GetKeySetResponse { keys }))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        self.0.enter(&request).await?;
        let request = request.into_inner();
        if request.secret != "s3cret" {
            return Err(Status::unauthenticated("wrong secret"));
        }
        let claims = Claims::service(&request.service, jiff::Timestamp::now(), self.0.lifetime);
        Ok(Response::new(IssueServiceTokenResponse {
            access_token: self.0.signer.issue(&claims),
            expires_in: Some(marquee_proto::time::duration_to_proto(self.0.lifetime)),
        }))
    }
}

struct Running {
    sessions: Arc<Sessions>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(sessions: Sessions) -> Self {
        let sessions = Arc::new(sessions);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = SessionServiceServer::new(Shared(Arc::clone(&sessions)));
        let task = tokio::spawn(async move {
            let server = Server::builder().add_service(service);
            server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            sessions,
            address,
            task,
        }
    }

    fn channel(&self) -> tonic::transport::Channel {
        channel(format!("http://{}", self.address).parse().unwrap())
    }

    fn client(&self) -> SessionServiceClient<Peer> {
        SessionServiceClient::new(Peer::new("subscriptions", Some(self.channel()), None))
    }

    fn tokens(&self, secret: &str) -> Arc<ServiceTokens> {
        Arc::new(ServiceTokens::new(self.channel(), "events", Secret::new(secret)))
    }

    fn calls(&self) -> usize {
        self.sessions.calls.load(Relaxed)
    }
}

#[tokio::test]
async fn a_call_carries_the_service_token() {
    let server = Running::start(Sessions::new()).await;
    let peers = Peers::all_at(server.address, server.tokens("s3cret"));

    SessionServiceClient::new(peers.subscriptions())
        .login(LoginRequest::default())
        .await
        .unwrap();

    let bearer = server.sessions.header("authorization").unwrap();
    let verifier = Verifier::new(Arc::new(RemoteKeys::new(server.channel())));
    let principal = verifier
        .verify(bearer.strip_prefix("Bearer ").unwrap())
        .await
        .unwrap();
    assert_eq!(principal.id(), "services/events");
}

#[tokio::test]
async fn the_trace_and_the_deadline_go_on_at_the_peer() {
    let server = Running::start(Sessions::new()).await;
    let mut client = server.client();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = async { client.login(LoginRequest::default()).await };

    call.in_context(parent.parse().unwrap()).await.unwrap();

    let seen = server.sessions.header("traceparent").unwrap();
    assert_eq!(seen.get(..35), parent.get(..35));
    assert_ne!(seen, parent);
    let timeout = server.sessions.header("grpc-timeout").unwrap();
    let micros: u64 = timeout.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1_000_000..=5_000_000).contains(&micros), "{timeout}");
}

#[tokio::test]
async fn a_read_is_repeated_whatever_became_of_it() {
    let server = Running::start(Sessions::new()).await;
    server.sessions.refuse.store(2, Relaxed);

    server.client().get_key_set(GetKeySetRequest {}).await.unwrap();

    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_not_repeated() {
    let server = Running::start(Sessions::new()).await;
    server.sessions.refuse.store(1, Relaxed);

    let status = server.client().login(LoginRequest::default()).await.unwrap_err();

    assert_eq!((status.code(), status.message()), (Code::Unavailable, "busy"));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_write_that_was_refused_before_anything_was_done_is_repeated() {
    for reason in ["OVERLOADED", "STARTING", "SHUTTING_DOWN"] {
        let server = Running::start(Sessions {
            reason: Some(reason),
            ..Sessions::new()
        })
        .await;
        server.sessions.refuse.store(2, Relaxed);

        server.client().login(LoginRequest::default()).await.unwrap();

        assert_eq!(server.calls(), 3);
    }
}

#[tokio::test]
async fn writes_survive_connections_that_are_closed_for_their_age() {
    let sessions = Arc::new(Sessions::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = SessionServiceServer::new(Shared(Arc::clone(&sessions)));
    let server = tokio::spawn(async move {
        Server::builder()
            .max_connection_age(Duration::from_millis(5))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
    });
    let channel = channel(format!("http://{address}").parse().unwrap());
    let peer = Peer::new("subscriptions", Some(channel), None);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let mut client = SessionServiceClient::new(peer.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    client.login(LoginRequest::default()).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(sessions.calls.load(Relaxed), 8 * 200, "none was done twice");
    server.abort();
}

#[tokio::test]
async fn retries_end_with_the_budget() {
    let server = Running::start(Sessions::new()).await;
    server.sessions.refuse.store(usize::MAX, Relaxed);
    let mut client = server.client();
    for _ in 0..20 {
        let status = client.get_key_set(GetKeySetRequest {}).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "busy"));
    }
    assert_eq!(
        server.calls(),
        20 + 3,
        "two retries of the first call, one of the second, none of the others"
    );
}

#[tokio::test]
async fn a_large_request_is_sent_once() {
    let server = Running::start(Sessions {
        reason: Some("OVERLOADED"),
        ..Sessions::new()
    })
    .await;
    server.sessions.refuse.store(1, Relaxed);
    let request = LoginRequest {
        email: "x".repeat(100_000),
        ..LoginRequest::default()
    };

    let status = server.client().login(request).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_peer_that_stalls_is_given_up_when_the_callers_time_is_over() {
    let server = Running::start(Sessions {
        stall: AtomicBool::new(true),
        ..Sessions::new()
    })
    .await;
    let started = Instant::now();
    let deadline = started + Duration::from_millis(200);
    let mut client = server.client();

    let status = within(deadline, client.login(LoginRequest::default()))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(marquee_error::reason(&status).as_deref(), Some("PEER_TIMED_OUT"));
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "not the default deadline"
    );
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let channel = channel(format!("http://{free}").parse().unwrap());
    let mut client = SessionServiceClient::new(Peer::new("subscriptions", Some(channel), None));

    let status = client.login(LoginRequest::default()).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "subscriptions is not reachable");
    assert_eq!(
        marquee_error::reason(&status).as_deref(),
        Some("PEER_UNREACHABLE")
    );
}

#[tokio::test]
async fn a_peer_without_an_address_says_which_option_is_missing() {
    let server = Running::start(Sessions::new()).await;
    let peers = Peers::new(PeerArgs::default(), server.tokens("s3cret"));

    let status = SessionServiceClient::new(peers.subscriptions())
        .login(LoginRequest::default())
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        status.message(),
        "the address of subscriptions is not configured: set `--subscriptions-url`"
    );
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let channel = channel(format!("http://{address}").parse().unwrap());
    let mut client = SessionServiceClient::new(Peer::new("subscriptions", Some(channel), None));
    assert!(client.login(LoginRequest::default()).await.is_err());

    let listener = TcpListener::bind(address).await.unwrap();
    let service = SessionServiceServer::new(Shared(Arc::new(Sessions::new())));
    let task = tokio::spawn(async move {
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
    });

    client.login(LoginRequest::default()).await.unwrap();
    task.abort();
}
