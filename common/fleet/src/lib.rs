//! The fleet on one machine: real servers, six processes, NGINX in front; for `cargo xtask fleet`, tests and benchmarks.
//!
//! ```text
//!   clients ─► NGINX (deploy/nginx) ─► six processes ─► Kafka, MongoDB, PostgreSQL, Elasticsearch (marquee-backends)
//! ```
//!
//! Everything is on loopback, on ports that were free when the [`Fleet`] was made and stay its own over restarts, in one
//! folder. Every part can be killed, stopped, paused and started again by name.

mod error;
mod fleet;
mod front;
mod gateway;
mod ports;
mod process;
mod running;
mod service;

pub use error::Error;
pub use fleet::{Fleet, Options, Part};
pub use front::{Front, Limits};
pub use gateway::Gateway;
pub use process::Process;
pub use service::Kind;

/// Where servers and their software are from.
pub use marquee_backends as backends;
