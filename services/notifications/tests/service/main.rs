//! The notifications service as its callers and the bus see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod fanout;
mod fixture;
mod inbox;
#[cfg(feature = "mongodb")]
mod on_mongodb;
mod reminders;
mod watch;
