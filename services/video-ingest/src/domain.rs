//! Types and rules; no gRPC, no store, no sockets.

mod live_stream;
mod recording;
mod secret;
mod stream_key;

pub(crate) use live_stream::{Figures, LiveStream, State};
pub(crate) use recording::Recording;
pub(crate) use secret::Secret;
pub(crate) use stream_key::StreamKey;
