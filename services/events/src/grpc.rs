//! The RPCs: decode, call the use case, encode.

mod channels;
mod decode;
mod events;

pub(crate) use channels::Channels;
pub(crate) use events::Events;
