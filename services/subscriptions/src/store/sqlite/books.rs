//! The books of the test payment provider.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Sqlite;
use crate::error::BoxError;
use crate::payment::test_provider::{Answer, Books, Entry};
use crate::payment::{Charge, Outcome};

#[async_trait]
impl Books for Sqlite {
    async fn charge(&self, charge: &Charge) -> Result<Answer, BoxError> {
        let charge = charge.clone();
        let charged = self.write("charge", "test_charges", move |tx| {
            let (written, answer) = Entry::charged(look_up(tx, &charge.idempotency_key)?, &charge);
            if let Some(entry) = written {
                tx.prepare_cached(
                    "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state)
                     VALUES (?1, ?2, ?3, 1, ?4)
                     ON CONFLICT (idempotency_key) DO UPDATE SET attempts = attempts + 1, state = excluded.state",
                )?
                .execute(params![
                    charge.idempotency_key,
                    charge.amount.minor_units(),
                    charge.amount.currency().code(),
                    entry.as_str(),
                ])?;
            }
            Ok(answer)
        });
        Ok(charged.await?)
    }

    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, BoxError> {
        let key = idempotency_key.to_owned();
        let cancelled = self.write("cancel", "test_charges", move |tx| {
            let outcome = look_up(tx, &key)?.and_then(|entry| entry.outcome(&key));
            if outcome.is_none() {
                tx.prepare_cached(
                    "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state)
                     VALUES (?1, 0, 'EUR', 0, 'cancelled')
                     ON CONFLICT (idempotency_key) DO UPDATE SET state = 'cancelled'",
                )?
                .execute([&key])?;
            }
            Ok(outcome)
        });
        Ok(cancelled.await?)
    }
}

fn look_up(connection: &Connection, key: &str) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT state FROM test_charges WHERE idempotency_key = ?1")?
        .query_row([key], |row| Ok(Entry::parse(&row.get::<_, String>(0)?)))
        .optional()
}
