//! The analytics service as players, pages, owners and the bus see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod audience;
mod beacons;
mod fixture;
mod kept;
mod killed;
#[cfg(feature = "mongodb")]
mod on_mongodb;
mod summaries;
