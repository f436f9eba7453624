use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri, request};
use http_body_util::{BodyExt as _, Full};
use marquee_auth::TokenSource;
use marquee_telemetry::{InContext as _, RpcBody};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use crate::budget::Budget;
use crate::method::{Shape, calls, shape};
use crate::{Error, REQUEST_ID_HEADER, remaining, request_id};

/// How long a unary call may take when nobody says.
const DEADLINE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
/// Before the first retry, on average; doubled with each.
const BACKOFF: Duration = Duration::from_millis(50);
/// Requests that are larger are sent once.
const MAX_BUFFERED: usize = 64 * 1024;
/// Reasons that a server of ours gives before it looks at a request.
const REFUSALS: [&str; 3] = ["OVERLOADED", "STARTING", "SHUTTING_DOWN"];
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// A connection to the address that is made with the first call, kept alive, and made anew when it breaks.
pub fn channel(address: Uri) -> Channel {
    Endpoint::from(address)
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_lazy()
}

/// Another service of the installation, for generated clients to talk to.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    name: &'static str,
    channel: Option<Channel>,
    tokens: Option<Arc<dyn TokenSource>>,
    budget: Budget,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.0.name).finish()
    }
}

impl Peer {
    /// A peer at the other end of `channel`; `None` where nobody said where it is, so that every call fails with
    /// [`Error::NotConfigured`]. Without `tokens` it is called anonymously.
    pub fn new(name: &'static str, channel: Option<Channel>, tokens: Option<Arc<dyn TokenSource>>) -> Self {
        Self(Arc::new(Inner {
            name,
            channel,
            tokens,
            budget: Budget::default(),
        }))
    }

    /// The name of the service.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    /// Always ready: the connection's readiness is waited for in the call, within its deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.call(request).await })
    }
}

impl Inner {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Some(channel) = &self.channel else {
            return Err(Error::NotConfigured { peer: self.name }.into());
        };
        let (mut head, body) = request.into_parts();
        let mut call = calls().begin(head.uri.path());
        let context = call.context();
        if let Ok(value) = HeaderValue::try_from(context.to_string()) {
            head.headers.insert("traceparent", value);
        }
        if let Some(id) = request_id() {
            head.headers.insert(REQUEST_ID_HEADER, id);
        }
        let result = match shape(head.uri.path()) {
            Shape::Unary { reads } => {
                let answer = self.unary(channel, head, body, reads);
                answer.in_context(context).await
            }
            Shape::Stream => self.stream(channel, head, body).in_context(context).await,
        };
        match result {
            Ok(response) => {
                call.ended_by(response.headers());
                Ok(response.map(|body| Body::new(RpcBody::new(body, call))))
            }
            Err(status) => {
                call.ended(status.code().into());
                Err(status)
            }
        }
    }

    async fn stream(
        &self,
        channel: &Channel,
        mut head: request::Parts,
        body: Body,
    ) -> Result<Response<Body>, Status> {
        self.authorize(&mut head).await?;
        self.send(channel, Request::from_parts(head, body))
            .await
            .map_err(Failure::into_status)
    }

    async fn unary(
        &self,
        channel: &Channel,
        mut head: request::Parts,
        body: Body,
        reads: bool,
    ) -> Result<Response<Body>, Status> {
        let asked = head
            .headers
            .get(GRPC_TIMEOUT)
            .and_then(parse_timeout)
            .unwrap_or(DEADLINE);
        let limit = remaining().map_or(asked, |left| left.min(asked));
        let deadline = Instant::now() + limit;
        let attempts = async {
            self.authorize(&mut head).await?;
            // A generated client has the whole request ready.
            let body = body.collect().await?.to_bytes();
            let mut attempt = 1;
            loop {
                head.headers.insert(
                    GRPC_TIMEOUT,
                    timeout_value(deadline.saturating_duration_since(Instant::now())),
                );
                let request = Request::from_parts(head.clone(), Body::new(Full::<Bytes>::new(body.clone())));
                let result = self.send_and_collect(channel, request).await;
                let Some(outcome) = unavailable(&result) else {
                    self.budget.succeeded();
                    return result.map_err(Failure::into_status);
                };
                let may_retry = self.budget.failed() && attempt < ATTEMPTS && body.len() <= MAX_BUFFERED;
                if !may_retry || !(reads || outcome == Outcome::Untouched) {
                    return result.map_err(Failure::into_status);
                }
                tracing::debug!(
                    peer = self.name,
                    attempt,
                    path = head.uri.path(),
                    "unavailable, trying again"
                );
                let backoff = BACKOFF.saturating_mul(1 << (attempt - 1));
                sleep(backoff.mul_f64(rand::random_range(0.5..1.5))).await;
                attempt += 1;
            }
        };
        match timeout_at(deadline, attempts).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut { peer: self.name }.into()),
        }
    }

    /// Shows the service's own token, unless the call has one already.
    async fn authorize(&self, head: &mut request::Parts) -> Result<(), Status> {
        let Some(tokens) = self
            .tokens
            .as_ref()
            .filter(|_| !head.headers.contains_key(AUTHORIZATION))
        else {
            return Ok(());
        };
        let token = tokens.token().await.map_err(Error::Token)?;
        let unusable =
            |_| marquee_auth::Error::ServiceTokenUnavailable("the token is no header value".into());
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(unusable)?;
        value.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The answer with its body, so that the deadline holds for the body too.
    async fn send_and_collect(
        &self,
        channel: &Channel,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let (head, body) = self.send(channel, request).await?.into_parts();
        match body.collect().await {
            Ok(body) => Ok(Response::from_parts(head, Body::new(body))),
            Err(status) => Err(Failure::Answered(status)),
        }
    }

    async fn send(&self, channel: &Channel, request: Request<Body>) -> Result<Response<Body>, Failure> {
        // A clone of a channel is a handle to the same connection.
        let result = channel.clone().oneshot(request).await;
        result.map_err(|error| Failure::of(self.name, error))
    }
}

