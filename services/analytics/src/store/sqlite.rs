//! The embedded store: one SQLite file.

mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use async_trait::async_trait;
use marquee_proto::name::{AccountName, ChannelName, EventName};
use marquee_sqlite::Database;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params, params};

use super::{Changes, Error, Flush, Heard, Partition, Position, Store, Summary, state};
use crate::domain::{Ledger, Session, SessionKey, Totals};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_playback.sql"),
    include_str!("../../migrations/sqlite/0002_catalogue.sql"),
    include_str!("../../migrations/sqlite/0003_sweep.sql"),
    include_str!("../../migrations/sqlite/0004_partitions.sql"),
];

/// The embedded store.
#[derive(Clone)]
pub struct Sqlite {
    database: Database,
}

impl Sqlite {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When the folder cannot be written, the file is damaged, of a newer version, or in use.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            database: Database::open(path, MIGRATIONS)?,
        })
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn ready(&self) -> Result<(), Error> {
        self.ledger().await.map(drop)
    }

    async fn positions(&self) -> Result<HashMap<Partition, Position>, Error> {
        self.database.read(|connection| {
            let mut rows = connection.prepare_cached(
                "SELECT topic, partition, next_offset, received_ms FROM partition_progress",
            )?;
            let read = |row: &Row<'_>| {
                let partition = Partition {
                    topic: row.get(0)?,
                    number: row.get(1)?,
                };
                let position = Position {
                    next: unsigned(row.get(2)?),
                    received_ms: row.get(3)?,
                };
                Ok((partition, position))
            };
            Ok(rows.query_map([], read)?.collect::<Result<_, _>>()?)
        })
    }

    async fn sessions(&self, keys: Vec<SessionKey>) -> Result<HashMap<SessionKey, Session>, Error> {
        self.database
            .read_blocking(move |connection| {
                let mut row = connection.prepare_cached(
                    "SELECT state FROM session WHERE viewer = ?1 AND session = ?2 AND event = ?3",
                )?;
                let mut found = HashMap::with_capacity(keys.len());
                for key in keys {
                    let state: Option<Vec<u8>> = row
                        .query_row(params![key.viewer, key.session, key.event.to_string()], |row| {
                            row.get(0)
                        })
                        .optional()?;
                    if let Some(state) = state {
                        found.insert(key, state::decode(&state)?);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn flush(&self, partition: Partition, expected: u64, next: u64, flush: Flush) -> Result<(), Error> {
        flush.check(expected, next)?;
        self.database
            .write(move |transaction| {
                advance(transaction, &partition, expected, next, &flush)?;
                put_sessions(transaction, partition.number, &flush)?;
                add_totals(transaction, partition.number, &flush)?;
                put_peaks(transaction, &flush.peaks)
            })
            .await
    }

    async fn restart(&self, partition: Partition, expected: u64) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                check_position(transaction, &partition, expected)?;
                transaction.execute(
                    "UPDATE partition_progress
                     SET earlier = earlier + next_offset - skipped, next_offset = 0, skipped = 0
                     WHERE topic = ?1 AND partition = ?2",
                    params![partition.topic, partition.number],
                )?;
                Ok(())
            })
            .await
    }

    async fn ledger(&self) -> Result<(Ledger, u64), Error> {
        self.database.read(|connection| {
            let sums = "SELECT total(counted), total(late), total(malformed), total(duplicate),
                               total(earlier + next_offset - skipped) FROM partition_progress";
            // total() answers with a float, exact up to 2^53; sum() would be NULL without rows.
            let count = |row: &Row<'_>, at| row.get::<_, f64>(at).map(|sum| sum as u64);
            Ok(connection.query_row(sums, [], |row| {
                let ledger = Ledger {
                    counted: count(row, 0)?,
                    late: count(row, 1)?,
                    malformed: count(row, 2)?,
                    duplicate: count(row, 3)?,
                };
                Ok((ledger, count(row, 4)?))
            })?)
        })
    }

    async fn heard_since(&self, received_ms: i64, most: u32) -> Result<Vec<Heard>, Error> {
        self.database
            .read_blocking(move |connection| {
                let mut rows = connection.prepare_cached(
                    "SELECT viewer, session, event, state, partition FROM session
                     WHERE last_received_ms >= ?1 ORDER BY last_received_ms DESC LIMIT ?2",
                )?;
                let mut rows = rows.query(params![received_ms, most])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let event: String = row.get(2)?;
                    let event = event.parse().map_err(|_| Error::Damaged("event name"))?;
                    found.push(Heard {
                        partition: row.get(4)?,
                        key: SessionKey {
                            viewer: row.get(0)?,
                            session: row.get(1)?,
                            event,
                        },
                        session: state::decode(&row.get::<_, Vec<u8>>(3)?)?,
                    });
                }
                Ok(found)
            })
            .await
    }

    async fn changes(&self) -> Result<Option<Changes>, Error> {
        // The file is this process' alone.
        Ok(None)
    }

    async fn sweep(&self, partitions: Vec<u32>, silent_before_ms: i64, most: u32) -> Result<usize, Error> {
        self.database
            .write(move |transaction| sweep::sweep(transaction, &partitions, silent_before_ms, most))
            .await
    }

    async fn summary(&self, event: &EventName, closed_before_ms: i64) -> Result<Summary, Error> {
        let event = event.to_string();
        self.database
            .read_blocking(move |connection| summary(connection, &event, closed_before_ms))
            .await
    }

    async fn peak(&self, event: &EventName) -> Result<u64, Error> {
        self.database
            .read(|connection| peak(connection, &event.to_string()))
    }

    async fn raise_peaks(&self, peaks: BTreeMap<EventName, u64>) -> Result<(), Error> {
        self.database
            .write(move |transaction| put_peaks(transaction, &peaks))
            .await
    }

    async fn put_channel(
        &self,
        channel: ChannelName,
        owner: AccountName,
        version_ns: i64,
    ) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                transaction.execute(
                    "INSERT INTO channel (name, owner, version_ns) VALUES (?1, ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, version_ns = excluded.version_ns
                     WHERE excluded.version_ns >= version_ns",
                    params![channel.to_string(), owner.to_string(), version_ns],
                )?;
                Ok(())
            })
            .await
    }

    async fn put_event(&self, event: EventName) -> Result<(), Error> {
        self.database
            .write(move |transaction| {
                transaction.execute(
                    "INSERT OR IGNORE INTO event (name) VALUES (?1)",
                    [event.to_string()],
                )?;
                Ok(())
            })
            .await
    }

    async fn channel_owner(&self, channel: &ChannelName) -> Result<Option<AccountName>, Error> {
        self.database.read(|connection| {
            let owner: Option<String> = connection
                .prepare_cached("SELECT owner FROM channel WHERE name = ?1")?
                .query_row([channel.to_string()], |row| row.get(0))
                .optional()?;
            owner
                .map(|owner| owner.parse().map_err(|_| Error::Damaged("account name")))
                .transpose()
        })
    }

    async fn has_event(&self, event: &EventName) -> Result<bool, Error> {
        self.database.read(|connection| {
            let known = "SELECT 1 FROM event WHERE name = ?1";
            Ok(connection.prepare_cached(known)?.exists([event.to_string()])?)
        })
    }
}

