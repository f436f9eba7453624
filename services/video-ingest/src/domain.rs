//! Types and rules; no gRPC, no store, no sockets.

mod deletion;
mod live_stream;
mod recording;
mod secret;
mod stream_key;

pub(crate) use deletion::Deletion;
pub(crate) use live_stream::{Figures, LiveStream, State};
pub(crate) use recording::{Pause, Recording, RecordingState, RecordingStorage};
pub(crate) use secret::Secret;
pub(crate) use stream_key::StreamKey;
