//! A transaction, on the writer thread.

use rusqlite::{OptionalExtension, Transaction as Sql, params};

use super::schema;
use crate::request::Key;
use crate::transaction::{Row, Write};
use crate::{Committed, Error, Etag, Transaction};

/// How long answers are kept for replays.
pub(super) const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;

/// The documents that the transaction touches.
pub(super) fn changed(transaction: &Transaction) -> Vec<(&'static str, String)> {
    let id = |write: &Write| match write {
        Write::Insert(row) | Write::Replace(row, _) | Write::Put(row) => {
            Some((row.collection, row.id.clone()))
        }
        Write::Delete { collection, id, .. } => Some((*collection, id.clone())),
        Write::Increment { .. } | Write::Publish(_) | Write::Remember { .. } => None,
    };
    transaction.writes.iter().filter_map(id).collect()
}

pub(super) fn apply(tx: &Sql<'_>, transaction: Transaction, now_ms: i64) -> Result<Committed, Error> {
    let mut committed = Committed {
        etags: Vec::new(),
        counters: Vec::new(),
    };
    for write in transaction.writes {
        match write {
            Write::Insert(row) => {
                let sql = format!(
                    "INSERT INTO {}(id, etag, body) VALUES (?, ?, ?)",
                    schema::table(row.collection)
                );
                execute(tx, &sql, params![row.id, row.etag.as_str(), row.body])?;
                committed.etags.push(row.etag);
            }
            Write::Replace(row, etag) => {
                let sql = format!(
                    "UPDATE {} SET etag = ?, body = ? WHERE id = ? AND etag = ?",
                    schema::table(row.collection)
                );
                let rows = execute(
                    tx,
                    &sql,
                    params![row.etag.as_str(), row.body, row.id, etag.as_str()],
                )?;
                if rows == 0 {
                    return Err(missed(tx, row.collection, row.id)?);
                }
                committed.etags.push(row.etag);
            }
            Write::Put(row) => {
                put(tx, &row)?;
                committed.etags.push(row.etag);
            }
            Write::Delete { collection, id, etag } => delete(tx, collection, id, etag.as_ref())?,
            Write::Increment { counter, delta } => {
                let mut statement = tx.prepare_cached(
                    "INSERT INTO counters(name, value) VALUES (?, ?)
                     ON CONFLICT DO UPDATE SET value = value + excluded.value RETURNING value",
                )?;
                committed
                    .counters
                    .push(statement.query_row(params![counter, delta], |row| row.get(0))?);
            }
            Write::Publish(message) => marquee_bus::outbox::sqlite::insert(tx, &message)?,
            Write::Remember { key, response } => remember(tx, &key, &response, now_ms)?,
        }
    }
    Ok(committed)
}

fn execute(tx: &Sql<'_>, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<usize, Error> {
    tx.prepare_cached(sql)?
        .execute(values)
        .map_err(|error| refused(error.into()))
}

/// A violated constraint by the names of what was declared.
pub(super) fn refused(error: marquee_sqlite::Error) -> Error {
    match error {
        marquee_sqlite::Error::UniqueViolation { constraint } => {
            let (collection, index) = schema::violated(&constraint);
            Error::AlreadyExists { collection, index }
        }
        error => error.into(),
    }
}

fn put(tx: &Sql<'_>, row: &Row) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO {}(id, etag, body) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET etag = excluded.etag, body = excluded.body",
        schema::table(row.collection)
    );
    execute(tx, &sql, params![row.id, row.etag.as_str(), row.body])?;
    Ok(())
}

fn delete(tx: &Sql<'_>, collection: &'static str, id: String, etag: Option<&Etag>) -> Result<(), Error> {
    let sql = format!(
        "DELETE FROM {} WHERE id = ?1 AND (?2 IS NULL OR etag = ?2)",
        schema::table(collection)
    );
    match execute(tx, &sql, params![id, etag.map(Etag::as_str)])? {
        0 => Err(missed(tx, collection, id)?),
        _ => Ok(()),
    }
}

/// Why a write by id and etag met no row.
fn missed(tx: &Sql<'_>, collection: &'static str, id: String) -> Result<Error, Error> {
    let sql = format!("SELECT 1 FROM {} WHERE id = ?", schema::table(collection));
    let exists = tx.prepare_cached(&sql)?.exists([&id])?;
    Ok(if exists {
        Error::Conflict
    } else {
        Error::NotFound {
            collection: collection.to_owned(),
            id,
        }
    })
}

fn remember(tx: &Sql<'_>, key: &Key, response: &[u8], now_ms: i64) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM requests WHERE made_ms <= ?")?
        .execute([now_ms - REMEMBERED_MS])?;
    let id = params![key.caller, key.rpc, key.request_id];
    let known: Option<Vec<u8>> = tx
        .prepare_cached("SELECT body FROM requests WHERE caller = ? AND rpc = ? AND request_id = ?")?
        .query_row(id, |row| row.get(0))
        .optional()?;
    match known {
        Some(body) if body != key.body => Err(Error::RequestIdReused),
        Some(_) => Err(Error::RequestInProgress),
        None => {
            tx.prepare_cached(
                "INSERT INTO requests(caller, rpc, request_id, body, response, made_ms) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![key.caller, key.rpc, key.request_id, key.body, response, now_ms])?;
            Ok(())
        }
    }
}
