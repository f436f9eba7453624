//! Attempts to sign in, counted by all processes together.

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::query;

use super::row::{limit, micros, time};
use crate::domain::attempts::Guesser;

/// When the guesser's allowance is whole again.
pub(super) async fn full_at(
    connection: &mut PgConnection,
    guesser: Guesser,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let row = query("SELECT full_at FROM login_attempts WHERE guesser = $1")
        .bind(guesser.as_bytes())
        .fetch_optional(connection)
        .await?;
    row.map(|row| time(&row, "full_at")).transpose()
}

pub(super) async fn set_full_at(
    connection: &mut PgConnection,
    guesser: Guesser,
    full_at: Timestamp,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO login_attempts (guesser, full_at) VALUES ($1, $2)
         ON CONFLICT (guesser) DO UPDATE SET full_at = excluded.full_at",
    )
    .bind(guesser.as_bytes())
    .bind(micros(full_at))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn clear(connection: &mut PgConnection, guesser: Guesser) -> Result<(), sqlx::Error> {
    query("DELETE FROM login_attempts WHERE guesser = $1")
        .bind(guesser.as_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets those whose allowance is whole again.
pub(super) async fn purge(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
) -> Result<u64, sqlx::Error> {
    let done = query(
        "DELETE FROM login_attempts WHERE guesser IN
             (SELECT guesser FROM login_attempts WHERE full_at <= $1 ORDER BY full_at LIMIT $2)",
    )
    .bind(micros(now))
    .bind(limit(max))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
