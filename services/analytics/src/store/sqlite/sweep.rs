//! Letting go of sessions that are over for good.

use rusqlite::{Transaction, params};

use super::super::Error;

/// Lets go of `most` sessions that nothing was heard of since; returns how many there were.
pub(super) fn sweep(
    transaction: &Transaction<'_>,
    partitions: &[u32],
    silent_before_ms: i64,
    most: u32,
) -> Result<usize, Error> {
    let mut rows = transaction.prepare_cached(
        "SELECT viewer, session, event, over = 0 AND started = 0 FROM session
         WHERE last_received_ms < ?1 AND partition IN (SELECT value FROM json_each(?3))
         ORDER BY last_received_ms LIMIT ?2",
    )?;
    let partitions = serde_json::json!(partitions).to_string();
    let silent: Vec<(String, String, String, bool)> = rows
        .query_map(params![silent_before_ms, most, partitions], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    // Sums are per partition only so that batches do not meet; any row of the event will do.
    let mut exit = transaction.prepare_cached(
        "UPDATE event_totals SET exits_before_start = exits_before_start + 1
         WHERE event = ?1 AND partition = (SELECT min(partition) FROM event_totals WHERE event = ?1)",
    )?;
    let mut delete = transaction
        .prepare_cached("DELETE FROM session WHERE viewer = ?1 AND session = ?2 AND event = ?3")?;
    for (viewer, session, event, left_before_start) in &silent {
        if *left_before_start {
            exit.execute([event])?;
        }
        delete.execute([viewer, session, event])?;
    }
    Ok(silent.len())
}
