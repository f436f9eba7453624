//! The bus: durable, partitioned topics of domain events, consumed at least once by groups.
//!
//! ```text
//!  state + outbox row, one commit ─► relay ─► EventBus::publish ─► partition log ─► Subscription ─► Consumer ─► Handler
//!                                                                                                     └► <topic>.dlq
//! ```
//!
//! [`EventBus`] is what every adapter is; [`embedded`] is the one that needs no server. [`outbox`] gets events from the
//! transaction of a service's store to the bus, [`Consumer`] from the bus to a handler. `suite!` (feature
//! `testing`) is the one list of cases that every adapter passes.

mod bus;
mod consumer;
pub mod embedded;
mod error;
mod message;
pub mod outbox;
mod topics;
mod trace;

#[cfg(feature = "testing")]
pub mod testing;

pub use bus::{EventBus, Polled, Record, Subscription, TopicPartition};
pub use consumer::{BoxError, Consumer, Delivery, Handler, HandlerError, Retries};
pub use error::Error;
pub use message::{Message, Outgoing, event};
pub use topics::{dead_letter, dead_letters};
