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
pub(super) struct Observed<'a> {
    method: &'static str,
    route: &'a Route,
    started: Instant,
    span: Span,
}

impl<'a> Observed<'a> {
    /// Begins in the trace of the caller.
    pub(super) fn begin(method: &Method, route: &'a Route, headers: &HeaderMap) -> Self {
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let method = known(method);
        let parent = TraceContext::parse(traceparent);
        let mut span = Span::begin(Kind::Server, parent, || format!("{method} {}", route.path));
        span.set("http.request.method", || method);
        // The template, since a path may hold what is nobody's business.
        span.set("http.route", || route.path.clone());
        span.set("url.template", || route.path.clone());
        Self {
            method,
            route,
            started: Instant::now(),
            span,
        }
    }

    pub(super) const fn context(&self) -> TraceContext {
        self.span.context()
    }

    /// The answer begins. The span of a stream goes on until its end.
    pub(super) fn answered(mut self, response: Response) -> Response {
        let status = response.status();
        metrics::histogram!(
            "http_server_request_duration_seconds",
            "http_request_method" => self.method,
            "http_route" => self.route.path.clone(),
            "http_response_status_code" => status.as_str().to_owned()
        )
        .record(self.started.elapsed());
        self.span
            .set("http.response.status_code", || i64::from(status.as_u16()));
        if status.is_server_error() {
            self.span.fail(|| status.as_str().to_owned());
        }
        if !self.route.rpc.is_server_streaming() {
            return response;
        }
        let span = self.span;
        response.map(|inner| {
            Body::new(Streamed {
                inner,
                span: Some(span),
            })
        })
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
