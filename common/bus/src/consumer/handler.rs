use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use marquee_error::{ErrorExt, ErrorKind};
use marquee_proto::topic::BusEvent;

use crate::Record;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One event as it reaches a handler. Delivery is at least once: dedupe by `id`, or write upserts that are naturally
/// idempotent.
#[derive(Debug, Clone)]
pub struct Delivery<E> {
    /// The event.
    pub event: E,
    /// The same for every delivery of the same event.
    pub id: String,
    /// The aggregate's id.
    pub key: String,
    /// For example `marquee.events.event.live`.
    pub event_type: String,
    /// When it happened.
    pub time: Timestamp,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The place in the partition.
    pub offset: u64,
}

/// Handles the events of one type, one after the other per partition, partitions side by side.
#[async_trait]
pub trait Handler<E>: Send + Sync + 'static {
    /// Handles one. The offset is committed after `Ok`.
    async fn handle(&self, delivery: Delivery<E>) -> Result<(), HandlerError>;
}

/// Why an event could not be handled.
#[derive(Debug)]
pub enum HandlerError {
    /// It may go well later; the partition waits for it.
    Retry(BoxError),
    /// It never will; it goes to the dead letters and the partition moves on.
    Poison(BoxError),
}

impl HandlerError {
    /// An error that may pass.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry(error.into())
    }

    /// An error that stays.
    pub fn poison(error: impl Into<BoxError>) -> Self {
        Self::Poison(error.into())
    }
}

impl<E: ErrorExt> From<E> for HandlerError {
    fn from(error: E) -> Self {
        match error.kind() {
            ErrorKind::Unavailable
            | ErrorKind::Aborted
            | ErrorKind::DeadlineExceeded
            | ErrorKind::ResourceExhausted
            | ErrorKind::Cancelled
            | ErrorKind::Internal => Self::Retry(Box::new(error)),
            _ => Self::Poison(Box::new(error)),
        }
    }
}

/// A handler whose event type is known to it alone, so that one consumer can have handlers of many types.
#[async_trait]
pub(crate) trait RecordHandler: Send + Sync + 'static {
    async fn handle(&self, record: &Record) -> Result<(), HandlerError>;
}

pub(crate) struct Decoding<E, H> {
    pub(crate) handler: Arc<H>,
    pub(crate) event: std::marker::PhantomData<fn() -> E>,
}

#[async_trait]
impl<E: BusEvent, H: Handler<E>> RecordHandler for Decoding<E, H> {
    async fn handle(&self, record: &Record) -> Result<(), HandlerError> {
        let Record {
            topic,
            partition,
            offset,
            message,
        } = record;
        let event = E::decode(message.value.clone()).map_err(HandlerError::poison)?;
        let delivery = Delivery {
            event,
            id: message.id.clone(),
            key: message.key.clone(),
            event_type: message.event_type.clone(),
            time: message.time,
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        };
        match AssertUnwindSafe(self.handler.handle(delivery))
            .catch_unwind()
            .await
        {
            Ok(result) => result,
            // An event that makes its handler panic would do so after every restart.
            Err(_) => Err(HandlerError::poison("the handler panicked")),
        }
    }
}
