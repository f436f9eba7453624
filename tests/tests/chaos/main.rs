//! The fleet under load while one part after the other is killed and started again; then everything is counted.
//!
//! ```text
//!  publishers, viewers' streams, writers, probes ──► NGINX ──► six services ──► four servers
//!          │ every acknowledged write                   ▲         ▲                ▲
//!          ▼                                            └─────────┴── SIGKILL ─────┘ one at a time, started again
//!        ledgers ──► checks, once the load has stopped and nothing lags: through the API, and from Kafka
//! ```
//!
//! `cargo xtask chaos` kills fifty times; the test kills each part once and freezes three. Either writes its table to `chaos.md` in the target
//! folder.

#![allow(
    clippy::print_stdout,
    reason = "who runs it watches what is killed and what it costs"
)]

mod bus;
mod cast;
mod checks;
mod client;
mod kills;
mod meter;
mod metrics;
mod on_fleet;
mod probes;
mod random;
mod stage;
mod table;
mod viewer;
mod writer;
