use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use marquee_error::ErrorExt as _;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::{Access, Error, Principal, Verifier, access};

/// Stands before gRPC services: tells who is calling, refuses whom the RPC's `marquee.auth.v1.access` does not name, and
/// leaves the [`Principal`] in the request's extensions for the others. Health and reflection are open.
#[derive(Clone)]
pub struct GuardLayer {
    verifier: Arc<Verifier>,
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardLayer")
    }
}

impl GuardLayer {
    /// A guard that checks tokens with `verifier`.
    pub const fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            verifier: Arc::clone(&self.verifier),
        }
    }
}

/// The service of [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    verifier: Arc<Verifier>,
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // What arrives from outside must not bring its own.
        request.extensions_mut().remove::<Principal>();
        let path = request.uri().path();
        if path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.") {
            return Box::pin(self.inner.call(request));
        }
        let access = match access(path) {
            Ok(access) => access,
            Err(error) => return refuse(&error),
        };
        let token = match bearer(request.headers()) {
            Ok(Some(token)) => token,
            Ok(None) => return self.enter(access, Principal::Anonymous, request),
            Err(error) => return refuse(&error),
        };
        match self.verifier.remembered(token, Timestamp::now()) {
            Some(Ok(principal)) => self.enter(access, principal, request),
            Some(Err(error)) => refuse(&error),
            None => self.verify_and_enter(access, token.to_owned(), request),
        }
    }
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Guard<S> {
    fn enter<B>(&mut self, access: Access, principal: Principal, mut request: Request<B>) -> Answer<S::Error>
    where
        S: Service<Request<B>, Response = Response<Body>>,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
    {
        match access.check(&principal) {
            Ok(()) => {
                request.extensions_mut().insert(principal);
                Box::pin(self.inner.call(request))
            }
            Err(error) => refuse(&error),
        }
    }

    /// For a token that is seen for the first time: its signature has to be checked, perhaps with a key that has to be
    /// fetched.
    fn verify_and_enter<B>(&mut self, access: Access, token: String, request: Request<B>) -> Answer<S::Error>
    where
        S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        B: Send + 'static,
    {
        // The clone stays behind; the service that was polled ready is the one that is called.
        let clone = self.inner.clone();
        let mut guard = Self {
            inner: std::mem::replace(&mut self.inner, clone),
            verifier: Arc::clone(&self.verifier),
        };
        Box::pin(async move {
            match guard.verifier.verify(&token).await {
                Ok(principal) => guard.enter(access, principal, request).await,
                Err(error) => Ok(error.to_status().into_http()),
            }
        })
    }
}

fn refuse<E: Send + 'static>(error: &Error) -> Answer<E> {
    Box::pin(ready(Ok(error.to_status().into_http())))
}

/// The token of an `authorization` header (RFC 6750 2.1; the scheme's case does not matter).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or(Error::TokenInvalid("`authorization` is not `Bearer ...`"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::TokenInvalid("`authorization` is not `Bearer ...`"));
    }
    Ok(Some(token.trim()))
}

#[cfg(test)]
mod tests;
