//! Columns as domain values.

use jiff::Timestamp;
use marquee_proto::name::AccountName;
use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row};

use crate::domain::money::{Currency, Money};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::session::TokenDigest;
use crate::domain::version::Version;

/// The column holds what no version of this program wrote.
pub(super) fn malformed(column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, format!("column `{column}` is malformed").into())
}

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|_| malformed(column))
}

pub(super) fn money(row: &Row<'_>) -> rusqlite::Result<Money> {
    let currency: String = row.get("currency")?;
    Currency::from_code(&currency)
        .and_then(|currency| Money::new(row.get("minor_units").ok()?, currency))
        .ok_or_else(|| malformed("minor_units, currency"))
}

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<AccountName> {
    AccountName::new(row.get::<_, String>("account")?).map_err(|_| malformed("account"))
}

pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    row.get("version").map(Version)
}

pub(super) fn digest(row: &Row<'_>, column: &str) -> rusqlite::Result<TokenDigest> {
    bytes(row, column).map(TokenDigest)
}

pub(super) fn bytes(row: &Row<'_>, column: &str) -> rusqlite::Result<[u8; 32]> {
    row.get::<_, Vec<u8>>(column)?
        .try_into()
        .map_err(|_| malformed(column))
}

/// A limit as SQL takes it.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// All rows of a query.
pub(super) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// One page of an account's rows, newest first. The query takes the account as `?1`, the time and id that rows must be
/// older than as `?2` and `?3`, and the number of rows as `?4`.
pub(super) fn page<T>(
    connection: &Connection,
    sql: &str,
    account: &AccountName,
    page: &Page,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    cursor: impl Fn(&T) -> Cursor,
) -> rusqlite::Result<Rows<T>> {
    let (before, id) = match &page.after {
        Some(cursor) => (micros(cursor.create_time), cursor.id.as_str()),
        None => (i64::MAX, ""),
    };
    // One more than asked for tells whether there is a next page.
    let mut rows = collect(
        connection,
        sql,
        (&account.account, before, id, limit(page.size.saturating_add(1))),
        read,
    )?;
    let more = rows.len() > page.size;
    rows.truncate(page.size);
    let next = rows.last().filter(|_| more).map(cursor);
    Ok(Rows { rows, next })
}
