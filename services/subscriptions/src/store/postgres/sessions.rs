//! Sessions.

use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{Row as _, query};

use super::row::{account, digest, limit, micros, time};
use crate::domain::session::{Session, TokenDigest};

pub(super) async fn insert(connection: &mut PgConnection, session: &Session) -> Result<(), sqlx::Error> {
    query("INSERT INTO sessions (family, secret, account, create_time, expire_time) VALUES ($1, $2, $3, $4, $5)")
        .bind(session.family.0.as_slice())
        .bind(session.secret.0.as_slice())
        .bind(&session.account.account)
        .bind(micros(session.create_time))
        .bind(micros(session.expire_time))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn get(
    connection: &mut PgConnection,
    family: TokenDigest,
) -> Result<Option<Session>, sqlx::Error> {
    let row =
        query("SELECT secret, account, create_time, expire_time, end_time FROM sessions WHERE family = $1")
            .bind(family.0.as_slice())
            .fetch_optional(connection)
            .await?;
    row.map(|row| {
        Ok(Session {
            family,
            secret: digest(&row, "secret")?,
            account: account(&row)?,
            create_time: time(&row, "create_time")?,
            expire_time: time(&row, "expire_time")?,
            ended: row.try_get::<Option<i64>, _>("end_time")?.is_some(),
        })
    })
    .transpose()
}

pub(super) async fn update(
    connection: &mut PgConnection,
    session: &Session,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query("UPDATE sessions SET secret = $2, end_time = $3 WHERE family = $1")
        .bind(session.family.0.as_slice())
        .bind(session.secret.0.as_slice())
        .bind(session.ended.then(|| micros(now)))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn end(
    connection: &mut PgConnection,
    family: TokenDigest,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query("UPDATE sessions SET end_time = $2 WHERE family = $1 AND end_time IS NULL")
        .bind(family.0.as_slice())
        .bind(micros(now))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn purge(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
) -> Result<u64, sqlx::Error> {
    let done = query(
        "DELETE FROM sessions WHERE family IN
             (SELECT family FROM sessions WHERE expire_time < $1 ORDER BY expire_time LIMIT $2)",
    )
    .bind(micros(now))
    .bind(limit(max))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
