//! Sorts requests by what they speak.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::Request as HttpRequest;
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::get;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use marquee_auth::Verifier;
use marquee_config::TrustedProxies;
use marquee_error::{ErrorExt, ErrorKind};
use marquee_telemetry::Metrics;
use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpConnectInfo;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::face::Face;
use crate::forwarded::{self, REQUEST_ID};
use crate::grpc::{self, Stack, StackBody};
use crate::probes::Probes;
use crate::rest::{self, Rest, Routes};
use crate::{BoxError, Error, Limits};

/// Everything behind one address.
#[derive(Clone)]
pub(crate) struct Front(Arc<Shared>);

struct Shared {
    grpc: Stack,
    http: Router,
    proxies: TrustedProxies,
    /// There are no services yet.
    starting: bool,
}

/// What answers on an address: one front, until another one replaces it.
#[derive(Clone)]
pub(crate) struct Fronts {
    first: Front,
    then: Arc<OnceLock<Front>>,
}

impl Fronts {
    pub(crate) fn new(first: Front) -> Self {
        Self {
            first,
            then: Arc::default(),
        }
    }

    /// Once; for all connections, also those that are open.
    pub(crate) fn replace(&self, with: Front) {
        let _ = self.then.set(with);
    }

    pub(crate) fn current(&self) -> &Front {
        self.then.get().unwrap_or(&self.first)
    }
}

/// Every RPC before there are services.
#[derive(Debug, thiserror::Error)]
#[error("the server is starting; /readyz says what it waits for")]
struct Starting;

impl ErrorExt for Starting {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }

    fn reason(&self) -> &'static str {
        "STARTING"
    }
}

impl Front {
    /// `draining` ends streams.
    pub(crate) fn new(
        face: Face,
        verifier: Arc<Verifier>,
        limits: &Limits,
        draining: CancellationToken,
    ) -> Result<(Self, Probes), Error> {
        Self::of(face, verifier, limits, draining, false)
    }

    /// Answers for the server itself (health, readiness, metrics), and everything else with UNAVAILABLE.
    pub(crate) fn starting(
        face: Face,
        verifier: Arc<Verifier>,
        limits: &Limits,
        draining: CancellationToken,
    ) -> Result<(Self, Probes), Error> {
        Self::of(face, verifier, limits, draining, true)
    }

    fn of(
        face: Face,
        verifier: Arc<Verifier>,
        limits: &Limits,
        draining: CancellationToken,
        starting: bool,
    ) -> Result<(Self, Probes), Error> {
        marquee_error::set_request_id_source(request_id);
        marquee_telemetry::set_request_id_source(request_id);
        let names = face.table.names();
        let routes = Routes::of(names.iter().copied())?;
        let described = if limits.describes_fleet {
            product()
        } else {
            names.iter().map(ToString::to_string).collect()
        };
        let openapi = rest::openapi::document(&Routes::of(described.iter().map(String::as_str))?);
        let openapi = Bytes::from(openapi.to_string());

        let (reporter, health) = tonic_health::server::health_reporter();
        let mut table = face.table;
        table.insert(health);
        table.insert(
            reflection(&described)
                .build_v1()
                .map_err(|error| Error::Reflection(error.into()))?,
        );
        table.insert(
            reflection(&described)
                .build_v1alpha()
                .map_err(|error| Error::Reflection(error.into()))?,
        );
        let stack = grpc::stack(table, verifier, limits, draining);

        let probes = Probes::new(face.parts, limits.ready_timeout, reporter);
        let rest = Rest::new(routes, stack.clone(), limits.max_message, limits.unary_timeout);
        let metrics = Metrics::install();
        let ready = probes.clone();
        let system = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || async move { ready.ready().await }))
            .route(
                "/metrics",
                get(move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) }),
            )
            .route(
                "/openapi.json",
                get(move || async move { ([(CONTENT_TYPE, "application/json")], openapi) }),
            );
        let others = Arc::new(Others {
            web: stack.clone(),
            rest,
            pages: face.fallback,
        });
        let http = system
            .merge(face.router)
            .fallback(move |request| others_answer(Arc::clone(&others), request))
            .layer(cors());
        let shared = Shared {
            grpc: stack,
            http,
            proxies: limits.trusted_proxies.clone(),
            starting,
        };
        Ok((Self(Arc::new(shared)), probes))
    }

    pub(crate) fn answer(&self, mut request: Request<Incoming>, connection: &TcpConnectInfo) -> Answer {
        let proxies = &self.0.proxies;
        // A socket whose peer is not known is closed already.
        let peer = connection.remote_addr.unwrap_or(NOBODY);
        let mut id = forwarded::request_id(proxies, peer, request.headers_mut());
        let client = forwarded::client(proxies, peer, request.headers_mut());
        // Services, logs and limits see the client, not the proxy.
        request.extensions_mut().insert(TcpConnectInfo {
            local_addr: connection.local_addr,
            remote_addr: Some(client),
        });
        let kind = self.kind(request, client, &mut id);
        Answer { kind, id }
    }

    fn kind(&self, request: Request<Incoming>, client: SocketAddr, id: &mut HeaderValue) -> Kind {
        let grpc = speaks_grpc(request.headers());
        if self.0.starting && !answers_while_starting(request.uri().path()) {
            let status = marquee_client::poll_for_request(id, || Starting.to_status());
            return Kind::Refused {
                response: Some(match grpc || speaks_grpc_web(request.headers()) {
                    true => status.into_http(),
                    false => rest::problem(&status),
                }),
            };
        }
        if grpc {
            return Kind::Grpc {
                future: marquee_client::poll_for_request(id, || {
                    self.0.grpc.clone().call(request.map(tonic::body::Body::new))
                }),
            };
        }
        let mut request = request.map(HttpBody::new);
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(client));
        Kind::Http {
            future: self.0.http.clone().call(request),
        }
    }
}

