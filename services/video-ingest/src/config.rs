//! What video-ingest can be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use marquee_config::TrustedProxies;
use marquee_documents::Location;

/// Settings of the service. [`Config::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the media are kept.
    pub data: PathBuf,
    /// Where the service keeps its documents.
    pub store: Location,
    /// Where encoders connect.
    pub rtmp: SocketAddr,
    /// From whom connections begin with a PROXY protocol header that tells the encoder's address.
    pub trusted_proxies: TrustedProxies,
    /// How long a stream waits for its encoder to come back before it ends.
    pub reconnect_grace: Duration,
    /// How long a second encoder with the same key waits for the first one to show that it is alive.
    pub takeover_wait: Duration,
    /// How much of a live stream its playlist shows.
    pub live_window: Duration,
    /// Targets and limits of the packager.
    pub packager: marquee_hls::Config,
    /// Limits of one RTMP connection.
    pub limits: marquee_rtmp::Limits,
    /// RTMP connections at once; further ones are closed.
    pub max_connections: usize,
}

impl Config {
    /// The defaults, with everything under `data`.
    pub fn new(data: impl Into<PathBuf>, rtmp: SocketAddr) -> Self {
        let data = data.into();
        Self {
            store: Location::Sqlite(data.join("video-ingest.db")),
            data,
            rtmp,
            trusted_proxies: TrustedProxies::default(),
            reconnect_grace: Duration::from_secs(30),
            takeover_wait: Duration::from_secs(1),
            live_window: Duration::from_secs(20),
            packager: marquee_hls::Config::default(),
            limits: marquee_rtmp::Limits::default(),
            max_connections: 2_000,
        }
    }
}
