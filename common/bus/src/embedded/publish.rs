//! Appending: what concurrent publishers bring is written together, one row per partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Transaction, params};
use tokio::sync::oneshot;

use super::codec;
use super::group::PartitionId;
use super::log::{Batch, Log, Shared, place, signed};
use super::retention;
use crate::{Error, Outgoing};

/// What publishers have brought and the writer thread has not taken yet.
#[derive(Default)]
pub(super) struct Pending {
    pieces: Vec<Piece>,
    /// A write that will take the pieces is queued.
    queued: bool,
}

/// One publisher's messages.
struct Piece {
    parts: Vec<Part>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<(), Error>>;

/// Whom a write answers; none while it has not taken what is pending.
type Answers = Mutex<Option<Vec<Answer>>>;

/// Those of one partition, encoded.
struct Part {
    partition: PartitionId,
    records: u64,
    blob: Vec<u8>,
}

/// A blob grows no larger than this by joining publishers, so that reading one record never reads much more.
const MAX_BLOB: usize = 512 << 10;

/// How often publishing looks for what can be removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

pub(super) async fn publish(log: &Arc<Log>, messages: Vec<Outgoing>) -> Result<(), Error> {
    if messages.is_empty() {
        return Ok(());
    }
    let parts = encode(log, &messages)?;
    drop(messages);
    let bytes = parts.iter().map(|part| part.blob.len()).sum::<usize>();
    // Held until the answer: what waits to be written is bounded in bytes, however many publish.
    let room = u32::try_from(bytes.min(super::log::MAX_PENDING_BYTES)).unwrap_or(u32::MAX);
    let _room = log
        .room
        .acquire_many(room)
        .await
        .map_err(|_| Error::Unavailable("closed".to_owned()))?;
    let (answer, answered) = oneshot::channel();
    let place_in_queue = log.database.reserve().await?;
    {
        let mut pending = log.shared.pending.lock();
        pending.pieces.push(Piece { parts, answer });
        if !pending.queued {
            pending.queued = true;
            let answers = Arc::new(Answers::default());
            let (run, done, done_answers) = (log.shared.clone(), log.shared.clone(), answers.clone());
            place_in_queue.send(
                move |tx| append(tx, &run, &answers),
                move |result| finish(&done, result, &done_answers),
            );
        }
    }
    let result = answered
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("closed".to_owned())));
    sweep_now_and_then(log).await;
    result
}

fn encode(log: &Log, messages: &[Outgoing]) -> Result<Vec<Part>, Error> {
    let mut parts: Vec<Part> = Vec::new();
    let mut topic = log.topic(messages.first().map_or("", |message| &message.topic))?;
    for outgoing in messages {
        let Outgoing { topic: name, message } = outgoing;
        if *topic.name != **name {
            topic = log.topic(name)?;
        }
        outgoing.check_within(log.shared.options.message_bytes)?;
        let size = message.size();
        let partition = topic.partitions[(hash(&message.key) % topic.partitions.len() as u64) as usize];
        let known = parts.iter().rposition(|part| part.partition == partition);
        let part = match known {
            Some(at) if parts[at].blob.len() + size <= MAX_BLOB => &mut parts[at],
            _ => {
                parts.push(Part {
                    partition,
                    records: 0,
                    blob: Vec::with_capacity(size + 8),
                });
                let last = parts.len() - 1;
                &mut parts[last]
            }
        };
        codec::push_record(message, &mut part.blob);
        part.records += 1;
    }
    Ok(parts)
}

/// FNV-1a with a final mix: the partition of a key never changes, so this must not either.
fn hash(key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// On the writer thread: writes everything that is pending.
fn append(
    tx: &Transaction<'_>,
    shared: &Shared,
    answers: &Answers,
) -> Result<Vec<(PartitionId, Batch)>, Error> {
    let (asked, pieces): (Vec<_>, Vec<_>) = take_pending(shared)
        .into_iter()
        .map(|piece| (piece.answer, piece.parts))
        .unzip();
    *answers.lock() = Some(asked);
    let mut parts: BTreeMap<PartitionId, Vec<Part>> = BTreeMap::new();
    for piece in pieces {
        for part in piece {
            let of_partition = parts.entry(part.partition).or_default();
            match of_partition.last_mut() {
                Some(last) if last.blob.len() + part.blob.len() <= MAX_BLOB => {
                    last.blob.extend_from_slice(&part.blob);
                    last.records += part.records;
                }
                _ => of_partition.push(part),
            }
        }
    }
    let now = Timestamp::now().as_millisecond();
    let mut advance = tx.prepare_cached(
        "UPDATE partitions SET next = next + ?, bytes = bytes + ? WHERE id = ? RETURNING next",
    )?;
    let mut insert =
        tx.prepare_cached("INSERT INTO batches(place, records, appended_ms, blob) VALUES (?, ?, ?, ?)")?;
    let mut appended = Vec::new();
    for mut part in parts.into_values().flatten() {
        let Part {
            partition, records, ..
        } = part;
        let next: i64 = advance.query_row(
            params![signed(records), signed(part.blob.len() as u64), partition],
            |row| row.get(0),
        )?;
        let base = next.unsigned_abs() - records;
        insert.execute(params![place(partition, base), signed(records), now, part.blob])?;
        part.blob.shrink_to_fit();
        appended.push((
            partition,
            Batch {
                base,
                records,
                blob: part.blob.into(),
            },
        ));
    }
    Ok(appended)
}

fn take_pending(shared: &Shared) -> Vec<Piece> {
    let mut pending = shared.pending.lock();
    pending.queued = false;
    std::mem::take(&mut pending.pieces)
}

/// On the writer thread, after the commit, in the order of commits.
fn finish(shared: &Shared, result: Result<Vec<(PartitionId, Batch)>, Error>, answers: &Answers) {
    // A group that could not even begin has taken nothing: whoever is pending waits for this write and no other.
    let answers = answers.lock().take().unwrap_or_else(|| {
        take_pending(shared)
            .into_iter()
            .map(|piece| piece.answer)
            .collect()
    });
    match result {
        Ok(appended) => {
            {
                let mut state = shared.state.lock();
                for (partition, batch) in appended {
                    state.append(partition, batch, shared.options.tail_bytes);
                }
            }
            for answer in answers {
                // Whoever went away meanwhile has published all the same.
                drop(answer.send(Ok(())));
            }
        }
        Err(error) => {
            let text = error.to_string();
            let mut first = Some(error);
            for answer in answers {
                let error = first.take().unwrap_or_else(|| Error::Unavailable(text.clone()));
                drop(answer.send(Err(error)));
            }
        }
    }
}

async fn sweep_now_and_then(log: &Arc<Log>) {
    {
        let mut swept = log.swept.lock();
        if swept.elapsed() < SWEEP_EVERY {
            return;
        }
        *swept = Instant::now();
    }
    retention::queue(log, Timestamp::now()).await;
}
