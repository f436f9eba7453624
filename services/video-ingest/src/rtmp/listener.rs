//! Accepts encoders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::connection::Connection;
use super::proxy;
use super::socket::Socket;
use super::tls::{self, Tls};
use crate::config::Config;

/// After a failed accept: most often there are no file descriptors left, which takes a moment to change.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound RTMP address.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
    config: Arc<Config>,
    admission: Admission,
    /// Connections that there may be, on all addresses together.
    places: Arc<Semaphore>,
}

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    #[error(transparent)]
    Tls(#[from] tls::HandshakeError),
}

impl Listener {
    /// Serves encoders on a bound socket, with TLS if there is any.
    pub(crate) fn new(
        socket: TcpListener,
        tls: Option<Tls>,
        config: Arc<Config>,
        admission: Admission,
        places: Arc<Semaphore>,
    ) -> Self {
        Self {
            socket,
            tls,
            config,
            admission,
            places,
        }
    }

    /// Serves until the service stops, then waits for the connections.
    pub(crate) async fn serve(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let mut renewal = interval_at(Instant::now() + tls::RELOAD_EVERY, tls::RELOAD_EVERY);
        loop {
            let (socket, peer) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an rtmp connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                _ = renewal.tick(), if self.tls.is_some() => {
                    if let Some(tls) = self.tls.clone() {
                        connections.spawn(async move { tls.reload().await });
                    }
                    continue;
                }
                () = shutdown.cancelled() => break,
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                metrics::counter!("video_ingest_connections_refused_total").increment(1);
                tracing::warn!(%peer, limit = self.config.max_connections, "too many rtmp connections");
                continue;
            };
            let (config, admission, tls) = (self.config.clone(), self.admission.clone(), self.tls.clone());
            let shutdown = shutdown.clone();
            connections.spawn(async move {
                let opened = open(socket, peer, tls.as_ref(), &config);
                match shutdown.run_until_cancelled(opened).await {
                    Some(Ok((socket, client))) => {
                        let connection =
                            Connection::new(socket, client, config.limits.clone(), admission, place);
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

/// Who connects, for which a trusted proxy sends a header before all else, and the bytes of the session.
async fn open(
    mut socket: TcpStream,
    peer: SocketAddr,
    tls: Option<&Tls>,
    config: &Config,
) -> Result<(Socket, SocketAddr), Refused> {
    let client = if config.trusted_proxies.contains(peer.ip()) {
        proxy::client(&mut socket, peer).await?
    } else {
        peer
    };
    let socket = match tls {
        Some(tls) => Socket::Tls(Box::new(
            tls.accept(socket, config.limits.handshake_timeout).await?,
        )),
        None => Socket::Plain(socket),
    };
    Ok((socket, client))
}
