//! Streams forwarded to other RTMP servers.
//!
//! ```text
//!  targets in the store ─┐
//!  broadcasts that run  ─┴► Keeper: which goes where ──► Job per stream and target ──► Uplink ──RTMP(S)──► another server
//!                                                          │ backoff
//!                                                          └► status in the store ──► grpc, of any replica
//! ```
//!
//! A job reads the stream's relay. A server that is away, refuses or is too slow is tried again, ever less often; the stream
//! and its viewers never notice.

mod addresses;
mod backoff;
mod job;
mod keeper;
mod tls;
mod uplink;

use std::path::PathBuf;
use std::time::Duration;

use marquee_config::Network;

pub(crate) use addresses::Addresses;
pub(crate) use keeper::{CHANGES, Keeper};
pub use tls::Error as TrustError;
pub(crate) use tls::Trust;

/// What can be set of forwarding.
#[derive(Debug, Clone)]
pub struct ForwardingConfig {
    /// Networks that may be connected to though they are not public.
    pub allow: Vec<Network>,
    /// Networks that may not be connected to, whatever else is said.
    pub deny: Vec<Network>,
    /// Targets that a channel may have.
    pub max_targets: usize,
    /// Connections of this process to other servers.
    pub max_connections: usize,
    /// Authorities that sign the certificates of `rtmps://` servers, a PEM file; none: those that browsers trust.
    pub certificates: Option<PathBuf>,
    /// How long a server may take to let us begin: name, connection, TLS and RTMP together.
    pub begin_within: Duration,
    /// How long a server may take nothing of what it is sent.
    pub stall: Duration,
    /// Before the first try again, about.
    pub first_wait: Duration,
    /// Between two tries, at most.
    pub longest_wait: Duration,
}

impl Default for ForwardingConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            max_targets: 8,
            max_connections: 500,
            certificates: None,
            begin_within: Duration::from_secs(15),
            stall: Duration::from_secs(10),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
        }
    }
}
