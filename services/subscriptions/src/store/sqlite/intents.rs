//! Intents to pay.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::billing::current_membership;
use super::row::{account, bytes, collect, limit, malformed, micros, money, time};
use super::tickets;
use crate::domain::payment::{Intent, IntentState, Purchase};
use crate::store::Begun;

pub(super) fn begin(connection: &Connection, intent: Intent) -> rusqlite::Result<Begun> {
    let existing = connection
        .prepare_cached("SELECT * FROM payment_intents WHERE account = ?1 AND request_id = ?2")?
        .query_row((&intent.account.account, &intent.request_id), read)
        .optional()?;
    if let Some(existing) = existing {
        return Ok(Begun::Existing(existing));
    }
    match &intent.purchase {
        Purchase::Plan(_) => {
            if let Some(membership) = current_membership(connection, &intent.account)? {
                return Ok(Begun::Member(membership));
            }
        }
        Purchase::Ticket(event) => {
            if let Some(ticket) = tickets::of_event(connection, &intent.account, event)? {
                return Ok(Begun::Ticket(ticket));
            }
        }
    }
    let pending = connection
        .prepare_cached("SELECT * FROM payment_intents WHERE account = ?1 AND state = 'pending'")?
        .query_row([&intent.account.account], read)
        .optional()?;
    if let Some(pending) = pending {
        return Ok(Begun::Blocked(pending));
    }
    connection
        .prepare_cached(
            "INSERT INTO payment_intents (id, account, request_id, fingerprint, plan, minor_units, currency, state,
                                          create_time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?8)",
        )?
        .execute(params![
            intent.id,
            intent.account.account,
            intent.request_id,
            intent.fingerprint.as_slice(),
            intent.purchase.column(),
            intent.amount.minor_units(),
            intent.amount.currency().code(),
            micros(intent.create_time),
        ])?;
    Ok(Begun::New(intent))
}

/// False when it is not pending (any more).
pub(super) fn settle(connection: &Connection, id: &str, state: &IntentState) -> rusqlite::Result<bool> {
    let (answer, reason) = match state {
        IntentState::Pending => (None, None),
        IntentState::Succeeded { answer } => (Some(answer.as_ref()), None),
        IntentState::Declined { reason } => (None, Some(reason)),
    };
    let rows = connection
        .prepare_cached(
            "UPDATE payment_intents SET state = ?2, answer = ?3, failure_reason = ?4
             WHERE id = ?1 AND state = 'pending'",
        )?
        .execute((id, state.as_str(), answer, reason))?;
    Ok(rows == 1)
}

pub(super) fn discard(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM payment_intents WHERE id = ?1 AND state = 'pending'")?
        .execute([id])?;
    Ok(())
}

pub(super) fn get(connection: &Connection, id: &str) -> rusqlite::Result<Option<Intent>> {
    connection
        .prepare_cached("SELECT * FROM payment_intents WHERE id = ?1")?
        .query_row([id], read)
        .optional()
}

pub(super) fn stale(connection: &Connection, before: Timestamp, max: usize) -> rusqlite::Result<Vec<Intent>> {
    collect(
        connection,
        "SELECT * FROM payment_intents WHERE state = 'pending' AND create_time < ?1 ORDER BY create_time LIMIT ?2",
        (micros(before), limit(max)),
        read,
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Intent> {
    let state: String = row.get("state")?;
    Ok(Intent {
        id: row.get("id")?,
        account: account(row)?,
        request_id: row.get("request_id")?,
        fingerprint: bytes(row, "fingerprint")?,
        purchase: Purchase::parse(&row.get::<_, String>("plan")?).ok_or_else(|| malformed("plan"))?,
        amount: money(row)?,
        state: match state.as_str() {
            "pending" => IntentState::Pending,
            "succeeded" => IntentState::Succeeded {
                answer: Bytes::from(row.get::<_, Vec<u8>>("answer")?),
            },
            "declined" => IntentState::Declined {
                reason: row.get("failure_reason")?,
            },
            _ => return Err(malformed("state")),
        },
        create_time: time(row, "create_time")?,
    })
}