/// Moves the partition on, if it is where it is believed to be.
fn advance(
    transaction: &Transaction<'_>,
    partition: &Partition,
    expected: u64,
    next: u64,
    flush: &Flush,
) -> Result<(), Error> {
    check_position(transaction, partition, expected)?;
    // Not one upsert: SQLite would hold the table's check against the row that is only proposed.
    transaction
        .prepare_cached(
            "INSERT INTO partition_progress (topic, partition, next_offset) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING",
        )?
        .execute(params![partition.topic, partition.number])?;
    transaction
        .prepare_cached(
            "UPDATE partition_progress SET
                 next_offset = :next,
                 received_ms = coalesce(:received, received_ms),
                 skipped = skipped + :skipped,
                 counted = counted + :counted,
                 late = late + :late,
                 malformed = malformed + :malformed,
                 duplicate = duplicate + :duplicate
             WHERE topic = :topic AND partition = :partition",
        )?
        .execute(named_params! {
            ":topic": partition.topic,
            ":partition": partition.number,
            ":next": signed(next),
            ":received": flush.received_ms,
            ":skipped": signed(flush.skipped),
            ":counted": signed(flush.ledger.counted),
            ":late": signed(flush.ledger.late),
            ":malformed": signed(flush.ledger.malformed),
            ":duplicate": signed(flush.ledger.duplicate),
        })?;
    Ok(())
}

fn check_position(transaction: &Transaction<'_>, partition: &Partition, expected: u64) -> Result<(), Error> {
    let at = "SELECT next_offset FROM partition_progress WHERE topic = ?1 AND partition = ?2";
    let found: Option<i64> = transaction
        .prepare_cached(at)?
        .query_row(params![partition.topic, partition.number], |row| row.get(0))
        .optional()?;
    match found.map_or(0, unsigned) {
        found if found == expected => Ok(()),
        found => Err(Error::Conflict { expected, found }),
    }
}

fn put_sessions(transaction: &Transaction<'_>, partition: u32, flush: &Flush) -> Result<(), Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO session (viewer, session, event, last_received_ms, started, over, state, partition)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?;
    let mut update = transaction.prepare_cached(
        "UPDATE session SET last_received_ms = ?4, started = ?5, over = ?6, state = ?7, partition = ?8
         WHERE viewer = ?1 AND session = ?2 AND event = ?3",
    )?;
    for (key, session) in &flush.sessions {
        let put = if flush.known.contains(key) {
            &mut update
        } else {
            &mut insert
        };
        let progress = session.progress();
        let changed = put.execute(params![
            key.viewer,
            key.session,
            key.event.to_string(),
            session.last_received_ms,
            progress.started,
            progress.ending.is_some(),
            state::encode(session),
            partition,
        ])?;
        if changed == 0 {
            return Err(Error::Stale);
        }
    }
    Ok(())
}

