//! Tickets.

use marquee_proto::name::{AccountName, EventName, PaymentName, TicketName};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::row::{account, malformed, micros, page, time};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::ticket::Ticket;

pub(super) fn insert(connection: &Connection, ticket: &Ticket) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO tickets (account, id, event, payment, create_time) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            &ticket.name.account,
            &ticket.name.ticket,
            ticket.event.to_string(),
            &ticket.payment.payment,
            micros(ticket.create_time),
        ))?;
    Ok(())
}

pub(super) fn of_event(
    connection: &Connection,
    account: &AccountName,
    event: &EventName,
) -> rusqlite::Result<Option<Ticket>> {
    connection
        .prepare_cached("SELECT * FROM tickets WHERE account = ?1 AND event = ?2")?
        .query_row((&account.account, event.to_string()), read)
        .optional()
}

pub(super) fn list(
    connection: &Connection,
    account: &AccountName,
    wanted: &Page,
) -> rusqlite::Result<Rows<Ticket>> {
    page(
        connection,
        "SELECT * FROM tickets WHERE account = ?1 AND (create_time, id) < (?2, ?3)
         ORDER BY create_time DESC, id DESC LIMIT ?4",
        account,
        wanted,
        read,
        |ticket| Cursor {
            create_time: ticket.create_time,
            id: ticket.name.ticket.clone(),
        },
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Ticket> {
    let account = account(row)?.account;
    let text = |column: &str| row.get::<_, String>(column);
    Ok(Ticket {
        name: TicketName::new(&account, text("id")?).map_err(|_| malformed("id"))?,
        event: text("event")?
            .parse::<EventName>()
            .map_err(|_| malformed("event"))?,
        payment: PaymentName::new(&account, text("payment")?).map_err(|_| malformed("payment"))?,
        create_time: time(row, "create_time")?,
    })
}
