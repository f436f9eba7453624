//! Tickets.

use marquee_proto::name::{AccountName, EventName, PaymentName, TicketName};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::query;

use super::row::{account, bounds, malformed, micros, page, text, time};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::ticket::Ticket;

pub(super) async fn insert(connection: &mut PgConnection, ticket: &Ticket) -> Result<(), sqlx::Error> {
    query("INSERT INTO tickets (account, id, event, payment, create_time) VALUES ($1, $2, $3, $4, $5)")
        .bind(&ticket.name.account)
        .bind(&ticket.name.ticket)
        .bind(ticket.event.to_string())
        .bind(&ticket.payment.payment)
        .bind(micros(ticket.create_time))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn of_event(
    connection: &mut PgConnection,
    account: &AccountName,
    event: &EventName,
) -> Result<Option<Ticket>, sqlx::Error> {
    let row = query(
        "SELECT account, id, event, payment, create_time FROM tickets WHERE account = $1 AND event = $2",
    )
    .bind(&account.account)
    .bind(event.to_string())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn list(
    connection: &mut PgConnection,
    account: &AccountName,
    wanted: &Page,
) -> Result<Rows<Ticket>, sqlx::Error> {
    let (before, id, max) = bounds(wanted);
    let rows = query(
        "SELECT account, id, event, payment, create_time FROM tickets WHERE account = $1 AND (create_time, id) < ($2, $3)
         ORDER BY create_time DESC, id DESC LIMIT $4",
    )
    .bind(&account.account)
    .bind(before)
    .bind(id)
    .bind(max)
    .fetch_all(connection)
    .await?;
    page(&rows, wanted, read, |ticket| Cursor {
        create_time: ticket.create_time,
        id: ticket.name.ticket.clone(),
    })
}

fn read(row: &PgRow) -> Result<Ticket, sqlx::Error> {
    let account = account(row)?.account;
    Ok(Ticket {
        name: TicketName::new(&account, text(row, "id")?).map_err(|_| malformed("id"))?,
        event: text(row, "event")?
            .parse::<EventName>()
            .map_err(|_| malformed("event"))?,
        payment: PaymentName::new(&account, text(row, "payment")?).map_err(|_| malformed("payment"))?,
        create_time: time(row, "create_time")?,
    })
}
