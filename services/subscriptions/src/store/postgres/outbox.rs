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
//! **One relay.** Only the holder of the lease reads anything. The lease is good for some seconds by the server's clock;
//! the holder counts from before it asked, so that it stops before anybody else may begin. A holder that stands still in
//! the middle of publishing and comes back after its lease has ended may send messages again, which consumers dedupe by
//! their ids.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use marquee_bus::outbox::{Outbox, decode, encode};
use marquee_bus::{Error, Outgoing};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Row as _, query};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connections::Connections;
use super::transaction::read;
use super::untraced;
use crate::store;

/// How many keys' clocks there are. Processes of all versions must agree on it.
const SLOTS: u64 = 1024;

/// How long a lease is good for.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// So much earlier its holder stops, for clocks that do not run at the same speed.
const MARGIN: Duration = Duration::from_millis(500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often others ask for it.
const ASK: Duration = Duration::from_millis(500);
/// How often the table is looked at for commits of other processes.
const POLL: Duration = Duration::from_millis(200);
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
pub(super) struct PostgresOutbox {
    connections: Arc<Connections>,
    /// Counts the commits of this process that added messages.
    committed: watch::Sender<u64>,
    /// Names this process, or rather this one life of it.
    holder: String,
    lease: Mutex<Lease>,
    read: Mutex<Read>,
}

#[derive(Clone, Copy)]
struct Lease {
    /// Until when it is ours, if it is.
    until: Option<Instant>,
    /// When to ask again after it was refused.
    ask: Instant,
}

/// What was read last.
struct Read {
    /// The commits that had been counted before.
    seen: u64,
    /// The number of its last message.
    last: i64,
    /// Numbers and ids, in order.
    ids: Vec<(i64, String)>,
}

impl PostgresOutbox {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self {
            connections,
            committed: watch::Sender::new(0),
            holder: uuid::Uuid::new_v4().to_string(),
            lease: Mutex::new(Lease {
                until: None,
                ask: Instant::now(),
            }),
            read: Mutex::new(Read {
                seen: 0,
                last: 0,
                ids: Vec::new(),
            }),
        }
    }

    /// Messages were committed.
    pub(super) fn wake(&self) {
        self.committed.send_modify(|commits| *commits += 1);
    }

    /// True when this process is the one that publishes.
    async fn held(&self) -> Result<bool, store::Error> {
        let Lease { until, ask } = *self.lease.lock();
        let now = Instant::now();
        if until.is_some_and(|until| until > now) {
            return Ok(true);
        }
        if until.is_none() && ask > now {
            return Ok(false);
        }
        self.take().await
    }

    /// Takes or renews the lease; false when it is somebody else's.
    async fn take(&self) -> Result<bool, store::Error> {
        let begun = Instant::now();
        let lease = i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX);
        let taken = read!(self.connections, untraced("take_lease", "leases"), |connection| {
            query(
                "INSERT INTO leases (name, holder, expire_time)
                 VALUES ('outbox', $1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) + $2)
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expire_time = excluded.expire_time
                 WHERE leases.holder = excluded.holder OR leases.expire_time + $2 <= excluded.expire_time
                 RETURNING holder",
            )
            .bind(&self.holder)
            .bind(lease)
            .fetch_optional(connection)
            .await
        })?
        .is_some();
        let mut known = self.lease.lock();
        known.until = taken.then(|| begun + LEASE - MARGIN);
        known.ask = begun + ASK;
        Ok(taken)
    }
}

fn unavailable(error: &store::Error) -> Error {
    Error::Unavailable(store::chain(error))
}

#[async_trait]
impl Outbox for PostgresOutbox {
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, Error> {
        let seen = *self.committed.borrow();
        let rows = if self.held().await.map_err(|error| unavailable(&error))? {
            read!(
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
            )
            .map_err(|error| unavailable(&error))?
        } else {
            Vec::new()
        };
        let mut read = self.read.lock();
        read.seen = seen;
        read.ids.clear();
        let mut pending = Vec::with_capacity(rows.len());
        for (id, topic, message) in rows {
            let place = read.last + 1;
            let Some(message) = decode(Bytes::from(message)) else {
                let offset = u64::try_from(place).unwrap_or_default();
                return Err(Error::Damaged {
                    topic,
                    partition: 0,
                    offset,
                });
            };
            read.last = place;
            read.ids.push((place, id));
            pending.push((
                place,
                Outgoing {
                    topic: Cow::Owned(topic),
                    message,
                },
            ));
        }
        Ok(pending)
    }

    async fn published(&self, up_to: i64) -> Result<(), Error> {
        let ids: Vec<String> = {
            let read = self.read.lock();
            let published = read.ids.iter().take_while(|(place, _)| *place <= up_to);
            published.map(|(_, id)| id.clone()).collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        read!(
            self.connections,
            untraced("forget_published", "outbox"),
            |connection| {
                query("DELETE FROM outbox WHERE id = ANY ($1)")
                    .bind(&ids)
                    .execute(connection)
                    .await
            }
        )
        .map(drop)
        .map_err(|error| unavailable(&error))
    }

    async fn wait(&self) {
        let seen = self.read.lock().seen;
        let mut committed = self.committed.subscribe();
        drop(timeout(POLL, committed.wait_for(|commits| *commits != seen)).await);
    }

    async fn hold(&self) {
        loop {
            sleep(RENEW).await;
            let held = self.lease.lock().until.is_some();
            if held && let Err(error) = self.take().await {
                tracing::debug!(
                    error = store::chain(&error),
                    "cannot renew the lease of the outbox"
                );
            }
        }
    }

    async fn release(&self) {
        if self.lease.lock().until.take().is_none() {
            return;
        }
        let released = read!(
            self.connections,
            untraced("release_lease", "leases"),
            |connection| {
                query("DELETE FROM leases WHERE name = 'outbox' AND holder = $1")
                    .bind(&self.holder)
                    .execute(connection)
                    .await
            }
        );
        if let Err(error) = released {
            tracing::debug!(
                error = store::chain(&error),
                "cannot release the lease of the outbox: it will expire"
            );
        }
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
        let count = count.map_err(|error| unavailable(&error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn name(&self) -> &str {
        "subscriptions"
    }
}

#[cfg(test)]
mod tests {
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
