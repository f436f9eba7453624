//! Sorts requests by what they speak.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::Request as HttpRequest;
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::get;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use marquee_auth::Verifier;
use marquee_telemetry::Metrics;
use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpConnectInfo;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::face::Face;
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
}

impl Front {
    /// `draining` ends streams.
    pub(crate) fn new(
        face: Face,
        verifier: Arc<Verifier>,
        limits: &Limits,
        draining: CancellationToken,
    ) -> Result<(Self, Probes), Error> {
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
        Ok((Self(Arc::new(Shared { grpc: stack, http })), probes))
    }

    pub(crate) fn answer(&self, request: Request<Incoming>, peer: &TcpConnectInfo) -> Answer {
        if speaks_grpc(request.headers()) {
            let mut request = request.map(tonic::body::Body::new);
            request.extensions_mut().insert(peer.clone());
            return Answer::Grpc {
                future: self.0.grpc.clone().call(request),
            };
        }
        let mut request = request.map(HttpBody::new);
        if let Some(remote) = peer.remote_addr() {
            request
                .extensions_mut()
                .insert(axum::extract::ConnectInfo(remote));
        }
        request.extensions_mut().insert(peer.clone());
        Answer::Http {
            future: self.0.http.clone().call(request),
        }
    }
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
    const EXPOSED: [&str; 5] = [
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
        None => rest::Error::NotFound(request.uri().path().to_owned()).into_response(),
    }
}

pin_project! {
    /// The answer to come, of either kind.
    #[project = AnswerProjection]
    pub(crate) enum Answer {
        Grpc { #[pin] future: <Stack as Service<Request<tonic::body::Body>>>::Future },
        Http { #[pin] future: <Router as Service<Request<HttpBody>>>::Future },
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            AnswerProjection::Grpc { future } => {
                ready!(future.poll(cx)).map(|response| response.map(Body::Grpc))
            }
            AnswerProjection::Http { future } => {
                ready!(future.poll(cx)).map(|response| response.map(Body::Http))
            }
        })
    }
}

/// The body of an answer of either kind.
pub(crate) enum Body {
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
        match self.get_mut() {
            Self::Grpc(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Grpc(body) => body.is_end_stream(),
            Self::Http(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Grpc(body) => body.size_hint(),
            Self::Http(body) => body.size_hint(),
        }
    }
}
