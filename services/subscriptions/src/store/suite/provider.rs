//! The test payment provider, whose books are in the store.

use super::*;
use crate::domain::money::{Currency, Money};
use crate::payment::test_provider::TestProvider;
use crate::payment::{Charge, Outcome, PaymentError, PaymentProvider as _};

fn charge(key: &str, token: &str) -> Charge {
    Charge {
        idempotency_key: key.to_owned(),
        amount: Money::new(499, Currency::EUR).unwrap(),
        token: token.to_owned(),
    }
}

pub(crate) async fn a_charge_goes_the_same_way_however_often_it_is_asked_for(backend: &impl Backend) {
    let store = backend.open().await;
    let first = TestProvider::new(store.clone())
        .charge(&charge("k", "test-card-ok"))
        .await
        .unwrap();
    // Another life of the process, and even another card.
    let store = backend.reopen(store).await;
    let again = TestProvider::new(store)
        .charge(&charge("k", "test-card-declined"))
        .await
        .unwrap();
    assert_eq!(again, first);
    assert!(matches!(first, Outcome::Succeeded { .. }));
}

pub(crate) async fn the_retry_card_works_the_second_time(backend: &impl Backend) {
    let provider = TestProvider::new(backend.open().await);
    let first = provider.charge(&charge("k", "test-card-retry")).await;
    assert!(matches!(first, Err(PaymentError::Unavailable(_))), "{first:?}");
    let second = provider.charge(&charge("k", "test-card-retry")).await;
    assert!(matches!(second, Ok(Outcome::Succeeded { .. })), "{second:?}");
}

pub(crate) async fn a_cancelled_charge_is_never_made(backend: &impl Backend) {
    let provider = TestProvider::new(backend.open().await);
    assert_eq!(provider.cancel("k").await.unwrap(), None);
    let late = provider.charge(&charge("k", "test-card-ok")).await;
    assert!(matches!(late, Err(PaymentError::Cancelled)), "{late:?}");
}

pub(crate) async fn cancelling_too_late_says_how_it_went(backend: &impl Backend) {
    let provider = TestProvider::new(backend.open().await);
    let charged = provider.charge(&charge("k", "test-card-ok")).await.unwrap();
    assert_eq!(provider.cancel("k").await.unwrap(), Some(charged));
}

pub(crate) async fn an_unknown_card_leaves_no_trace(backend: &impl Backend) {
    let provider = TestProvider::new(backend.open().await);
    let refused = provider.charge(&charge("k", "4111111111111111")).await;
    assert!(matches!(refused, Err(PaymentError::UnknownToken)), "{refused:?}");
    assert!(provider.charge(&charge("k", "test-card-ok")).await.is_ok());
}

pub(crate) async fn of_charging_and_cancelling_at_once_one_is_heeded(backend: &impl Backend) {
    let provider = TestProvider::new(backend.open().await);
    for n in 0..10 {
        let key = format!("k{n}");
        let order = charge(&key, "test-card-ok");
        let (charged, cancelled) = tokio::join!(provider.charge(&order), provider.cancel(&key));
        match cancelled.unwrap() {
            None => assert!(matches!(charged, Err(PaymentError::Cancelled)), "{charged:?}"),
            Some(outcome) => assert_eq!(charged.unwrap(), outcome),
        }
    }
}
