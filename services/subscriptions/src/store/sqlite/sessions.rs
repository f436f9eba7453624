//! Sessions.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::row::{account, digest, limit, micros, time};
use crate::domain::session::{Session, TokenDigest};

pub(super) fn insert(connection: &Connection, session: &Session) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO sessions (family, secret, account, create_time, expire_time) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            session.family.0.as_slice(),
            session.secret.0.as_slice(),
            &session.account.account,
            micros(session.create_time),
            micros(session.expire_time),
        ))?;
    Ok(())
}

pub(super) fn get(connection: &Connection, family: TokenDigest) -> rusqlite::Result<Option<Session>> {
    connection
        .prepare_cached("SELECT * FROM sessions WHERE family = ?1")?
        .query_row([family.0.as_slice()], |row| {
            Ok(Session {
                family,
                secret: digest(row, "secret")?,
                account: account(row)?,
                create_time: time(row, "create_time")?,
                expire_time: time(row, "expire_time")?,
                ended: row.get::<_, Option<i64>>("end_time")?.is_some(),
            })
        })
        .optional()
}

pub(super) fn update(connection: &Connection, session: &Session, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE sessions SET secret = ?2, end_time = ?3 WHERE family = ?1")?
        .execute((
            session.family.0.as_slice(),
            session.secret.0.as_slice(),
            session.ended.then(|| micros(now)),
        ))?;
    Ok(())
}

pub(super) fn end(connection: &Connection, family: TokenDigest, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE sessions SET end_time = ?2 WHERE family = ?1 AND end_time IS NULL")?
        .execute((family.0.as_slice(), micros(now)))?;
    Ok(())
}

pub(super) fn purge(connection: &Connection, now: Timestamp, max: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE family IN
                 (SELECT family FROM sessions WHERE expire_time < ?1 ORDER BY expire_time LIMIT ?2)",
        )?
        .execute((micros(now), limit(max)))
}
