use std::time::Duration;

use marquee_config::TrustedProxies;

/// What one server gives to its callers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message of gRPC, largest body of REST, in bytes; both ways.
    pub max_message: usize,
    /// Unary RPCs that are worked on at once; more are refused with RESOURCE_EXHAUSTED.
    pub max_in_flight: usize,
    /// Streaming RPCs, either way, that are open at once; more are refused with RESOURCE_EXHAUSTED. They have places of
    /// their own, since they last as long as somebody watches.
    pub max_open_streams: usize,
    /// How long a unary RPC may take, body and all, when its caller does not set less.
    pub unary_timeout: Duration,
    /// Connections that are open at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Streams of one HTTP/2 connection that are open at once.
    pub max_streams: u32,
    /// Largest sum of the headers of a request, in bytes (at least 8 KiB).
    pub max_headers: usize,
    /// How long a client may take for the first bytes of a connection and for the headers of an HTTP/1 request.
    pub header_timeout: Duration,
    /// How often a silent HTTP/2 connection is pinged, and how long the answer may take.
    pub keep_alive: Duration,
    pub keep_alive_timeout: Duration,
    /// A connection that is older (by up to a tenth more, so that not all end together) is told to come back on a new
    /// one, which spreads clients over replicas; what runs on it is finished within `drain`.
    pub max_connection_age: Duration,
    /// Who may say on whose behalf it calls (`X-Forwarded-For`, `X-Real-IP`) and what a request is called
    /// (`X-Request-Id`); nobody by default.
    pub trusted_proxies: TrustedProxies,
    /// Between "not serving" and the first refusal, so that load balancers notice; 0 in tests.
    pub drain_delay: Duration,
    /// How long tasks, and then what is in flight, may take to end at shutdown.
    pub drain: Duration,
    /// How long one readiness check may take.
    pub ready_timeout: Duration,
    /// Reflection and `/openapi.json` describe the whole product, not just what this address has: for a process behind a
    /// gateway that shows all services as one.
    pub describes_fleet: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 4 << 20,
            max_in_flight: 1_024,
            max_open_streams: 10_000,
            unary_timeout: Duration::from_secs(60),
            max_connections: 20_000,
            max_streams: 1_024,
            max_headers: 32 << 10,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(20),
            max_connection_age: Duration::from_secs(30 * 60),
            trusted_proxies: TrustedProxies::default(),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(10),
            ready_timeout: Duration::from_secs(2),
            describes_fleet: false,
        }
    }
}
