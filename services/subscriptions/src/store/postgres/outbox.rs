//! The outbox in tables that several processes share.
//!
//! **Order.** Per key the order of the places is the order of the commits, without a sequence (whose numbers are drawn
//! before the commit, so that a smaller one can be committed later):
//!
//! 1. Whoever adds a message of key *k* first writes the clock row of *k*'s slot and takes its new value as the place.
//! 2. A written row is locked until its transaction ends. Of two transactions that add messages of *k* the second one
//!    therefore writes the clock after the first one has committed, or is aborted and done again after it (40001).
//! 3. The clock only grows (`greatest(place + 1, ...)`), so what commits later has the larger place.
//!
//! It also follows that a place of *k* that can be read has no smaller one that is yet to come, so that `pending`, which
//! reads in the order of places, never overtakes a message of the same key. Between keys nothing is promised: a message
//! may be committed with a smaller place than one that was read already. So what was published is forgotten by ids, and
//! the places that the relay sees are numbers of our own for what was read last.
//!
//! **One relay.** The lease ([`leased`](marquee_bus::outbox::leased)) is a row that says until when, by the server's clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use marquee_bus::outbox::leased::{Leased, Rows};
use marquee_bus::outbox::{decode, encode};
use marquee_bus::{Error, Outgoing};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Row as _, query};
use tokio::sync::watch;

use super::connections::Connections;
use super::transaction::read;
use super::untraced;
use crate::store;

/// How many keys' clocks there are. Processes of all versions must agree on it.
const SLOTS: u64 = 1024;

/// More than so many messages are not counted.
const MAX_DEPTH: i64 = 100_000;

/// Adds messages to the transaction: they are published if and only if it commits.
pub(super) async fn add(connection: &mut PgConnection, events: &[Outgoing]) -> Result<(), sqlx::Error> {
    for event in events {
        // What no bus would take would keep everything behind it waiting for ever.
        event
            .check()
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        query(
            "WITH clock AS (
                 INSERT INTO outbox_clocks (slot, place)
                 VALUES ($1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT))
                 ON CONFLICT (slot) DO UPDATE SET place = greatest(outbox_clocks.place + 1, excluded.place)
                 RETURNING place
             )
             INSERT INTO outbox (id, place, topic, message) SELECT $2, clock.place, $3, $4 FROM clock",
        )
        .bind(slot(event))
        .bind(&event.message.id)
        .bind(&*event.topic)
        .bind(encode(&event.message))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Which clock gives a message its place.
fn slot(event: &Outgoing) -> i64 {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(event.topic.as_bytes())
        .chain_update([0])
        .chain_update(event.message.key.as_bytes())
        .finalize()
        .into();
    let number = digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    i64::try_from(number % SLOTS).unwrap_or(0)
}

/// The outbox of one database, as one process sees it.
pub(super) type PostgresOutbox = Leased<PostgresRows>;

pub(super) fn open(connections: Arc<Connections>) -> PostgresOutbox {
    Leased::new(PostgresRows { connections }, watch::Sender::new(0))
}

pub(super) struct PostgresRows {
    connections: Arc<Connections>,
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: store::Error) -> Error {
    Error::Unavailable(store::chain(&error))
}

#[async_trait]
impl Rows for PostgresRows {
    type Id = String;

    async fn take(&self, holder: &str, lease: Duration) -> Result<bool, Error> {
        let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
        let taken = read!(self.connections, untraced("take_lease", "leases"), |connection| {
            query(
                "INSERT INTO leases (name, holder, expire_time)
                 VALUES ('outbox', $1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) + $2)
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expire_time = excluded.expire_time
                 WHERE leases.holder = excluded.holder OR leases.expire_time + $2 <= excluded.expire_time
                 RETURNING holder",
            )
            .bind(holder)
            .bind(lease)
            .fetch_optional(connection)
            .await
        });
        Ok(taken.map_err(unavailable)?.is_some())
    }

    async fn read(&self, limit: usize) -> Result<Vec<(String, Outgoing)>, Error> {
        let rows = read!(
            self.connections,
            untraced("read_outbox", "outbox"),
            |connection| {
                query("SELECT id, topic, message FROM outbox ORDER BY place, id LIMIT $1")
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(|row| Ok((row.try_get("id")?, row.try_get("topic")?, row.try_get("message")?)))
                    .collect::<Result<Vec<(String, String, Vec<u8>)>, sqlx::Error>>()
            }
        );
        let message = |(id, topic, message): (String, String, Vec<u8>)| {
            let Some(message) = decode(Bytes::from(message)) else {
                return Err(Error::Damaged {
                    topic,
                    partition: 0,
                    offset: 0,
                });
            };
            let topic = topic.into();
            Ok((id, Outgoing { topic, message }))
        };
        rows.map_err(unavailable)?.into_iter().map(message).collect()
    }

    async fn forget(&self, ids: &[String]) -> Result<(), Error> {
        read!(
            self.connections,
            untraced("forget_published", "outbox"),
            |connection| {
                query("DELETE FROM outbox WHERE id = ANY ($1)")
                    .bind(ids)
                    .execute(connection)
                    .await
            }
        )
        .map(drop)
        .map_err(unavailable)
    }

    async fn release(&self, holder: &str) -> Result<(), Error> {
        read!(
            self.connections,
            untraced("release_lease", "leases"),
            |connection| {
                query("DELETE FROM leases WHERE name = 'outbox' AND holder = $1")
                    .bind(holder)
                    .execute(connection)
                    .await
            }
        )
        .map(drop)
        .map_err(unavailable)
    }

    async fn depth(&self) -> Result<u64, Error> {
        let count = read!(
            self.connections,
            untraced("count_outbox", "outbox"),
            |connection| {
                let row =
                    query("SELECT count(*) AS messages FROM (SELECT id FROM outbox LIMIT $1) AS counted")
                        .bind(MAX_DEPTH)
                        .fetch_one(connection)
                        .await?;
                row.try_get::<i64, _>("messages")
            }
        );
        let count = count.map_err(unavailable)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn name(&self) -> &str {
        "subscriptions"
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use marquee_bus::Message;

    fn of(topic: &'static str, key: &str) -> Outgoing {
        Outgoing {
            topic: Cow::Borrowed(topic),
            message: Message {
                key: key.to_owned(),
                ..Message::default()
            },
        }
    }

    #[test]
    fn a_key_has_the_same_slot_in_every_version() {
        assert_eq!(slot(&of("t", "k")), 227);
    }

    #[test]
    fn keys_spread_over_the_slots() {
        let slots: std::collections::HashSet<i64> =
            (0..1000).map(|n| slot(&of("topic", &n.to_string()))).collect();
        assert!(slots.len() > 500, "{}", slots.len());
        assert!(slots.iter().all(|slot| (0..1024).contains(slot)));
    }
}
