//! Reminders.

use marquee_proto::name::{AccountName, ReminderName};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query};

use super::row::{account, bounds, malformed, micros, page, text, time};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::reminder::{LeadTime, Reminder};

pub(super) async fn insert(connection: &mut PgConnection, reminder: &Reminder) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO reminders (account, id, event, lead_seconds, create_time) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&reminder.name.account)
    .bind(&reminder.name.reminder)
    .bind(reminder.event.to_string())
    .bind(seconds(reminder))
    .bind(micros(reminder.create_time))
    .execute(connection)
    .await?;
    Ok(())
}

/// The reminder of the same account, event and lead time.
pub(super) async fn same(
    connection: &mut PgConnection,
    reminder: &Reminder,
) -> Result<Option<Reminder>, sqlx::Error> {
    let row = query(
        "SELECT account, id, event, lead_seconds, create_time FROM reminders
         WHERE account = $1 AND event = $2 AND lead_seconds = $3",
    )
    .bind(&reminder.name.account)
    .bind(reminder.event.to_string())
    .bind(seconds(reminder))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// How many reminders the account has of the event.
pub(super) async fn count(connection: &mut PgConnection, reminder: &Reminder) -> Result<usize, sqlx::Error> {
    let row = query("SELECT count(*) AS rows FROM reminders WHERE account = $1 AND event = $2")
        .bind(&reminder.name.account)
        .bind(reminder.event.to_string())
        .fetch_one(connection)
        .await?;
    Ok(usize::try_from(row.try_get::<i64, _>("rows")?).unwrap_or(usize::MAX))
}

pub(super) async fn get(
    connection: &mut PgConnection,
    name: &ReminderName,
) -> Result<Option<Reminder>, sqlx::Error> {
    let row = query(
        "SELECT account, id, event, lead_seconds, create_time FROM reminders WHERE account = $1 AND id = $2",
    )
    .bind(&name.account)
    .bind(&name.reminder)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

/// False when it is not there.
pub(super) async fn delete(connection: &mut PgConnection, name: &ReminderName) -> Result<bool, sqlx::Error> {
    let done = query("DELETE FROM reminders WHERE account = $1 AND id = $2")
        .bind(&name.account)
        .bind(&name.reminder)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn list(
    connection: &mut PgConnection,
    account: &AccountName,
    wanted: &Page,
) -> Result<Rows<Reminder>, sqlx::Error> {
    let (before, id, max) = bounds(wanted);
    let rows = query(
        "SELECT account, id, event, lead_seconds, create_time FROM reminders
         WHERE account = $1 AND (create_time, id) < ($2, $3)
         ORDER BY create_time DESC, id DESC LIMIT $4",
    )
    .bind(&account.account)
    .bind(before)
    .bind(id)
    .bind(max)
    .fetch_all(connection)
    .await?;
    page(&rows, wanted, read, |reminder| Cursor {
        create_time: reminder.create_time,
        id: reminder.name.reminder.clone(),
    })
}

fn seconds(reminder: &Reminder) -> i64 {
    i64::from(reminder.lead_time.as_seconds())
}

fn read(row: &PgRow) -> Result<Reminder, sqlx::Error> {
    let lead =
        u32::try_from(row.try_get::<i64, _>("lead_seconds")?).map_err(|_| malformed("lead_seconds"))?;
    Ok(Reminder {
        name: ReminderName::new(account(row)?.account, text(row, "id")?).map_err(|_| malformed("id"))?,
        event: text(row, "event")?.parse().map_err(|_| malformed("event"))?,
        lead_time: LeadTime::from_seconds(lead),
        create_time: time(row, "create_time")?,
    })
}
