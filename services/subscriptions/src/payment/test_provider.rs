//! The built-in provider for trying things out: no money moves, the token says how it goes.

use async_trait::async_trait;
use marquee_sqlite::Database;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{Charge, Outcome, PaymentError, PaymentProvider};

/// Knows the tokens `test-card-ok`, `test-card-declined` and `test-card-retry` (unavailable once per charge, then good).
/// Its books are in a table of the service's file, so that it remembers as a real provider does, whatever is killed.
pub(crate) struct TestProvider {
    books: Database,
}

impl TestProvider {
    pub(crate) fn new(books: Database) -> Self {
        Self { books }
    }
}

/// What the books say about a charge.
enum Entry {
    RefusedOnce,
    Settled(Outcome),
    Cancelled,
}

#[async_trait]
impl PaymentProvider for TestProvider {
    async fn charge(&self, charge: &Charge) -> Result<Outcome, PaymentError> {
        let charge = charge.clone();
        let answer = self.books.write(move |tx| charge_in(tx, &charge)).await;
        answer.map_err(unavailable)?
    }

    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, PaymentError> {
        let key = idempotency_key.to_owned();
        let found = self.books.write(move |tx| cancel_in(tx, &key)).await;
        found.map_err(unavailable)
    }
}

type Answer = Result<Outcome, PaymentError>;

fn charge_in(tx: &Transaction<'_>, charge: &Charge) -> Result<Answer, marquee_sqlite::Error> {
    let entry = look_up(tx, &charge.idempotency_key)?;
    let state = match (entry, charge.token.as_str()) {
        (Some(Entry::Settled(outcome)), _) => return Ok(Ok(outcome)),
        (Some(Entry::Cancelled), _) => return Ok(Err(PaymentError::Cancelled)),
        (_, "test-card-ok") | (Some(Entry::RefusedOnce), "test-card-retry") => "succeeded",
        (_, "test-card-declined") => "declined",
        (None, "test-card-retry") => "refused_once",
        _ => return Ok(Err(PaymentError::UnknownToken)),
    };
    tx.prepare_cached(
        "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state) VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT (idempotency_key) DO UPDATE SET attempts = attempts + 1, state = excluded.state",
    )?
    .execute(params![
        charge.idempotency_key,
        charge.amount.minor_units(),
        charge.amount.currency().code(),
        state,
    ])?;
    Ok(match look_up(tx, &charge.idempotency_key)? {
        Some(Entry::Settled(outcome)) => Ok(outcome),
        _ => Err(PaymentError::Unavailable(
            "this card works the second time".into(),
        )),
    })
}

fn cancel_in(tx: &Transaction<'_>, key: &str) -> Result<Option<Outcome>, marquee_sqlite::Error> {
    if let Some(Entry::Settled(outcome)) = look_up(tx, key)? {
        return Ok(Some(outcome));
    }
    tx.prepare_cached(
        "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state)
         VALUES (?1, 0, 'EUR', 0, 'cancelled')
         ON CONFLICT (idempotency_key) DO UPDATE SET state = 'cancelled'",
    )?
    .execute([key])?;
    Ok(None)
}

fn look_up(tx: &Transaction<'_>, key: &str) -> Result<Option<Entry>, marquee_sqlite::Error> {
    let state: Option<String> = tx
        .prepare_cached("SELECT state FROM test_charges WHERE idempotency_key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    let method = || "card".to_owned();
    Ok(match state.as_deref() {
        None => None,
        Some("refused_once") => Some(Entry::RefusedOnce),
        Some("succeeded") => Some(Entry::Settled(Outcome::Succeeded {
            method: method(),
            reference: format!("test_{key}"),
        })),
        Some("declined") => Some(Entry::Settled(Outcome::Declined {
            method: method(),
            reason: "the card was declined".to_owned(),
        })),
        Some(_) => Some(Entry::Cancelled),
    })
}

fn unavailable(error: marquee_sqlite::Error) -> PaymentError {
    PaymentError::Unavailable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Currency, Money};
    use crate::store::sqlite::Sqlite;

    fn provider(folder: &tempfile::TempDir) -> TestProvider {
        TestProvider::new(Sqlite::open(folder.path()).unwrap().database())
    }

    fn charge(key: &str, token: &str) -> Charge {
        Charge {
            idempotency_key: key.to_owned(),
            amount: Money::new(499, Currency::EUR).unwrap(),
            token: token.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_charge_goes_the_same_way_however_often_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let first = provider(&folder)
            .charge(&charge("k", "test-card-ok"))
            .await
            .unwrap();
        // Another life of the process, and even another card.
        let again = provider(&folder)
            .charge(&charge("k", "test-card-declined"))
            .await
            .unwrap();
        assert_eq!(again, first);
        assert!(matches!(first, Outcome::Succeeded { .. }));
    }

    #[tokio::test]
    async fn the_retry_card_works_the_second_time() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(&folder);
        let first = provider.charge(&charge("k", "test-card-retry")).await;
        assert!(matches!(first, Err(PaymentError::Unavailable(_))));
        let second = provider.charge(&charge("k", "test-card-retry")).await;
        assert!(matches!(second, Ok(Outcome::Succeeded { .. })));
    }

    #[tokio::test]
    async fn a_cancelled_charge_is_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(&folder);
        assert_eq!(provider.cancel("k").await.unwrap(), None);
        let late = provider.charge(&charge("k", "test-card-ok")).await;
        assert!(matches!(late, Err(PaymentError::Cancelled)));
    }

    #[tokio::test]
    async fn cancelling_too_late_says_how_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(&folder);
        let charged = provider.charge(&charge("k", "test-card-ok")).await.unwrap();
        assert_eq!(provider.cancel("k").await.unwrap(), Some(charged));
    }

    #[tokio::test]
    async fn an_unknown_token_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(&folder);
        let refused = provider.charge(&charge("k", "4111111111111111")).await;
        assert!(matches!(refused, Err(PaymentError::UnknownToken)));
        assert!(provider.charge(&charge("k", "test-card-ok")).await.is_ok());
    }
}
