//! The service over real gRPC and HTTP, with the embedded bus and its store in a folder of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod accounts;
mod bank;
mod events_peer;
mod fixture;
mod follows;
mod membership_ends;
mod memberships;
mod payments;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod reminders;
mod sessions;
mod tickets;
