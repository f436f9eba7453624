//! The books of the test payment provider.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::query;

use super::row::text;
use super::transaction::transaction;
use super::{Postgres, operation};
use crate::error::BoxError;
use crate::payment::test_provider::{Answer, Books, Entry};
use crate::payment::{Charge, Outcome};

#[async_trait]
impl Books for Postgres {
    async fn charge(&self, charge: &Charge) -> Result<Answer, BoxError> {
        let charged = transaction!(self.connections, operation("charge", "test_charges"), |tx| {
            let entry = look_up(tx, &charge.idempotency_key).await?;
            let (written, answer) = Entry::charged(entry, charge);
            if let Some(entry) = written {
                query(
                    "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state)
                     VALUES ($1, $2, $3, 1, $4)
                     ON CONFLICT (idempotency_key)
                     DO UPDATE SET attempts = test_charges.attempts + 1, state = excluded.state",
                )
                .bind(&charge.idempotency_key)
                .bind(charge.amount.minor_units())
                .bind(charge.amount.currency().code())
                .bind(entry.as_str())
                .execute(tx)
                .await?;
            }
            Ok(answer)
        });
        Ok(charged?)
    }

    async fn cancel(&self, idempotency_key: &str) -> Result<Option<Outcome>, BoxError> {
        let cancelled = transaction!(self.connections, operation("cancel", "test_charges"), |tx| {
            let entry = look_up(tx, idempotency_key).await?;
            if let Some(outcome) = entry.and_then(|entry| entry.outcome(idempotency_key)) {
                return Ok(Some(outcome));
            }
            query(
                "INSERT INTO test_charges (idempotency_key, minor_units, currency, attempts, state)
                 VALUES ($1, 0, 'EUR', 0, 'cancelled')
                 ON CONFLICT (idempotency_key) DO UPDATE SET state = 'cancelled'",
            )
            .bind(idempotency_key)
            .execute(tx)
            .await?;
            Ok(None)
        });
        Ok(cancelled?)
    }
}

async fn look_up(tx: &mut PgConnection, key: &str) -> Result<Option<Entry>, sqlx::Error> {
    let row = query("SELECT state FROM test_charges WHERE idempotency_key = $1")
        .bind(key)
        .fetch_optional(tx)
        .await?;
    row.map(|row| Ok(Entry::parse(&text(&row, "state")?))).transpose()
}
