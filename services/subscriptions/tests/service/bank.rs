//! A payment provider that outlives the service and can lose its answers on the way.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use marquee_subscriptions::{Charge, Outcome, PaymentError, PaymentProvider};
use parking_lot::Mutex;

#[derive(Default)]
struct Books {
    /// By idempotency key; `None` once cancelled.
    charges: HashMap<String, Option<Outcome>>,
    /// The money is taken, but nobody hears of it.
    mute: bool,
}

/// Takes every card.
#[derive(Clone, Default)]
pub(crate) struct Bank(Arc<Mutex<Books>>);

impl Bank {
    pub(crate) fn set_mute(&self, mute: bool) {
        self.0.lock().mute = mute;
    }

    /// How often money was taken.
    pub(crate) fn charged(&self) -> usize {
        self.0.lock().charges.values().flatten().count()
    }
}

fn lost() -> PaymentError {
    PaymentError::Unavailable("the answer was lost".into())
}

#[async_trait]
impl PaymentProvider for Bank {
    async fn charge(&self, charge: &Charge) -> Result<Outcome, PaymentError> {
        let mut books = self.0.lock();
        let key = charge.idempotency_key.clone();
        let outcome = books.charges.entry(key).or_insert_with_key(|key| {
            Some(Outcome::Succeeded {
                method: "card".to_owned(),
                reference: key.clone(),
            })
        });
        let outcome = outcome.clone();
        if books.mute {
            return Err(lost());
        }
        outcome.ok_or(PaymentError::Cancelled)
    }

    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, PaymentError> {
        let mut books = self.0.lock();
        if books.mute {
            return Err(lost());
        }
        Ok(books
            .charges
            .entry(idempotency_key.to_owned())
            .or_insert(None)
            .clone())
    }
}