enum Failure {
    /// There was no connection, or it was closed before the request was taken: the peer has done nothing.
    Unsent(Error),
    /// The connection broke: the peer may have seen the request.
    Broken(Error),
    /// The time was over.
    TimedOut(Error),
    /// The peer, or its protocol, said something else.
    Answered(Status),
}

impl Failure {
    fn of(peer: &'static str, error: tonic::transport::Error) -> Self {
        let mut unsent = false;
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.is::<tonic::TimeoutExpired>() {
                return Self::TimedOut(Error::TimedOut { peer });
            }
            unsent |= is_unsent(cause);
            source = cause.source();
        }
        let error = Error::Unreachable {
            peer,
            source: error.into(),
        };
        if unsent {
            Self::Unsent(error)
        } else {
            Self::Broken(error)
        }
    }

    fn into_status(self) -> Status {
        match self {
            Self::Answered(status) => status,
            Self::Unsent(error) | Self::Broken(error) => {
                if let Some(source) = error.source() {
                    tracing::debug!(error = source, "{error}");
                }
                error.into()
            }
            Self::TimedOut(error) => error.into(),
        }
    }
}

/// Whether an error says that no peer has worked on the request.
fn is_unsent(cause: &(dyn std::error::Error + 'static)) -> bool {
    if cause.is::<tonic::ConnectError>() {
        return true;
    }
    // The connection was closed while the request still waited to be written.
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_canceled();
    }
    // RFC 9113: streams above the last one that a GOAWAY names (6.8), and refused ones (8.7), were not processed. A peer
    // that closes a connection because of its age says so to what it did not take any more.
    cause.downcast_ref::<h2::Error>().is_some_and(|error| {
        let aged = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (aged || refused)
    })
}

/// What an unavailable peer may have done.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Certainly nothing.
    Untouched,
    /// Nobody knows.
    Unknown,
}

/// Whether the peer was unavailable, and if so, what it may have done.
fn unavailable(result: &Result<Response<Body>, Failure>) -> Option<Outcome> {
    match result {
        Ok(response) => refused(&Status::from_header_map(response.headers())?),
        Err(Failure::Unsent(_)) => Some(Outcome::Untouched),
        Err(Failure::Broken(_)) => Some(Outcome::Unknown),
        Err(Failure::Answered(status)) => refused(status),
        Err(Failure::TimedOut(_)) => None,
    }
}

/// A handler that answers UNAVAILABLE may have done half of its work; these reasons are given before there is a handler.
fn refused(status: &Status) -> Option<Outcome> {
    let before = || {
        let reason = marquee_error::reason(status);
        reason.is_some_and(|reason| REFUSALS.contains(&reason.as_str()))
    };
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted if before() => Some(Outcome::Untouched),
        // CANCELLED that the caller did not ask for: the peer closed the connection.
        Code::Unavailable | Code::Cancelled => Some(Outcome::Unknown),
        _ => None,
    }
}

/// The gRPC protocol's `Timeout`: at most eight digits and a unit.
fn timeout_value(left: Duration) -> HeaderValue {
    let micros = left.as_micros();
    let text = if micros < 100_000_000 {
        format!("{micros}u")
    } else {
        format!("{}S", left.as_secs().min(99_999_999))
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("5S"))
}

fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_survives_a_round_trip() {
        for millis in [0, 1, 4_999, 99_999, 3_600_000] {
            let duration = Duration::from_millis(millis);
            let back = parse_timeout(&timeout_value(duration)).unwrap();
            assert_eq!(back.as_secs(), duration.as_secs());
        }
    }

    #[test]
    fn ill_formed_timeouts_are_none() {
        for text in ["", "S", "5", "5x", "-5S", "123456789S"] {
            assert_eq!(parse_timeout(&HeaderValue::from_static(text)), None, "{text:?}");
        }
    }
}
