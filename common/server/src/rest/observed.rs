//! A REST request as a step of a trace, and its duration.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::{Frame, SizeHint};
use marquee_telemetry::{Kind, Span, TraceContext};

use super::route::Route;

/// A request that is being answered: a SERVER span, and `http_server_request_duration_seconds`.
pub(super) struct Observed {
    method: &'static str,
    route: String,
    started: Instant,
    span: Span,
}

/// What stands for paths that lead nowhere: anybody can ask for any.
const OTHER: &str = "_OTHER";

impl Observed {
    /// Begins in the trace of the caller. There is no route where the path leads nowhere.
    pub(super) fn begin(method: &Method, route: Option<&Route>, headers: &HeaderMap) -> Self {
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let method = known(method);
        let parent = TraceContext::parse(traceparent);
        let mut span = Span::begin(Kind::Server, parent, || match route {
            Some(route) => format!("{method} {}", route.path),
            None => method.to_owned(),
        });
        span.set("http.request.method", || method);
        if let Some(route) = route {
            // The template, since a path may hold what is nobody's business.
            span.set("http.route", || route.path.clone());
            span.set("url.template", || route.path.clone());
        }
        Self {
            method,
            route: route.map_or_else(|| OTHER.to_owned(), |route| route.path.clone()),
            started: Instant::now(),
            span,
        }
    }

    pub(super) const fn context(&self) -> TraceContext {
        self.span.context()
    }

    /// The answer begins, and with it the body of a stream, whose span goes on until its end.
    pub(super) fn streams(mut self, response: Response) -> Response {
        self.begun(&response);
        let span = self.span;
        response.map(|inner| {
            Body::new(Streamed {
                inner,
                span: Some(span),
            })
        })
    }

    /// The request is answered.
    pub(super) fn answered(mut self, response: Response) -> Response {
        self.begun(&response);
        response
    }

    fn begun(&mut self, response: &Response) {
        let status = response.status();
        metrics::histogram!(
            "http_server_request_duration_seconds",
            "http_request_method" => self.method,
            "http_route" => self.route.clone(),
            "http_response_status_code" => status.as_str().to_owned()
        )
        .record(self.started.elapsed());
        self.span
            .set("http.response.status_code", || i64::from(status.as_u16()));
        if status.is_server_error() {
            self.span.fail(|| status.as_str().to_owned());
        }
    }
}

/// Anybody can make up methods.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "_OTHER",
    }
}

/// The body of a stream, whose span ends with it.
struct Streamed {
    inner: Body,
    span: Option<Span>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if frame.is_none() {
            self.span = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
