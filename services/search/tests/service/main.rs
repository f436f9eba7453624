//! The search service as its callers and the bus see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod fixture;
mod indexing;
#[cfg(feature = "elasticsearch")]
mod on_elasticsearch;
mod queries;
