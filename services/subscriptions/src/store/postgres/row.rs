//! Columns as domain values.

use jiff::Timestamp;
use marquee_proto::name::AccountName;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::domain::money::{Currency, Money};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::session::TokenDigest;
use crate::domain::version::Version;

/// The column holds what no version of this program wrote.
pub(super) fn malformed(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "malformed".into(),
    }
}

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn text(row: &PgRow, column: &str) -> Result<String, sqlx::Error> {
    row.try_get(column)
}

pub(super) fn optional(row: &PgRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    row.try_get(column)
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(|_| malformed(column))
}

pub(super) fn money(row: &PgRow) -> Result<Money, sqlx::Error> {
    let minor_units = row.try_get("minor_units")?;
    Currency::from_code(&text(row, "currency")?)
        .and_then(|currency| Money::new(minor_units, currency))
        .ok_or_else(|| malformed("minor_units, currency"))
}

pub(super) fn account(row: &PgRow) -> Result<AccountName, sqlx::Error> {
    AccountName::new(text(row, "account")?).map_err(|_| malformed("account"))
}

pub(super) fn version(row: &PgRow) -> Result<Version, sqlx::Error> {
    row.try_get("version").map(Version)
}

pub(super) fn digest(row: &PgRow, column: &str) -> Result<TokenDigest, sqlx::Error> {
    bytes(row, column).map(TokenDigest)
}

pub(super) fn bytes(row: &PgRow, column: &str) -> Result<[u8; 32], sqlx::Error> {
    row.try_get::<Vec<u8>, _>(column)?
        .try_into()
        .map_err(|_| malformed(column))
}

/// A limit as SQL takes it.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// What a page's query takes: the time and the id that rows must be older than, and the number of rows. It is one more
/// than asked for, which tells whether there is a next page.
pub(super) fn bounds(page: &Page) -> (i64, &str, i64) {
    let (before, id) = match &page.after {
        Some(cursor) => (micros(cursor.create_time), cursor.id.as_str()),
        None => (i64::MAX, ""),
    };
    (before, id, limit(page.size.saturating_add(1)))
}

/// The rows of such a query as a page.
pub(super) fn page<T>(
    rows: &[PgRow],
    page: &Page,
    read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    cursor: impl Fn(&T) -> Cursor,
) -> Result<Rows<T>, sqlx::Error> {
    let more = rows.len() > page.size;
    let rows: Vec<T> = rows.iter().take(page.size).map(read).collect::<Result<_, _>>()?;
    let next = rows.last().filter(|_| more).map(cursor);
    Ok(Rows { rows, next })
}
