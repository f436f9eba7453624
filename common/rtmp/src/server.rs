//! The server's side of a connection: encoders publish to it, players play from it.

mod event;
mod reply;
mod session;
mod stream;

#[cfg(test)]
mod enhanced_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use event::{ConnectRequest, Event, PlayRequest, PublishKind, PublishRequest, Rejection, RequestId};
pub(crate) use session::RECONNECT_REQUEST;
pub use session::ServerSession;
