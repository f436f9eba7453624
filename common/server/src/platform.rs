use std::sync::Arc;

use marquee_auth::Verifier;
use marquee_bus::EventBus;
use marquee_client::Peers;
use tokio_util::sync::CancellationToken;

/// What the process gives to every service it builds.
#[derive(Clone)]
pub struct Platform {
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// The other services; also those of the same process are called over gRPC.
    pub peers: Peers,
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// Consumers and sessions stop on it. [`run`](crate::run()) cancels it at the right moment of a shutdown when it is
    /// given to the [`Service`](crate::Service).
    pub shutdown: CancellationToken,
    /// How clients reach this process.
    pub public: PublicAddresses,
}

/// Addresses to tell to clients, without a '/' at the end.
#[derive(Debug, Clone)]
pub struct PublicAddresses {
    /// For example `http://127.0.0.1:8080`.
    pub http: String,
    /// For example `rtmp://127.0.0.1:1935`.
    pub rtmp: String,
}
