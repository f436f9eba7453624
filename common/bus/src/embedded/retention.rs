//! Removing what is too old or too much, oldest first.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::group::PartitionId;
use super::log::{Log, Shared, offset_of, place, signed};
use crate::Error;

/// Rows that one write removes of a partition at most, so that publishers wait for it but shortly.
const MAX_ROWS: usize = 128;

/// What is to go, of one partition.
#[derive(Clone, Copy)]
struct Limit {
    partition: PartitionId,
    oldest_ms: i64,
    bytes: u64,
}

struct Removed {
    partition: PartitionId,
    start: u64,
    bytes: u64,
    more: bool,
}

/// Removes some; true when there is more to remove.
pub(super) async fn sweep(log: &Arc<Log>, now: Timestamp) -> Result<bool, Error> {
    let limits = limits(log, now);
    let removed = log.database.write(move |tx| remove(tx, &limits)).await?;
    Ok(take_over(&log.shared, removed))
}

/// Queues one round without waiting for it.
pub(super) async fn queue(log: &Arc<Log>, now: Timestamp) {
    let limits = limits(log, now);
    let shared = log.shared.clone();
    if let Ok(permit) = log.database.reserve().await {
        permit.send(
            move |tx| remove(tx, &limits),
            move |removed: Result<_, Error>| match removed {
                Ok(removed) => drop(take_over(&shared, removed)),
                Err(error) => tracing::warn!(%error, "cannot remove old batches"),
            },
        );
    }
}

fn limits(log: &Log, now: Timestamp) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (partitions, retention) in log.retentions() {
        let oldest = now
            .as_millisecond()
            .saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        limits.extend(partitions.iter().map(|partition| Limit {
            partition: *partition,
            oldest_ms: oldest,
            bytes: log.shared.options.partition_bytes,
        }));
    }
    limits
}

fn remove(tx: &Transaction<'_>, limits: &[Limit]) -> Result<Vec<Removed>, Error> {
    let mut removed = Vec::new();
    for limit in limits {
        removed.extend(remove_from(tx, *limit)?);
    }
    Ok(removed)
}

fn remove_from(tx: &Transaction<'_>, limit: Limit) -> Result<Option<Removed>, Error> {
    let Limit {
        partition,
        oldest_ms,
        bytes: limit,
    } = limit;
    let kept: i64 = tx
        .prepare_cached("SELECT bytes FROM partitions WHERE id = ?")?
        .query_row([partition], |row| row.get(0))?;
    let excess = kept.unsigned_abs().saturating_sub(limit);
    let mut oldest = tx.prepare_cached(
        "SELECT place, records, appended_ms, length(blob) FROM batches WHERE place BETWEEN ? AND ? ORDER BY place",
    )?;
    let mut rows = oldest.query(params![place(partition, 0), place(partition, u64::MAX)])?;
    let (mut start, mut bytes, mut count) = (None, 0, 0);
    while count < MAX_ROWS
        && let Some(row) = rows.next()?
    {
        if row.get::<_, i64>(2)? >= oldest_ms && bytes >= excess {
            break;
        }
        start = Some(offset_of(row.get(0)?) + row.get::<_, i64>(1)?.unsigned_abs());
        bytes += row.get::<_, i64>(3)?.unsigned_abs();
        count += 1;
    }
    drop(rows);
    let Some(start) = start else { return Ok(None) };
    tx.prepare_cached("DELETE FROM batches WHERE place >= ? AND place < ?")?
        .execute(params![place(partition, 0), place(partition, start)])?;
    tx.prepare_cached("UPDATE partitions SET start = ?, bytes = bytes - ? WHERE id = ?")?
        .execute(params![signed(start), signed(bytes), partition])?;
    Ok(Some(Removed {
        partition,
        start,
        bytes,
        more: count == MAX_ROWS,
    }))
}

fn take_over(shared: &Shared, removed: Vec<Removed>) -> bool {
    let mut state = shared.state.lock();
    let mut more = false;
    for Removed {
        partition,
        start,
        bytes,
        more: of_this,
    } in removed
    {
        state.removed(partition, start, bytes);
        more |= of_this;
    }
    more
}
