//! Types and rules; no gRPC, no store, no sockets.

mod ban;
mod deletion;
mod event_copy;
mod forwarding_target;
mod ingest_limits;
mod live_stream;
mod playback_session;
mod recording;
mod secret;
mod signing_key;
mod stream_key;

pub(crate) use ban::{Ban, EVERY_CHANNEL, Scope};
pub(crate) use deletion::Deletion;
pub(crate) use event_copy::{Audience, EventCopy, Stage};
pub(crate) use forwarding_target::{ForwardingState, ForwardingStatus, ForwardingTarget, TargetUrl};
pub use ingest_limits::IngestLimits;
pub(crate) use ingest_limits::{Exceeded, Warden};
pub(crate) use live_stream::{Figures, LiveStream, Sample, State};
pub(crate) use playback_session::{PlaybackSession, Sighting};
pub(crate) use recording::{Pause, Recording, RecordingState, RecordingStorage};
pub(crate) use secret::Secret;
pub(crate) use signing_key::{CURRENT, SigningKey};
pub(crate) use stream_key::StreamKey;
