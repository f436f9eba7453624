//! The fleet as `cargo xtask test --backends` starts it: six processes on real servers, everything through NGINX.

mod gateway;
mod metrics;
mod story;
mod trace;
