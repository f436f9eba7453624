//! From the transaction that changed the state to the bus: what was committed is published, whatever is killed when.

pub mod leased;
mod relay;
pub mod sqlite;

use async_trait::async_trait;
use bytes::Bytes;

use crate::embedded::codec;
use crate::{Error, Message, Outgoing};

pub use relay::relay;

/// A message as the bytes that an outbox keeps.
pub fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes);
    bytes
}

/// The message of such bytes; `None` when they are damaged.
pub fn decode(mut bytes: Bytes) -> Option<Message> {
    codec::decode(&mut bytes)
}

/// The messages that a store has committed and the bus does not have yet.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The oldest of them in the order of their commits, each with its place.
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, Error>;

    /// Forgets them up to and with this place.
    async fn published(&self, up_to: i64) -> Result<(), Error>;

    /// Waits until something was committed after the last [`pending`](Self::pending) began; at most a second.
    async fn wait(&self);

    /// Runs beside the relay for as long as it does, and never ends: an outbox that several processes share keeps its
    /// lease here, also while a batch takes long.
    async fn hold(&self) {
        std::future::pending().await
    }

    /// The relay ended: another process may go on at once.
    async fn release(&self) {}

    /// How many there are, for the gauge; may be an estimate.
    async fn depth(&self) -> Result<u64, Error> {
        Ok(0)
    }

    /// Whose it is, for the gauge's label.
    fn name(&self) -> &str {
        "outbox"
    }
}
