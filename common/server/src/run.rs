//! From a bound address to the last answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use marquee_auth::Verifier;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::connection::Connections;
use crate::face::{BoxError, Face, Service, Task};
use crate::front::{Front, Fronts};
use crate::probes::Probes;
use crate::{Error, Limits};

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes a free one. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address is in use or not this machine's; the error names it.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let bind = || {
            let socket = std::net::TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok(Self {
                socket: TcpListener::from_std(socket)?,
                address,
            })
        };
        bind().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Serves one face until `shutdown`.
///
/// # Errors
/// When the face cannot be served.
pub async fn serve(
    listener: Listener,
    face: Face,
    verifier: Arc<Verifier>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let service = Service::new(face, CancellationToken::new());
    run(listener, vec![service], verifier, limits, shutdown).await
}

/// Serves the faces of `services` on one address and runs their tasks, until `shutdown` or until a task ends.
///
/// Stops in this order: health and `/readyz` say "not serving"; `limits.drain_delay` passes; tasks are told to stop and
/// end; no connection is taken any more, streams end, what is in flight is answered; relays bring away what all of these
/// have stored, and end. Each of the three is waited for for `limits.drain`; what is left then is dropped.
///
/// # Errors
/// The first task that failed, panicked or ended early, by its name; or a face that cannot be served.
pub async fn run(
    listener: Listener,
    services: Vec<Service>,
    verifier: Arc<Verifier>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let server = Server::new(verifier, limits);
    let built = server.assemble(services)?;
    server.open(listener, Fronts::new(built.front.clone()));
    server.serve(built, &shutdown).await
}

/// As [`run`], with services that take their time to be built, for example until a store can be reached.
///
/// Until then the address is listened on: `/healthz` says that the process lives, `/readyz` what the checks of `starting`
/// say, and every RPC is refused with UNAVAILABLE. At `shutdown` the services are not waited for any more.
///
/// # Errors
/// As [`run`]; and that of `build`.
pub async fn start(
    listener: Listener,
    starting: Face,
    build: impl Future<Output = Result<Vec<Service>, BoxError>>,
    verifier: Arc<Verifier>,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let server = Server::new(verifier, limits);
    // Streams of health stay with the front that they began on.
    let started = server.draining.child_token();
    let verifier = Arc::clone(&server.verifier);
    let (first, probes) = Front::starting(starting, verifier, &server.limits, started.clone())?;
    let fronts = Fronts::new(first);
    server.open(listener, fronts.clone());
    let services = tokio::select! {
        services = build => services.map_err(Error::Build)?,
        () = shutdown.cancelled() => {
            tracing::info!("shutting down before everything was there");
            probes.stop().await;
            server.drain().await;
            return Ok(());
        }
    };
    let built = server.assemble(services)?;
    fronts.replace(built.front.clone());
    started.cancel();
    server.serve(built, &shutdown).await
}

/// What a server consists of beside its services. Dropping it leaves nothing behind.
struct Server {
    verifier: Arc<Verifier>,
    limits: Arc<Limits>,
    tracker: TaskTracker,
    draining: CancellationToken,
    killed: CancellationToken,
    _stop: DropGuard,
    _kill: DropGuard,
}

/// Services that are ready to be served.
struct Built {
    front: Front,
    probes: Probes,
    stops: Vec<CancellationToken>,
    tasks: Tasks,
    /// Those that are told to stop after everything else.
    last: Vec<CancellationToken>,
    relays: Tasks,
}

impl Server {
    fn new(verifier: Arc<Verifier>, limits: Limits) -> Self {
        let (draining, killed) = (CancellationToken::new(), CancellationToken::new());
        Self {
            verifier,
            limits: Arc::new(limits),
            tracker: TaskTracker::new(),
            _stop: draining.clone().drop_guard(),
            _kill: killed.clone().drop_guard(),
            draining,
            killed,
        }
    }

    fn assemble(&self, services: Vec<Service>) -> Result<Built, Error> {
        let mut face = None;
        let (mut tasks, mut relays) = (Tasks::default(), Tasks::default());
        let (mut stops, mut last) = (Vec::new(), Vec::new());
        for service in services {
            face = Some(match face {
                None => service.face,
                Some(face) => Face::merge(face, service.face),
            });
            stops.push(service.shutdown);
            tasks.waiting.extend(service.tasks);
            relays.waiting.extend(service.relays.0);
            last.push(service.relays.1);
        }
        let face = face.unwrap_or_else(|| Face::new("nothing"));
        let verifier = Arc::clone(&self.verifier);
        let (front, probes) = Front::new(face, verifier, &self.limits, self.draining.clone())?;
        Ok(Built {
            front,
            probes,
            stops,
            tasks,
            last,
            relays,
        })
    }

