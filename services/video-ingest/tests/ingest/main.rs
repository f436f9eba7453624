//! The real service on free ports, with an embedded bus and stock or own encoders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails where it cannot go on"
)]

mod clip;
mod cost;
mod encoder;
mod hls;
mod logs;
#[path = "../../../../common/hls/tests/stage/mp4.rs"]
mod mp4;
mod on_air;
mod peer;
mod player;
mod receiver;
mod stage;
mod story;
mod subscribers;
mod viewer;

mod control;
mod disk;
mod enhanced;
mod forwarding;
mod hostile;
mod interleaved;
mod keys;
mod limits;
mod low_latency;
#[cfg(feature = "s3")]
mod on_s3;
mod plays;
mod publish;
mod reads;
mod reconnect;
mod refusals;
mod restart;
mod rtmps;
mod silence;
mod slow_players;
mod stock;
mod storage;
mod watching;
mod webhooks;
