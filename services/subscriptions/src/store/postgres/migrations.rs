//! Migrations that several processes may run at once.
//!
//! There is no lock to take that both PostgreSQL and CockroachDB have, and none is needed: each statement says "if not
//! exists", runs by itself, and may be run again by anybody at any time. A statement that collides with the same one of
//! another process (PostgreSQL says so in several ways) is part of a run that is begun again. Once all of a file's
//! statements were run its number is noted, so that later starts do not repeat them.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _, query};
use tokio::time::{sleep, timeout};

use super::connections::Connections;
use super::error::Trouble;

/// In their order; only ever appended to. An older version of this program must be able to work on a newer schema, while
/// processes are replaced one by one.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_subscriptions.sql"),
    include_str!("../../../migrations/postgres/0002_test_provider.sql"),
    include_str!("../../../migrations/postgres/0003_tickets.sql"),
];

/// How often a run is begun again.
const ATTEMPTS: u32 = 20;
/// How long all of it may take; a new index on a large table takes its time.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Runs what has not been run yet.
pub(super) async fn run(connections: &Connections) -> Result<(), Trouble> {
    let mut attempt = 0;
    loop {
        let ran = timeout(PATIENCE, run_once(connections)).await;
        let trouble =
            match ran.unwrap_or_else(|_| Err(Trouble::unavailable("migrations take too long".to_owned()))) {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
        attempt += 1;
        if attempt >= ATTEMPTS || !collided(&trouble) {
            return Err(trouble);
        }
        sleep(Duration::from_millis(10 * u64::from(attempt)).mul_f64(rand::random_range(0.5..1.5))).await;
    }
}

async fn run_once(connections: &Connections) -> Result<(), Trouble> {
    let mut lent = connections.acquire().await?;
    let connection = lent.connection();
    let known = known(connection).await?;
    if known >= MIGRATIONS.len() {
        lent.give_back();
        return Ok(());
    }
    // This connection is not kept: an index may take longer to build than any other statement may.
    connection.execute("SET statement_timeout = 0").await?;
    connection
        .execute("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)")
        .await?;
    for (version, migration) in MIGRATIONS.iter().enumerate().skip(known) {
        for statement in statements(migration) {
            // Part of a file that was compiled in.
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        query("INSERT INTO migrations (version) VALUES ($1) ON CONFLICT (version) DO NOTHING")
            .bind(i64::try_from(version + 1).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
        tracing::info!(version = version + 1, "the schema is migrated");
    }
    Ok(())
}

/// How many files were run.
async fn known(connection: &mut PgConnection) -> Result<usize, Trouble> {
    match query("SELECT coalesce(max(version), 0) AS version FROM migrations")
        .fetch_one(connection)
        .await
    {
        Ok(row) => Ok(usize::try_from(row.try_get::<i64, _>("version")?).unwrap_or(usize::MAX)),
        // undefined_table: a new database.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The statements of a file: each ends with a semicolon at the end of a line; comments have lines of their own.
pub(super) fn statements(migration: &str) -> impl Iterator<Item = String> {
    let lines = migration
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> = text
        .split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';').to_owned())
        .filter(|statement| !statement.is_empty())
        .collect();
    statements.into_iter()
}

/// True when another process ran the same at the same time.
fn collided(trouble: &Trouble) -> bool {
    match trouble {
        // A unique value of the catalogue.
        Trouble::Contended(_) | Trouble::Taken(_) | Trouble::Lost(_) => true,
        Trouble::Broken(sqlx::Error::Database(error)) => match error.code().as_deref() {
            // duplicate_table, duplicate_object, duplicate_schema.
            Some("42P07" | "42710" | "42P06") => true,
            Some("XX000") => error.message().contains("concurrently updated"),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_its_statements() {
        let cut: Vec<String> =
            statements("-- why; so\nCREATE TABLE a (\n    -- b;\n    b TEXT\n);\nCREATE INDEX c ON a (b);\n")
                .collect();
        assert_eq!(
            cut,
            ["CREATE TABLE a (\n    b TEXT\n)", "CREATE INDEX c ON a (b)"]
        );
    }

    #[test]
    fn every_statement_may_be_run_again() {
        let again = [
            "CREATE TABLE IF NOT EXISTS ",
            "CREATE INDEX IF NOT EXISTS ",
            "CREATE UNIQUE INDEX IF NOT EXISTS ",
            "DROP INDEX IF EXISTS ",
        ];
        for statement in MIGRATIONS.iter().copied().flat_map(statements) {
            let adds_column =
                statement.starts_with("ALTER TABLE ") && statement.contains(" ADD COLUMN IF NOT EXISTS ");
            assert!(
                adds_column || again.iter().any(|begin| statement.starts_with(begin)),
                "{statement}"
            );
        }
    }
}
