use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use marquee_error::{ErrorExt, ErrorKind};
use marquee_proto::DESCRIPTORS;
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tower::{Layer, Service};

use super::body::{Body, Ends};
use super::gzip;
use crate::Limits;

/// When the caller gives up: an extension of every request that came with a `grpc-timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// How long the caller still waits; `None` when it set no timeout. Pass it on to what the handler calls.
pub fn remaining<T>(request: &tonic::Request<T>) -> Option<Duration> {
    let Deadline(at) = request.extensions().get::<Deadline>()?;
    Some(at.saturating_duration_since(Instant::now()))
}

/// Why an RPC ended before its handler did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the deadline is over")]
    DeadlineExceeded,
    #[error("the header grpc-timeout is ill formed")]
    Timeout,
    #[error("the request is not a protobuf message of this RPC")]
    Malformed,
    #[error("too many requests are in flight")]
    Overloaded,
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("the request is larger than {limit} bytes")]
    RequestTooLarge { limit: usize },
    #[error("the answer of {size} bytes is larger than {limit} bytes")]
    ResponseTooLarge { size: usize, limit: usize },
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::DeadlineExceeded => ErrorKind::DeadlineExceeded,
            Self::Timeout | Self::Malformed => ErrorKind::InvalidArgument,
            Self::ShuttingDown => ErrorKind::Unavailable,
            Self::Overloaded | Self::RequestTooLarge { .. } | Self::ResponseTooLarge { .. } => {
                ErrorKind::ResourceExhausted
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Timeout => "INVALID_HEADER",
            Self::Malformed => "MALFORMED_REQUEST",
            Self::Overloaded => "OVERLOADED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::RequestTooLarge { .. } => "REQUEST_TOO_LARGE",
            Self::ResponseTooLarge { .. } => "RESPONSE_TOO_LARGE",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_millis(250)),
            Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}

/// Bounds what an RPC may take: time, a place among those in flight, the sizes of its messages.
#[derive(Clone)]
pub(crate) struct Bounds(Arc<Shared>);

struct Shared {
    in_flight: Arc<Semaphore>,
    open_streams: Arc<Semaphore>,
    unary_timeout: Duration,
    max_message: usize,
    draining: CancellationToken,
    /// Paths with one request and one answer.
    unary: HashSet<String>,
}

impl Bounds {
    pub(crate) fn new(limits: &Limits, draining: CancellationToken) -> Self {
        let methods = DESCRIPTORS
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        let unary = methods
            .filter(|rpc| !rpc.is_client_streaming() && !rpc.is_server_streaming())
            .map(|rpc| format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()))
            .collect();
        Self(Arc::new(Shared {
            in_flight: Arc::new(Semaphore::new(limits.max_in_flight)),
            open_streams: Arc::new(Semaphore::new(limits.max_open_streams)),
            unary_timeout: limits.unary_timeout,
            max_message: limits.max_message,
            draining,
            unary,
        }))
    }
}

impl<S> Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Bounded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<tonic::body::Body>> for Bounded<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let path = request.uri().path();
        let unary = self.shared.unary.contains(path);
        // What tells whether the server lives must never be refused for load.
        let permit = if path.starts_with("/grpc.") {
            None
        } else {
            let places = if unary {
                &self.shared.in_flight
            } else {
                &self.shared.open_streams
            };
            match Arc::clone(places).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return Answer::refused(Error::Overloaded),
            }
        };
        let deadline = match timeout(request.headers()) {
            Ok(timeout) => timeout.map(|timeout| Instant::now() + timeout),
            Err(error) => return Answer::refused(error),
        };
        if let Some(at) = deadline {
            request.extensions_mut().insert(Deadline(at));
        }
        // Whoever sends a request and never its body must not keep a place for ever.
        let limit = unary.then(|| Instant::now() + self.shared.unary_timeout);
        let ends = deadline.into_iter().chain(limit).min();
        let request = gzip::inflate(request, self.shared.max_message);
        Answer {
            stream: (!unary).then(|| Box::pin(self.shared.draining.clone().cancelled_owned())),
            deadline: ends.map(sleep_until),
            at: deadline,
            max_message: self.shared.max_message,
            permit,
            refusal: None,
            inner: Some(self.inner.call(request)),
        }
    }
}

pin_project! {
    /// Waits for the headers of the answer.
    pub(crate) struct Answer<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        deadline: Option<Sleep>,
        at: Option<Instant>,
        // For an RPC that is not unary: resolves when the server drains.
        stream: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        max_message: usize,
        // Of a unary RPC held until the answer, of a stream until its end.
        permit: Option<OwnedSemaphorePermit>,
        refusal: Option<Error>,
    }
}

