//! One connection from its first byte to its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::Limits;
use crate::front::Fronts;
use crate::socket::{Progress, Socket};

/// Serves connections of one listener.
#[derive(Clone)]
pub(crate) struct Connections {
    builder: Arc<Builder<Tracked>>,
    fronts: Fronts,
    limits: Arc<Limits>,
    tracker: TaskTracker,
    /// Finish what runs, take nothing new.
    draining: CancellationToken,
    /// Drop what still runs.
    killed: CancellationToken,
}

impl Connections {
    pub(crate) fn new(
        fronts: Fronts,
        limits: Arc<Limits>,
        tracker: TaskTracker,
        draining: CancellationToken,
        killed: CancellationToken,
    ) -> Self {
        let mut builder = Builder::new(Tracked(tracker.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.max_headers.max(8 << 10))
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.keep_alive_timeout)
            .max_concurrent_streams(limits.max_streams)
            .max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX));
        Self {
            builder: Arc::new(builder),
            fronts,
            limits,
            tracker,
            draining,
            killed,
        }
    }

    /// Serves until the peer leaves, the connection is old, or the server stops.
    pub(crate) fn spawn(&self, stream: TcpStream, guard: impl Send + 'static) {
        let this = self.clone();
        self.tracker.spawn(async move {
            let _guard = guard;
            let killed = this.killed.clone();
            killed.run_until_cancelled(this.serve(stream)).await;
        });
    }

    async fn serve(self, stream: TcpStream) {
        // Small answers must not wait for an ACK.
        let _ = stream.set_nodelay(true);
        let peer: TcpConnectInfo = stream.connect_info();
        let progress = Arc::new(Progress::default());
        let io = TokioIo::new(Socket::new(stream, Arc::clone(&progress)));
        let fronts = self.fronts.clone();
        let service = service_fn(|request: Request<Incoming>| {
            progress.requests.fetch_add(1, Ordering::Relaxed);
            fronts.current().answer(request, &peer)
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));

        let started = Instant::now();
        let mut first_bytes = pin!(sleep(self.limits.header_timeout));
        let mut watching = true;
        let mut old = pin!(sleep_until(
            started + self.limits.max_connection_age + jitter(self.limits.max_connection_age)
        ));
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "connection failed");
                    }
                    return;
                }
                () = first_bytes.as_mut(), if watching => {
                    if progress.is_slow() {
                        tracing::debug!("a client sent no request in time");
                        return;
                    }
                    watching = false;
                }
                () = old.as_mut() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(self.limits.drain, connection).await;
                    return;
                }
                () = self.draining.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    // How long that may take is up to whoever cancels `killed`.
                    let _ = connection.await;
                    return;
                }
            }
        }
    }
}

/// Up to a tenth of the age, different for each connection, so that not all end together.
fn jitter(age: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % 1_000;
    age / 10_000 * u32::try_from(random).unwrap_or(0)
}

/// Spawns the streams of HTTP/2 where a shutdown waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
