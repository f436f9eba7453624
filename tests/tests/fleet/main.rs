//! The fleet as `cargo xtask test --backends` starts it: six processes on real servers, everything through NGINX.

mod addresses;
mod gateway;
mod limits;
mod metrics;
mod own;
mod story;
mod trace;