impl<F> Answer<F> {
    fn refused(error: Error) -> Self {
        Self {
            inner: None,
            deadline: None,
            at: None,
            stream: None,
            max_message: 0,
            permit: None,
            refusal: Some(error),
        }
    }
}

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response<tonic::body::Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            let error = this.refusal.take().unwrap_or(Error::ShuttingDown);
            return Poll::Ready(Ok(Status::from(error).into_http()));
        };
        // What the handler calls has to be done by then too.
        let polled = match *this.at {
            Some(at) => marquee_client::poll_within(at, || inner.poll(cx)),
            None => inner.poll(cx),
        };
        if let Poll::Ready(response) = polled {
            let place = this.permit.take();
            let ends = this.stream.take().map(|draining| {
                let deadline = this.at.map(|at| Box::pin(sleep_until(at)));
                Box::new(Ends {
                    draining,
                    deadline,
                    _place: place,
                })
            });
            let max = *this.max_message;
            return Poll::Ready(
                response.map(|response| named(response, max).map(|body| Body::new(body, max, ends))),
            );
        }
        let error = if this
            .deadline
            .as_mut()
            .as_pin_mut()
            .is_some_and(|sleep| sleep.poll(cx).is_ready())
        {
            Error::DeadlineExceeded
        } else {
            let Some(draining) = this.stream else {
                return Poll::Pending;
            };
            ready!(draining.as_mut().poll(cx));
            Error::ShuttingDown
        };
        // The handler is dropped here: nobody waits for it.
        this.inner.set(None);
        this.permit.take();
        Poll::Ready(Ok(Status::from(error).into_http()))
    }
}

/// tonic refuses a message that is too large with OUT_OF_RANGE, which clients take for a wrong page, and one that is no
/// protobuf with INTERNAL, which operators take for a fault of the server.
fn named(response: Response<tonic::body::Body>, limit: usize) -> Response<tonic::body::Body> {
    let headers = response.headers();
    let is = |code: &str, words: &str| {
        headers.get("grpc-status").is_some_and(|status| status == code)
            && headers.get("grpc-message").is_some_and(|message| {
                percent_encoding::percent_decode(message.as_bytes())
                    .decode_utf8_lossy()
                    .contains(words)
            })
    };
    if is("11", "message length too large") {
        Status::from(Error::RequestTooLarge { limit }).into_http()
    } else if is("13", "failed to decode Protobuf message") {
        Status::from(Error::Malformed).into_http()
    } else {
        response
    }
}

/// Reads `grpc-timeout` (gRPC over HTTP/2, "Timeout"): at most eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| Error::Timeout)?;
    let (digits, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(Error::Timeout)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Error::Timeout);
    }
    let amount: u64 = digits.parse().map_err(|_| Error::Timeout)?;
    Ok(Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return Err(Error::Timeout),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_handler_calls_gets_what_is_left_of_the_callers_time() {
        let handler = tower::service_fn(|_: Request<tonic::body::Body>| async {
            let left = marquee_client::remaining().is_some_and(|left| left <= Duration::from_secs(9));
            Ok::<_, Infallible>(
                Response::builder()
                    .header("left", left.to_string())
                    .body(tonic::body::Body::empty())
                    .unwrap(),
            )
        });
        let mut bounded = Bounds::new(&Limits::default(), CancellationToken::new()).layer(handler);
        for (timeout, left) in [(Some("9S"), "true"), (None, "false")] {
            let mut request = Request::builder().uri("/marquee.events.v1.EventService/GetEvent");
            if let Some(timeout) = timeout {
                request = request.header("grpc-timeout", timeout);
            }
            let response = bounded
                .call(request.body(tonic::body::Body::empty()).unwrap())
                .await
                .unwrap();
            assert_eq!(response.headers()["left"], left);
        }
    }

    fn read(text: &str) -> Option<Option<Duration>> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        timeout(&headers).ok()
    }

    #[test]
    fn timeouts_have_a_unit() {
        assert_eq!(read("5S"), Some(Some(Duration::from_secs(5))));
        assert_eq!(read("250m"), Some(Some(Duration::from_millis(250))));
        assert_eq!(
            read("99999999H"),
            Some(Some(Duration::from_secs(359_999_996_400)))
        );
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn ill_formed_timeouts_are_refused() {
        for text in ["", "S", "5", "5x", "123456789S", "-5S", "+5S", "5 S"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
