//! Who takes the money.

pub(crate) mod test_provider;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::money::Money;

/// Takes payments. A charge is named by an idempotency key: however often it is asked for under one key, from however
/// many processes and lives of a process, the money is taken at most once and the answer is the same.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Charges, or says how the charge of this key went before.
    async fn charge(&self, charge: &Charge) -> Result<Outcome, PaymentError>;

    /// Makes sure that the key is never charged (again). `None` when it never was; how it went otherwise.
    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, PaymentError>;
}

/// What is to be charged.
#[derive(Clone)]
pub struct Charge {
    /// Names this charge, and no other, for ever.
    pub idempotency_key: String,
    /// How much.
    pub amount: Money,
    /// The provider's token for the means of payment, as the client got it.
    pub token: String,
}

/// How a charge went, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The money was taken.
    Succeeded {
        /// How it was paid, for example `card`.
        method: String,
        /// What the provider calls the charge.
        reference: String,
    },
    /// The means of payment was refused.
    Declined {
        /// How it was to be paid.
        method: String,
        /// Why it was refused, for people to read.
        reason: String,
    },
}

/// Why a charge has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such token.
    #[error("the payment token is not known")]
    UnknownToken,
    /// The charge was cancelled before it was made.
    #[error("the charge was cancelled")]
    Cancelled,
    /// Nobody knows whether the charge was made: ask again under the same key.
    #[error("the payment provider does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How long a provider may think before nobody knows.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
