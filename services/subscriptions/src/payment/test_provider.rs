//! The built-in provider for trying things out: no money moves, the token says how it goes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Charge, Outcome, PaymentError, PaymentProvider};
use crate::error::BoxError;

/// Knows the tokens `test-card-ok`, `test-card-declined` and `test-card-retry` (unavailable once per charge, then good).
/// Its books are in the service's store, so that it remembers as a real provider does, whatever is killed.
pub(crate) struct TestProvider {
    books: Arc<dyn Books>,
}

impl TestProvider {
    pub(crate) fn new(books: Arc<dyn Books>) -> Self {
        Self { books }
    }
}

pub(crate) type Answer = Result<Outcome, PaymentError>;

/// What the provider keeps, one entry per idempotency key. Each method is one transaction.
#[async_trait]
pub(crate) trait Books: Send + Sync + 'static {
    /// Writes what [`Entry::charged`] says.
    async fn charge(&self, charge: &Charge) -> Result<Answer, BoxError>;
    /// Writes [`Entry::Cancelled`], unless the charge has an outcome, which it returns.
    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, BoxError>;
}

/// What the books say about a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    RefusedOnce,
    Succeeded,
    Declined,
    Cancelled,
}

impl Entry {
    /// What is written when a charge is asked for where `entry` is in the books, if anything, and the answer.
    pub(crate) fn charged(entry: Option<Self>, charge: &Charge) -> (Option<Self>, Answer) {
        let next = match (entry, charge.token.as_str()) {
            (Some(Self::Succeeded | Self::Declined), _) => entry,
            (Some(Self::Cancelled), _) => return (None, Err(PaymentError::Cancelled)),
            (_, "test-card-ok") | (Some(Self::RefusedOnce), "test-card-retry") => Some(Self::Succeeded),
            (_, "test-card-declined") => Some(Self::Declined),
            (None, "test-card-retry") => Some(Self::RefusedOnce),
            _ => return (None, Err(PaymentError::UnknownToken)),
        };
        let outcome = next.and_then(|next| next.outcome(&charge.idempotency_key));
        let answer =
            outcome.ok_or_else(|| PaymentError::Unavailable("this card works the second time".into()));
        (next.filter(|_| next != entry), answer)
    }

    /// How the charge of `key` went, if it went somehow.
    pub(crate) fn outcome(self, key: &str) -> Option<Outcome> {
        let method = "card".to_owned();
        match self {
            Self::Succeeded => Some(Outcome::Succeeded {
                method,
                reference: format!("test_{key}"),
            }),
            Self::Declined => Some(Outcome::Declined {
                method,
                reason: "the card was declined".to_owned(),
            }),
            Self::RefusedOnce | Self::Cancelled => None,
        }
    }

    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RefusedOnce => "refused_once",
            Self::Succeeded => "succeeded",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
        }
    }

    /// What [`as_str`](Self::as_str) wrote; the tables allow nothing else.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "refused_once" => Self::RefusedOnce,
            "succeeded" => Self::Succeeded,
            "declined" => Self::Declined,
            _ => Self::Cancelled,
        }
    }
}

#[async_trait]
impl PaymentProvider for TestProvider {
    async fn charge(&self, charge: &Charge) -> Result<Outcome, PaymentError> {
        self.books
            .charge(charge)
            .await
            .map_err(PaymentError::Unavailable)?
    }

    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, PaymentError> {
        self.books
            .cancel(idempotency_key)
            .await
            .map_err(PaymentError::Unavailable)
    }
}
