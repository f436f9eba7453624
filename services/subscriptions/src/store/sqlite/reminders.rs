//! Reminders.

use marquee_proto::name::{AccountName, ReminderName};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::row::{account, malformed, micros, page, time};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::reminder::{LeadTime, Reminder};

pub(super) fn insert(connection: &Connection, reminder: &Reminder) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO reminders (account, id, event, lead_seconds, create_time) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            &reminder.name.account,
            &reminder.name.reminder,
            reminder.event.to_string(),
            reminder.lead_time.as_seconds(),
            micros(reminder.create_time),
        ))?;
    Ok(())
}

/// The reminder of the same account, event and lead time.
pub(super) fn same(connection: &Connection, reminder: &Reminder) -> rusqlite::Result<Option<Reminder>> {
    connection
        .prepare_cached("SELECT * FROM reminders WHERE account = ?1 AND event = ?2 AND lead_seconds = ?3")?
        .query_row(
            (
                &reminder.name.account,
                reminder.event.to_string(),
                reminder.lead_time.as_seconds(),
            ),
            read,
        )
        .optional()
}

/// How many reminders the account has of the event.
pub(super) fn count(connection: &Connection, reminder: &Reminder) -> rusqlite::Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM reminders WHERE account = ?1 AND event = ?2")?
        .query_row((&reminder.name.account, reminder.event.to_string()), |row| {
            row.get(0)
        })?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

pub(super) fn get(connection: &Connection, name: &ReminderName) -> rusqlite::Result<Option<Reminder>> {
    connection
        .prepare_cached("SELECT * FROM reminders WHERE account = ?1 AND id = ?2")?
        .query_row((&name.account, &name.reminder), read)
        .optional()
}

/// False when it is not there.
pub(super) fn delete(connection: &Connection, name: &ReminderName) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("DELETE FROM reminders WHERE account = ?1 AND id = ?2")?
        .execute((&name.account, &name.reminder))?;
    Ok(rows == 1)
}

pub(super) fn list(
    connection: &Connection,
    account: &AccountName,
    wanted: &Page,
) -> rusqlite::Result<Rows<Reminder>> {
    page(
        connection,
        "SELECT * FROM reminders WHERE account = ?1 AND (create_time, id) < (?2, ?3)
         ORDER BY create_time DESC, id DESC LIMIT ?4",
        account,
        wanted,
        read,
        |reminder| Cursor {
            create_time: reminder.create_time,
            id: reminder.name.reminder.clone(),
        },
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Reminder> {
    Ok(Reminder {
        name: ReminderName::new(account(row)?.account, row.get::<_, String>("id")?)
            .map_err(|_| malformed("id"))?,
        event: row
            .get::<_, String>("event")?
            .parse()
            .map_err(|_| malformed("event"))?,
        lead_time: LeadTime::from_seconds(row.get("lead_seconds")?),
        create_time: time(row, "create_time")?,
    })
}
