//! NGINX in front of services: what it is told of them, of clients, and of limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::gateway::{self, Variables};
use crate::{Error, Gateway, Kind, Process, ports};

/// How much one client address may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls per second.
    pub calls_per_second: u32,
    /// Calls at once on top.
    pub calls_burst: u32,
    /// Signing in and registering, per minute (20 at once on top).
    pub credentials_per_minute: u32,
    /// Connections; of HTTP/2, requests at once.
    pub connections: u32,
}

impl Limits {
    /// For the public, as in docker-compose.yml.
    pub const PUBLIC: Self = Self {
        calls_per_second: 100,
        calls_burst: 200,
        credentials_per_minute: 30,
        connections: 1_000,
    };

    /// For a test, where one address is everybody.
    #[must_use]
    pub fn of_one_for_all(calls_per_second: u32) -> Self {
        Self {
            calls_per_second,
            calls_burst: calls_per_second * 2,
            credentials_per_minute: calls_per_second * 60,
            connections: 20_000,
        }
    }
}

/// An NGINX with the configuration of deploy/nginx, in front of services that run.
#[derive(Debug, Clone)]
pub struct Front {
    /// Its own: configuration, logs, cache, certificate.
    pub folder: PathBuf,
    /// The checkout's deploy/nginx.
    pub nginx: PathBuf,
    /// The built pages.
    pub pages: PathBuf,
    /// Where clients reach it.
    pub gateway: Gateway,
    /// Where the services are; all six.
    pub services: BTreeMap<Kind, SocketAddr>,
    /// Where video-ingest takes RTMP, all replicas.
    pub rtmp: Vec<SocketAddr>,
    /// The network whose word about clients' addresses is believed.
    pub trusted_proxies: String,
    /// What one client address may ask for.
    pub limits: Limits,
}

impl Front {
    /// The process, not yet started.
    ///
    /// # Errors
    /// When a port is taken, or NGINX is missing or refuses the configuration.
    pub fn prepare(&self) -> Result<Process, Error> {
        ports::check(self.gateway)?;
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let variables = self.variables()?;
        gateway::prepare(&self.nginx, &self.folder, self.gateway, &variables)
    }

    /// What fills the templates of deploy/nginx.
    fn variables(&self) -> Result<Variables, Error> {
        let (gateway, limits) = (self.gateway, self.limits);
        let (certificate, key) = gateway::certificate(&self.folder)?;
        let address = |kind| {
            self.services
                .get(&kind)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let listen = |port: u16| ports::local(port).to_string();
        // A name stands for all its addresses; numbers have to be listed.
        let rtmp: Vec<_> = self.rtmp.iter().map(ToString::to_string).collect();
        Ok(Variables::from([
            ("VIDEO_INGEST", address(Kind::VideoIngest)),
            ("EVENTS", address(Kind::Events)),
            ("SUBSCRIPTIONS", address(Kind::Subscriptions)),
            ("NOTIFICATIONS", address(Kind::Notifications)),
            ("SEARCH", address(Kind::Search)),
            ("ANALYTICS", address(Kind::Analytics)),
            ("RTMP", rtmp.join(" max_fails=0; server ")),
            ("RESOLVE", String::new()),
            ("RESOLVER", "127.0.0.1".to_owned()),
            ("TRUSTED_PROXIES", self.trusted_proxies.clone()),
            ("HTTP", listen(gateway.http)),
            ("GRPC", listen(gateway.grpc)),
            ("HTTPS", listen(gateway.https)),
            ("RTMP_LISTEN", listen(gateway.rtmp)),
            ("RTMPS_LISTEN", listen(gateway.rtmps)),
            ("TLS_CERTIFICATE", certificate.display().to_string()),
            ("TLS_KEY", key.display().to_string()),
            ("ACCESS_LOG", self.folder.join("access.log").display().to_string()),
            ("CACHE", self.folder.join("cache").display().to_string()),
            ("CACHE_SIZE", "1g".to_owned()),
            ("PAGES", self.pages.display().to_string()),
            (
                "CREDENTIALS_RATE",
                format!("{}r/m", limits.credentials_per_minute),
            ),
            ("CALLS_RATE", format!("{}r/s", limits.calls_per_second)),
            ("CALLS_BURST", limits.calls_burst.to_string()),
            ("CONNECTIONS", limits.connections.to_string()),
        ]))
    }
}
