//! Accepts encoders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::connection::Connection;
use super::proxy;
use crate::config::Config;

/// After a failed accept: most often there are no file descriptors left, which takes a moment to change.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound RTMP address.
pub(crate) struct Listener {
    socket: TcpListener,
    config: Arc<Config>,
    admission: Admission,
}

impl Listener {
    /// Serves encoders on a bound socket.
    pub(crate) fn new(socket: TcpListener, config: Arc<Config>, admission: Admission) -> Self {
        Self {
            socket,
            config,
            admission,
        }
    }

    /// Serves until the service stops, then waits for the connections.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(self.config.max_connections));
        loop {
            let (mut socket, peer) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an rtmp connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => break,
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                metrics::counter!("video_ingest_connections_refused_total").increment(1);
                tracing::warn!(%peer, limit = self.config.max_connections, "too many rtmp connections");
                continue;
            };
            let (config, admission) = (self.config.clone(), self.admission.clone());
            let shutdown = shutdown.clone();
            connections.spawn(async move {
                let _place = place;
                let client = client(&mut socket, peer, &config);
                match shutdown.run_until_cancelled(client).await {
                    Some(Ok(client)) => {
                        let connection = Connection::new(socket, client, config.limits.clone(), admission);
                        connection.run(shutdown).await;
                    }
                    Some(Err(error)) => tracing::warn!(%peer, %error, "rtmp connection refused"),
                    None => {}
                }
            });
        }
        connections.close();
        connections.wait().await;
    }
}

/// Who connects; a proxy that is trusted tells for whom it does.
async fn client(
    socket: &mut TcpStream,
    peer: SocketAddr,
    config: &Config,
) -> Result<SocketAddr, proxy::Error> {
    if config.trusted_proxies.contains(peer.ip()) {
        proxy::client(socket, peer).await
    } else {
        Ok(peer)
    }
}
