//! The bus: durable, partitioned topics of domain events, consumed at least once by groups.
//!
//! ```text
//!  state + outbox row, one commit ─► relay ─► EventBus::publish ─► partition log ─► Subscription ─► Consumer ─► Handler
//!                                                                                                     └► <topic>.dlq
//! ```
//!
//! [`EventBus`] is what every adapter is; [`embedded`] is the one that needs no server, `kafka` (feature `kafka`) the one for
//! many processes. [`outbox`] gets events from the
//! transaction of a service's store to the bus, [`Consumer`] from the bus to a handler. `suite!` (feature
//! `testing`) is the one list of cases that every adapter passes.

mod bus;
mod consumer;
pub mod embedded;
mod error;
#[cfg(feature = "kafka")]
pub mod kafka;
mod measure;
mod message;
pub mod outbox;
mod replay;
mod topics;
mod trace;

#[cfg(feature = "testing")]
pub mod testing;

pub use bus::{EventBus, Polled, Record, Subscription, TopicPartition};
pub use consumer::{BoxError, Consumer, Delivery, Handler, HandlerError, Retries, bury};
pub use error::Error;
pub use message::{MAX_MESSAGE_BYTES, Message, Outgoing, event};
pub use replay::{Replayed, replay};
pub use topics::{dead_letter, dead_letters, declare_when_reachable};
pub use trace::processing;
