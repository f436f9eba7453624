//! From the transaction that changed the state to the bus: what was committed is published, whatever is killed when.

mod relay;
pub mod sqlite;

use async_trait::async_trait;

use crate::{Error, Outgoing};

pub use relay::relay;

/// The messages that a store has committed and the bus does not have yet.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The oldest of them in the order of their commits, each with its place.
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, Error>;

    /// Forgets them up to and with this place.
    async fn published(&self, up_to: i64) -> Result<(), Error>;

    /// Waits until something was committed after the last [`pending`](Self::pending) began; at most a second.
    async fn wait(&self);

    /// How many there are, for the gauge; may be an estimate.
    async fn depth(&self) -> Result<u64, Error> {
        Ok(0)
    }

    /// Whose it is, for the gauge's label.
    fn name(&self) -> &str {
        "outbox"
    }
}
