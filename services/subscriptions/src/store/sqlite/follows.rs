//! Follows.

use marquee_proto::name::{AccountName, FollowName};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::row::{account, malformed, micros, page, time};
use crate::domain::follow::Follow;
use crate::domain::page::{Cursor, Page, Rows};

/// False when the account follows the channel already.
pub(super) fn insert(connection: &Connection, follow: &Follow) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached(
            "INSERT INTO follows (account, channel, create_time) VALUES (?1, ?2, ?3)
             ON CONFLICT (account, channel) DO NOTHING",
        )?
        .execute((
            &follow.name.account,
            &follow.name.channel,
            micros(follow.create_time),
        ))?;
    Ok(rows == 1)
}

pub(super) fn get(connection: &Connection, name: &FollowName) -> rusqlite::Result<Option<Follow>> {
    connection
        .prepare_cached("SELECT * FROM follows WHERE account = ?1 AND channel = ?2")?
        .query_row((&name.account, &name.channel), read)
        .optional()
}

/// False when it is not there, or is another one that was made meanwhile.
pub(super) fn delete(connection: &Connection, follow: &Follow) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("DELETE FROM follows WHERE account = ?1 AND channel = ?2 AND create_time = ?3")?
        .execute((
            &follow.name.account,
            &follow.name.channel,
            micros(follow.create_time),
        ))?;
    Ok(rows == 1)
}

pub(super) fn list(
    connection: &Connection,
    account: &AccountName,
    wanted: &Page,
) -> rusqlite::Result<Rows<Follow>> {
    page(
        connection,
        "SELECT * FROM follows WHERE account = ?1 AND (create_time, channel) < (?2, ?3)
         ORDER BY create_time DESC, channel DESC LIMIT ?4",
        account,
        wanted,
        read,
        |follow| Cursor {
            create_time: follow.create_time,
            id: follow.name.channel.clone(),
        },
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Follow> {
    Ok(Follow {
        name: FollowName::new(account(row)?.account, row.get::<_, String>("channel")?)
            .map_err(|_| malformed("channel"))?,
        create_time: time(row, "create_time")?,
    })
}
