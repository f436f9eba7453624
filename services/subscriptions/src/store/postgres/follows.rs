//! Follows.

use marquee_proto::name::{AccountName, FollowName};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::query;

use super::row::{account, bounds, malformed, micros, page, text, time};
use crate::domain::follow::Follow;
use crate::domain::page::{Cursor, Page, Rows};

/// False when the account follows the channel already.
pub(super) async fn insert(connection: &mut PgConnection, follow: &Follow) -> Result<bool, sqlx::Error> {
    let done = query(
        "INSERT INTO follows (account, channel, create_time) VALUES ($1, $2, $3)
         ON CONFLICT (account, channel) DO NOTHING",
    )
    .bind(&follow.name.account)
    .bind(&follow.name.channel)
    .bind(micros(follow.create_time))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn get(
    connection: &mut PgConnection,
    name: &FollowName,
) -> Result<Option<Follow>, sqlx::Error> {
    let row = query("SELECT account, channel, create_time FROM follows WHERE account = $1 AND channel = $2")
        .bind(&name.account)
        .bind(&name.channel)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

/// False when it is not there, or is another one that was made meanwhile.
pub(super) async fn delete(connection: &mut PgConnection, follow: &Follow) -> Result<bool, sqlx::Error> {
    let done = query("DELETE FROM follows WHERE account = $1 AND channel = $2 AND create_time = $3")
        .bind(&follow.name.account)
        .bind(&follow.name.channel)
        .bind(micros(follow.create_time))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn list(
    connection: &mut PgConnection,
    account: &AccountName,
    wanted: &Page,
) -> Result<Rows<Follow>, sqlx::Error> {
    let (before, channel, max) = bounds(wanted);
    let rows = query(
        "SELECT account, channel, create_time FROM follows WHERE account = $1 AND (create_time, channel) < ($2, $3)
         ORDER BY create_time DESC, channel DESC LIMIT $4",
    )
    .bind(&account.account)
    .bind(before)
    .bind(channel)
    .bind(max)
    .fetch_all(connection)
    .await?;
    page(&rows, wanted, read, |follow| Cursor {
        create_time: follow.create_time,
        id: follow.name.channel.clone(),
    })
}

fn read(row: &PgRow) -> Result<Follow, sqlx::Error> {
    Ok(Follow {
        name: FollowName::new(account(row)?.account, text(row, "channel")?)
            .map_err(|_| malformed("channel"))?,
        create_time: time(row, "create_time")?,
    })
}