/// Of the request that is being answered: for errors and log lines.
fn request_id() -> Option<String> {
    marquee_client::request_id().and_then(|id| id.to_str().ok().map(ToOwned::to_owned))
}

/// Every service there is, by its full name.
fn product() -> Vec<String> {
    let mut names: Vec<_> = marquee_proto::DESCRIPTORS
        .services()
        .filter(|service| service.package_name().starts_with("marquee."))
        .map(|service| service.full_name().to_owned())
        .collect();
    names.sort_unstable();
    names
}

fn reflection(services: &[String]) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(marquee_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    // The set has all services of the product; this address has some.
    let builder = services
        .iter()
        .fold(builder, |builder, name| builder.with_service_name(name.as_str()));
    builder.with_service_name("grpc.health.v1.Health")
}

const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What tells of the server itself.
fn answers_while_starting(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics" | "/openapi.json") || path.starts_with("/grpc.")
}

/// gRPC as it is: what only starts like it (grpc-web) is something else.
fn speaks_grpc(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    match media_type.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

fn speaks_grpc_web(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"application/grpc-web"))
}

/// Any page may call: callers are told apart by tokens, never by cookies.
fn cors() -> CorsLayer {
    const EXPOSED: [&str; 6] = [
        "x-request-id",
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "grpc-encoding",
        "retry-after",
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        // A "*" would not cover `authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(3_600))
}

struct Others {
    web: Stack,
    rest: Rest,
    pages: Option<Router>,
}

/// Paths that machines ask for: what is not there is a problem, not a page.
fn is_api(path: &str) -> bool {
    ["/v1/", "/live/", "/recordings/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

async fn others_answer(others: Arc<Others>, request: HttpRequest) -> HttpResponse {
    if speaks_grpc_web(request.headers()) {
        if request.method() != Method::POST {
            return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response();
        }
        let service = GrpcWebLayer::new().layer(others.web.clone());
        return match service.oneshot(request).await {
            Ok(response) => response.map(HttpBody::new),
            Err(never) => match never {},
        };
    }
    if others.rest.knows(request.method(), request.uri().path()) {
        return others.rest.call(request).await;
    }
    // A misspelt path of the API is no page.
    let pages = others.pages.as_ref().filter(|_| !is_api(request.uri().path()));
    match pages {
        Some(pages) => match pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => others.rest.call(request).await,
    }
}

pin_project! {
    /// The answer to come.
    pub(crate) struct Answer {
        #[pin]
        kind: Kind,
        id: HeaderValue,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind {
        Grpc { #[pin] future: <Stack as Service<Request<tonic::body::Body>>>::Future },
        Http { #[pin] future: <Router as Service<Request<HttpBody>>>::Future },
        Refused { response: Option<HttpResponse> },
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let id = this.id;
        let response = marquee_client::poll_for_request(id, || match this.kind.project() {
            KindProjection::Grpc { future } => future.poll(cx).map_ok(|response| response.map(Content::Grpc)),
            KindProjection::Http { future } => future.poll(cx).map_ok(|response| response.map(Content::Http)),
            KindProjection::Refused { response } => {
                Poll::Ready(Ok(response.take().unwrap_or_default().map(Content::Http)))
            }
        });
        let mut response = ready!(response)?.map(|content| Body {
            content,
            id: id.clone(),
        });
        response.headers_mut().insert(REQUEST_ID, id.clone());
        Poll::Ready(Ok(response))
    }
}

/// The body of an answer.
pub(crate) struct Body {
    content: Content,
    /// A stream goes on with the request.
    id: HeaderValue,
}

enum Content {
    Grpc(StackBody),
    Http(HttpBody),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        marquee_client::poll_for_request(&mut this.id, || match &mut this.content {
            Content::Grpc(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Http(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Grpc(body) => body.is_end_stream(),
            Content::Http(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Grpc(body) => body.size_hint(),
            Content::Http(body) => body.size_hint(),
        }
    }
}