fn add_totals(transaction: &Transaction<'_>, partition: u32, flush: &Flush) -> Result<(), Error> {
    let mut viewer =
        transaction.prepare_cached("INSERT OR IGNORE INTO event_viewer (event, viewer) VALUES (?1, ?2)")?;
    let mut unique: BTreeMap<&EventName, i64> = BTreeMap::new();
    for key in flush.sessions.keys() {
        let added = viewer.execute(params![key.event.to_string(), key.viewer])?;
        *unique.entry(&key.event).or_default() += i64::from(added > 0);
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO event_totals VALUES (:event, :partition, :views, :watched, :playing, :stalled, :started,
             :startups, :startup, :failures, :exits, :unique)
         ON CONFLICT (event, partition) DO UPDATE SET
             views = views + excluded.views,
             watched_ms = watched_ms + excluded.watched_ms,
             playing_ms = playing_ms + excluded.playing_ms,
             stalled_ms = stalled_ms + excluded.stalled_ms,
             started = started + excluded.started,
             startups = startups + excluded.startups,
             startup_ms = startup_ms + excluded.startup_ms,
             start_failures = start_failures + excluded.start_failures,
             exits_before_start = exits_before_start + excluded.exits_before_start,
             unique_viewers = unique_viewers + excluded.unique_viewers",
    )?;
    for (event, totals) in &flush.totals {
        add.execute(named_params! {
            ":event": event.to_string(),
            ":partition": partition,
            ":views": totals.views,
            ":watched": totals.watched_ms,
            ":playing": totals.playing_ms,
            ":stalled": totals.stalled_ms,
            ":started": totals.started,
            ":startups": totals.startups,
            ":startup": totals.startup_ms,
            ":failures": totals.start_failures,
            ":exits": totals.exits_before_start,
            ":unique": unique.get(event).copied().unwrap_or_default(),
        })?;
    }
    Ok(())
}

fn put_peaks(transaction: &Transaction<'_>, peaks: &BTreeMap<EventName, u64>) -> Result<(), Error> {
    let mut raise = transaction.prepare_cached(
        "INSERT INTO event_peak (event, peak) VALUES (?1, ?2)
         ON CONFLICT (event) DO UPDATE SET peak = excluded.peak WHERE excluded.peak > peak",
    )?;
    for (event, peak) in peaks {
        raise.execute(params![event.to_string(), signed(*peak)])?;
    }
    Ok(())
}

fn summary(connection: &Connection, event: &str, closed_before_ms: i64) -> Result<Summary, Error> {
    let sums = "SELECT coalesce(sum(views), 0), coalesce(sum(watched_ms), 0), coalesce(sum(playing_ms), 0),
                       coalesce(sum(stalled_ms), 0), coalesce(sum(started), 0), coalesce(sum(startups), 0),
                       coalesce(sum(startup_ms), 0), coalesce(sum(start_failures), 0),
                       coalesce(sum(exits_before_start), 0), coalesce(sum(unique_viewers), 0)
                FROM event_totals WHERE event = ?1";
    let (mut totals, unique_viewers) = connection.prepare_cached(sums)?.query_row([event], |row| {
        let totals = Totals {
            views: row.get(0)?,
            watched_ms: row.get(1)?,
            playing_ms: row.get(2)?,
            stalled_ms: row.get(3)?,
            started: row.get(4)?,
            startups: row.get(5)?,
            startup_ms: row.get(6)?,
            start_failures: row.get(7)?,
            exits_before_start: row.get(8)?,
        };
        Ok((totals, unsigned(row.get(9)?)))
    })?;
    let silent = "SELECT count(*) FROM session
                  WHERE event = ?1 AND over = 0 AND started = 0 AND last_received_ms < ?2";
    let silent: i64 = connection
        .prepare_cached(silent)?
        .query_row(params![event, closed_before_ms], |row| row.get(0))?;
    totals.exits_before_start += silent;
    Ok(Summary {
        totals,
        unique_viewers,
        peak: peak(connection, event)?,
    })
}

fn peak(connection: &Connection, event: &str) -> Result<u64, Error> {
    let peak: Option<i64> = connection
        .prepare_cached("SELECT peak FROM event_peak WHERE event = ?1")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    Ok(peak.map_or(0, unsigned))
}

/// SQLite's integers have a sign; offsets and counts stay far below the difference.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::store::suite::{Fixture, suite};

    struct Folder(tempfile::TempDir);

    impl Fixture for Folder {
        type Store = Sqlite;

        async fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn place(&self) -> String {
            self.0.path().join("analytics.db").to_str().unwrap().to_owned()
        }

        async fn open(place: &str) -> Sqlite {
            Sqlite::open(Path::new(place)).unwrap()
        }
    }

    suite!(Folder);
}
