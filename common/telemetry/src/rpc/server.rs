use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::RpcBody;
use super::methods::{Call, Methods, Side, UNKNOWN};
use crate::trace::TraceContext;

/// Opens a span in the caller's trace for every RPC and records its duration as `rpc_server_duration_seconds` with
/// `rpc_service`, `rpc_method` and `rpc_grpc_status_code`. A stream lasts until its end; one that the caller leaves is
/// CANCELLED.
#[derive(Debug, Clone)]
pub struct RpcLayer {
    methods: Arc<Methods>,
}

impl RpcLayer {
    /// A layer in front of these methods, each like `/marquee.events.v1.EventService/GetEvent`; any other path is
    /// measured as `_OTHER`, since anybody can ask for any.
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            methods: Arc::new(Methods::new(Side::Server, paths)),
        }
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = Rpc<S>;

    fn layer(&self, inner: S) -> Rpc<S> {
        Rpc {
            inner,
            methods: Arc::clone(&self.methods),
        }
    }
}

/// The service of [`RpcLayer`].
#[derive(Debug, Clone)]
pub struct Rpc<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S, B, R> Service<Request<B>> for Rpc<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body + Unpin,
{
    type Response = Response<RpcBody<R>>;
    type Error = S::Error;
    type Future = RpcFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A call within the process, from the REST face, is a step of what it runs in.
        let parent = TraceContext::current().or_else(|| {
            let header = request.headers().get("traceparent")?;
            TraceContext::parse(header.to_str().ok())
        });
        let call = self.methods.begin(request.uri().path(), parent);
        let inner = {
            let _in_call = call.context().enter();
            self.inner.call(request)
        };
        RpcFuture {
            inner,
            call: Some(call),
        }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub struct RpcFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for RpcFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Unpin,
{
    type Output = Result<Response<RpcBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = {
            let _in_call = this.call.as_ref().map(|call| call.context().enter());
            ready!(this.inner.poll(cx))
        };
        // Taken once: a future is not polled after its end.
        let Some(mut call) = this.call.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match result {
            Ok(response) => {
                // An answer without a body says how it ended in its headers ("Trailers-Only").
                call.ended_by(response.headers());
                Ok(response.map(|inner| RpcBody::new(inner, call)))
            }
            Err(error) => {
                call.end(UNKNOWN);
                Err(error)
            }
        })
    }
}
