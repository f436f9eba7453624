//! Payments, and the intents that are recorded before any money moves.

use bytes::Bytes;
use jiff::Timestamp;
use marquee_proto::name::{AccountName, EventName, MembershipName, PaymentName, PlanName};

use super::money::Money;

/// One payment, good or bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) name: PaymentName,
    /// What was paid for; `None` when it failed before there was one.
    pub(crate) membership: Option<MembershipName>,
    pub(crate) amount: Money,
    pub(crate) result: PaymentResult,
    /// How it was paid, for example `card`.
    pub(crate) method: String,
    pub(crate) create_time: Timestamp,
}

/// How a payment went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PaymentResult {
    /// The money was taken; the provider's reference.
    Succeeded { reference: String },
    /// The provider refused, and why.
    Failed { reason: String },
}

/// What is about to be charged, recorded before the provider is asked: whatever dies when, a retry finds the intent,
/// asks the provider under the same idempotency key, and nobody pays twice.
///
/// ```text
///   begin ──► pending ──charged──► succeeded
///               │  └────refused──► declined
///               └─called off at the provider, which never charged──► (gone)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Also the idempotency key at the provider.
    pub(crate) id: String,
    pub(crate) account: AccountName,
    /// The client's request id; unique per account.
    pub(crate) request_id: String,
    /// Digest of what was asked for, to tell a replay from another request under the same id.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) purchase: Purchase,
    /// The price when it was asked for: what gets dearer meanwhile is charged at the price that was seen.
    pub(crate) amount: Money,
    pub(crate) state: IntentState,
    pub(crate) create_time: Timestamp,
}

/// What is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purchase {
    /// A membership in a plan.
    Plan(PlanName),
    /// A ticket for an event.
    Ticket(EventName),
}

impl Purchase {
    /// As it is stored: a plan's id, or an event's resource name, which no id can be.
    pub(crate) fn column(&self) -> String {
        match self {
            Self::Plan(plan) => plan.plan.clone(),
            Self::Ticket(event) => event.to_string(),
        }
    }

    /// What [`column`](Self::column) wrote.
    pub(crate) fn parse(column: &str) -> Option<Self> {
        if column.contains('/') {
            column.parse().ok().map(Self::Ticket)
        } else {
            PlanName::new(column).ok().map(Self::Plan)
        }
    }
}

/// How far an intent has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntentState {
    /// Nobody has recorded what the provider said.
    Pending,
    /// Charged; the encoded first answer, for replays.
    Succeeded { answer: Bytes },
    /// Refused; why, for replays.
    Declined { reason: String },
}

impl IntentState {
    /// As it is stored.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded { .. } => "succeeded",
            Self::Declined { .. } => "declined",
        }
    }
}
