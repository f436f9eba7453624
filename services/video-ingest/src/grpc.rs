//! The RPCs: decode, call the use case, encode.

mod live_streams;
mod recordings;
mod stream_keys;

pub(crate) use live_streams::LiveStreams;
pub(crate) use recordings::Recordings;
pub(crate) use stream_keys::StreamKeys;
