//! The events service as its callers and the bus see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod channels;
mod events;
mod fixture;
mod lists;
#[cfg(feature = "mongodb")]
mod on_mongodb;
mod streams;
