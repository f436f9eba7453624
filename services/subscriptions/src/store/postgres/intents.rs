//! Intents to pay.

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query};

use super::billing::current_membership;
use super::row::{account, bytes, limit, malformed, micros, money, text, time};
use super::tickets;
use crate::domain::payment::{Intent, IntentState, Purchase};
use crate::store::Begun;

pub(super) async fn begin(connection: &mut PgConnection, intent: &Intent) -> Result<Begun, sqlx::Error> {
    let existing = query(
        "SELECT id, account, request_id, fingerprint, plan, minor_units, currency, state, answer, failure_reason,
                create_time
         FROM payment_intents WHERE account = $1 AND request_id = $2",
    )
    .bind(&intent.account.account)
    .bind(&intent.request_id)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(existing) = existing {
        return read(&existing).map(Begun::Existing);
    }
    match &intent.purchase {
        Purchase::Plan(_) => {
            if let Some(membership) = current_membership(connection, &intent.account).await? {
                return Ok(Begun::Member(membership));
            }
        }
        Purchase::Ticket(event) => {
            if let Some(ticket) = tickets::of_event(connection, &intent.account, event).await? {
                return Ok(Begun::Ticket(ticket));
            }
        }
    }
    let pending = query(
        "SELECT id, account, request_id, fingerprint, plan, minor_units, currency, state, answer, failure_reason,
                create_time
         FROM payment_intents WHERE account = $1 AND state = 'pending'",
    )
    .bind(&intent.account.account)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(pending) = pending {
        return read(&pending).map(Begun::Blocked);
    }
    query(
        "INSERT INTO payment_intents (id, account, request_id, fingerprint, plan, minor_units, currency, state,
                                      create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8)",
    )
    .bind(&intent.id)
    .bind(&intent.account.account)
    .bind(&intent.request_id)
    .bind(intent.fingerprint.as_slice())
    .bind(intent.purchase.column())
    .bind(intent.amount.minor_units())
    .bind(intent.amount.currency().code())
    .bind(micros(intent.create_time))
    .execute(connection)
    .await?;
    Ok(Begun::New(intent.clone()))
}

/// False when it is not pending (any more).
pub(super) async fn settle(
    connection: &mut PgConnection,
    id: &str,
    state: &IntentState,
) -> Result<bool, sqlx::Error> {
    let (answer, reason) = match state {
        IntentState::Pending => (None, None),
        IntentState::Succeeded { answer } => (Some(answer.as_ref()), None),
        IntentState::Declined { reason } => (None, Some(reason)),
    };
    let done = query(
        "UPDATE payment_intents SET state = $2, answer = $3, failure_reason = $4
         WHERE id = $1 AND state = 'pending'",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(answer)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn discard(connection: &mut PgConnection, id: &str) -> Result<(), sqlx::Error> {
    query("DELETE FROM payment_intents WHERE id = $1 AND state = 'pending'")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn get(connection: &mut PgConnection, id: &str) -> Result<Option<Intent>, sqlx::Error> {
    let row = query(
        "SELECT id, account, request_id, fingerprint, plan, minor_units, currency, state, answer, failure_reason,
                create_time
         FROM payment_intents WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn stale(
    connection: &mut PgConnection,
    before: Timestamp,
    max: usize,
) -> Result<Vec<Intent>, sqlx::Error> {
    let rows = query(
        "SELECT id, account, request_id, fingerprint, plan, minor_units, currency, state, answer, failure_reason,
                create_time
         FROM payment_intents WHERE state = 'pending' AND create_time < $1 ORDER BY create_time LIMIT $2",
    )
    .bind(micros(before))
    .bind(limit(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Intent, sqlx::Error> {
    Ok(Intent {
        id: text(row, "id")?,
        account: account(row)?,
        request_id: text(row, "request_id")?,
        fingerprint: bytes(row, "fingerprint")?,
        purchase: Purchase::parse(&text(row, "plan")?).ok_or_else(|| malformed("plan"))?,
        amount: money(row)?,
        state: match text(row, "state")?.as_str() {
            "pending" => IntentState::Pending,
            "succeeded" => IntentState::Succeeded {
                answer: Bytes::from(row.try_get::<Vec<u8>, _>("answer")?),
            },
            "declined" => IntentState::Declined {
                reason: text(row, "failure_reason")?,
            },
            _ => return Err(malformed("state")),
        },
        create_time: time(row, "create_time")?,
    })
}
