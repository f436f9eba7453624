use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;

use crate::grpc::Table;

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a service shows, before it has an address.
#[derive(Clone)]
pub struct Face {
    pub(crate) table: Table,
    pub(crate) router: Router,
    pub(crate) fallback: Option<Router>,
    pub(crate) parts: Vec<Part>,
}

/// One service's share of a face: what must work for its RPCs to work.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) service: &'static str,
    pub(crate) rpcs: Vec<&'static str>,
    pub(crate) checks: Vec<Check>,
}

#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Else it only informs.
    pub(crate) required: bool,
    pub(crate) run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Face {
    /// A face of the service with this name, which shows nothing yet.
    pub fn new(service: &'static str) -> Self {
        Self {
            table: Table::default(),
            router: Router::new(),
            fallback: None,
            parts: vec![Part {
                service,
                rpcs: Vec::new(),
                checks: Vec::new(),
            }],
        }
    }

    /// Shows a server that tonic generated. Its RPCs with a `google.api.http` annotation are also shown as REST.
    #[must_use]
    pub fn grpc<S>(mut self, service: S) -> Self
    where
        S: tower::Service<
                Request<tonic::body::Body>,
                Response = Response<tonic::body::Body>,
                Error = Infallible,
                Future = BoxFuture<'static, Result<Response<tonic::body::Body>, Infallible>>,
            >,
        S: NamedService + Clone + Send + Sync + 'static,
    {
        self.table.insert(service);
        if let Some(part) = self.parts.last_mut() {
            part.rpcs.push(S::NAME);
        }
        self
    }

    /// Shows routes of plain HTTP: media, uploads. The router must have no fallback.
    ///
    /// # Panics
    /// When a route is there already.
    #[must_use]
    pub fn http(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// Answers every path that nothing else does: the pages. The last one given counts.
    #[must_use]
    pub fn fallback(mut self, pages: Router) -> Self {
        self.fallback = Some(pages);
        self
    }

    /// Adds a dependency that `/readyz` and the gRPC health of this face's services depend on; `Err` says what is wrong
    /// with it. It is asked every few seconds and must be cheap.
    #[must_use]
    pub fn ready(
        self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        self.check(name, true, check)
    }

    /// Adds something that `/readyz` tells of, but that the service works without: what it lacks then is known when it
    /// is asked for.
    #[must_use]
    pub fn informs(
        self,
        name: &'static str,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        self.check(name, false, check)
    }

    fn check(
        mut self,
        name: &'static str,
        required: bool,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        if let Some(part) = self.parts.last_mut() {
            part.checks.push(Check {
                name,
                required,
                run: Arc::new(check),
            });
        }
        self
    }

    /// Shows both.
    ///
    /// # Panics
    /// When both have the same route of plain HTTP.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.table.merge(&other.table);
        self.router = self.router.merge(other.router);
        self.fallback = other.fallback.or(self.fallback);
        self.parts.extend(other.parts);
        self
    }
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.parts.iter().map(|part| part.service).collect();
        f.debug_struct("Face")
            .field("services", &services)
            .field("rpcs", &self.table.names())
            .finish_non_exhaustive()
    }
}

/// Background work. It ends when the token of its [`Service`] is cancelled; an earlier end, also with `Ok`, stops the
/// whole process with that error.
pub struct Task {
    /// For logs and errors, for example `events outbox`.
    pub name: &'static str,
    /// The work.
    pub run: BoxFuture<'static, Result<(), BoxError>>,
}

impl Task {
    /// A task with this name.
    pub fn new<E>(name: &'static str, run: impl Future<Output = Result<(), E>> + Send + 'static) -> Self
    where
        E: Into<BoxError>,
    {
        Self {
            name,
            run: Box::pin(async move { run.await.map_err(Into::into) }),
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.name).finish()
    }
}

/// What a service crate's `build` returns.
#[derive(Debug)]
pub struct Service {
    /// What it shows.
    pub face: Face,
    /// What it does in the background.
    pub tasks: Vec<Task>,
    /// Tells the tasks to stop; usually `Platform::shutdown`.
    pub shutdown: CancellationToken,
    /// What carries on what the tasks and the callers have left, and when it is to come to its end.
    pub(crate) relays: (Vec<Task>, CancellationToken),
}

impl Service {
    /// A service without tasks, whose tasks will stop on `shutdown`.
    pub fn new(face: Face, shutdown: CancellationToken) -> Self {
        Self {
            face,
            tasks: Vec::new(),
            shutdown,
            relays: (Vec::new(), CancellationToken::new()),
        }
    }

    /// Adds background work that outlives everything else: its token is cancelled when the tasks have ended and what was
    /// asked is answered, so that it finds all that they have stored. It has `Limits::drain` from then on to bring it away.
    #[must_use]
    pub fn relay<E, F>(mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        E: Into<BoxError>,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let (relays, stop) = &mut self.relays;
        relays.push(Task::new(name, run(stop.clone())));
        self
    }

    /// Adds background work.
    #[must_use]
    pub fn task<E>(
        mut self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self
    where
        E: Into<BoxError>,
    {
        self.tasks.push(Task::new(name, run));
        self
    }
}
