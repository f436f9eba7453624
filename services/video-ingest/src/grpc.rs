//! The RPCs: decode, call the use case, encode.

mod forwarding;
mod live_streams;
mod playback;
mod recordings;
mod stream_keys;

pub(crate) use forwarding::Forwarding;
pub(crate) use live_streams::LiveStreams;
pub(crate) use playback::{Bans, Playback};
pub(crate) use recordings::Recordings;
pub(crate) use stream_keys::StreamKeys;
