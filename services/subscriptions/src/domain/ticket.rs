//! Tickets for pay-per-view events.

use jiff::Timestamp;
use marquee_proto::name::{EventName, PaymentName, TicketName};

/// An account's place at an event; there is one at most, and it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) name: TicketName,
    pub(crate) event: EventName,
    /// What was paid for it.
    pub(crate) payment: PaymentName,
    pub(crate) create_time: Timestamp,
}
