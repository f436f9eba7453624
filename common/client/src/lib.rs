//! How a Marquee service calls its peers.
//!
//! ```text
//!   EventServiceClient::new(peers.events()) ─► Peer: deadline, traceparent, service token, retries within a budget
//!                                                └─► Channel: one lazy HTTP/2 connection with keepalive ─► peer
//! ```
//!
//! What an RPC is, unary or a stream, is known from its descriptor: unary calls get a deadline and may be retried, streams
//! live as long as both sides want.

mod budget;
mod deadline;
mod error;
mod keys;
mod method;
mod peer;
mod peers;
mod request_id;
mod tokens;

pub use deadline::{poll_within, remaining, within};
pub use error::Error;
pub use keys::RemoteKeys;
pub use peer::{Peer, channel};
pub use peers::{PeerArgs, Peers};
pub use request_id::{REQUEST_ID_HEADER, poll_for_request, request_id};
pub use tokens::ServiceTokens;

#[cfg(test)]
mod tests;
