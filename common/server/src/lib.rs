//! Puts services on an address: one port for gRPC, grpc-web, REST, server-sent events and pages.
//!
//! ```text
//!                 ┌ application/grpc ─────────────┐
//!  Listener ─ Front ┤ application/grpc-web ─ tonic-web ┼─► Stack: trace ─ bounds ─ guard ─► tonic services of the Faces
//!                 ├ /v1/... ─ rest (by reflection) ┘
//!                 └ /healthz /readyz /metrics /openapi.json, routers of the Faces, pages
//! ```
//!
//! A service crate's `build` returns a [`Service`]: its [`Face`] (what it shows) and its [`Task`]s (what it does in the
//! background). [`run`] merges any number of them on one [`Listener`], supervises them, and stops them in order;
//! [`start`] listens while they are still being built.

mod connection;
mod error;
mod face;
mod forwarded;
mod front;
mod grpc;
mod limits;
mod nearest;
mod platform;
mod probes;
mod rest;
mod run;
mod socket;

pub use error::Error;
pub use face::{BoxError, Face, Service, Task};
pub use grpc::{Deadline, remaining};
pub use limits::Limits;
pub use platform::{Platform, PublicAddresses};
pub use rest::RouteError;
pub use run::{Listener, run, serve, start};