    fn open(&self, listener: Listener, fronts: Fronts) {
        let connections = Connections::new(
            fronts,
            Arc::clone(&self.limits),
            self.tracker.clone(),
            self.draining.clone(),
            self.killed.clone(),
        );
        tracing::info!(address = %listener.address, "listening");
        self.tracker.spawn(accept(
            listener,
            connections,
            self.limits.max_connections,
            self.draining.clone(),
        ));
    }

    async fn serve(&self, built: Built, shutdown: &CancellationToken) -> Result<(), Error> {
        let Built {
            probes,
            stops,
            mut tasks,
            last,
            mut relays,
            ..
        } = built;
        let (followed, stop) = (probes.clone(), self.draining.clone());
        self.tracker.spawn(async move { followed.follow(stop).await });
        tasks.start();
        relays.start();

        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = tasks.first_end() => Err(error),
            error = relays.first_end() => Err(error),
        };
        match &result {
            Ok(()) => tracing::info!("shutting down"),
            Err(error) => tracing::error!(%error, "shutting down"),
        }
        probes.stop().await;
        if result.is_ok() {
            tokio::time::sleep(self.limits.drain_delay).await;
        }
        for stop in stops {
            stop.cancel();
        }
        let result = result.and(tasks.stop(self.limits.drain).await);
        self.drain().await;
        // Nobody stores anything any more.
        for stop in last {
            stop.cancel();
        }
        result.and(relays.stop(self.limits.drain).await)
    }

    /// Takes no connection any more, and waits until those that are open have been answered.
    async fn drain(&self) {
        self.draining.cancel();
        self.tracker.close();
        let limit = self.limits.drain;
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!(?limit, "dropping the connections that are left");
            self.killed.cancel();
            self.tracker.wait().await;
        }
    }
}

async fn accept(listener: Listener, connections: Connections, max: usize, draining: CancellationToken) {
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let accepting = async {
        loop {
            // Closed by nobody.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.socket.accept().await {
                Ok((stream, _)) => connections.spawn(stream, place),
                Err(error) => {
                    // Mostly "too many open files": those that close make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    draining.run_until_cancelled(accepting).await;
}

/// The background work of all services.
#[derive(Default)]
struct Tasks {
    waiting: Vec<Task>,
    running: JoinSet<(&'static str, Result<(), BoxError>)>,
    names: Vec<(tokio::task::Id, &'static str)>,
}

impl Tasks {
    fn start(&mut self) {
        for Task { name, run } in self.waiting.drain(..) {
            let handle = self.running.spawn(async move { (name, run.await) });
            self.names.push((handle.id(), name));
        }
    }

    /// Waits for the first end, which is an error whatever it ended with; for ever when there are no tasks.
    async fn first_end(&mut self) -> Error {
        match self.running.join_next().await {
            Some(Ok((task, Ok(())))) => Error::Ended { task },
            Some(Ok((task, Err(source)))) => Error::Task { task, source },
            Some(Err(error)) => self.panicked(&error),
            None => std::future::pending().await,
        }
    }

    /// Waits for the rest, which was told to stop.
    async fn stop(&mut self, limit: Duration) -> Result<(), Error> {
        let mut first = Ok(());
        let ended = tokio::time::timeout(limit, async {
            while let Some(end) = self.running.join_next().await {
                let error = match end {
                    Ok((_, Ok(()))) => continue,
                    Ok((task, Err(source))) => Error::Task { task, source },
                    Err(error) => self.panicked(&error),
                };
                tracing::error!(%error, "a task failed while it stopped");
                if first.is_ok() {
                    first = Err(error);
                }
            }
        })
        .await;
        if ended.is_err() {
            tracing::warn!(
                ?limit,
                left = self.running.len(),
                "dropping the tasks that do not stop"
            );
            self.running.shutdown().await;
        }
        first
    }

    fn panicked(&self, error: &tokio::task::JoinError) -> Error {
        let task = self
            .names
            .iter()
            .find(|(id, _)| *id == error.id())
            .map_or("?", |(_, name)| name);
        Error::Panicked {
            task: task.to_owned(),
        }
    }
}
