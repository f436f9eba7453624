use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// What a generated server answers with; it is boxed once, there.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

trait Callee: Send + Sync {
    fn call(&self, request: Request<Body>) -> Answer;
}

impl<S> Callee for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
    S: Clone + Send + Sync,
{
    fn call(&self, request: Request<Body>) -> Answer {
        Service::call(&mut self.clone(), request)
    }
}

/// The services by name.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<HashMap<&'static str, Arc<dyn Callee>>>);

impl Table {
    pub(crate) fn insert<S>(&mut self, service: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
        S: NamedService + Clone + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.0).insert(S::NAME, Arc::new(service));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let table = Arc::make_mut(&mut self.0);
        table.extend(other.0.iter().map(|(name, service)| (*name, Arc::clone(service))));
    }

    /// Full names, sorted.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

impl Service<Request<Body>> for Table {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Answer, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = request
            .uri()
            .path()
            .get(1..)
            .and_then(|path| path.split('/').next())
            .unwrap_or_default();
        match self.0.get(service) {
            Some(service) => Either::Left(service.call(request)),
            None => {
                let status = Status::unimplemented("there is no such service here");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}
