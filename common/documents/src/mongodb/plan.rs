//! Transactions as commands: several together where they do not touch each other.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use marquee_bus::Outgoing;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, Timestamp, doc};

use super::{json, schema};
use crate::request::Key;
use crate::transaction::{Row, Write};
use crate::{Error, Etag, Transaction};

/// What messages of one key have in common; see [`lane`].
const LANES: u64 = 1 << 16;

/// One write, ready to be sent.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Insert {
        collection: &'static str,
        document: Document,
    },
    /// With the etag that must fit.
    Replace {
        collection: &'static str,
        document: Document,
        etag: Etag,
    },
    Put {
        collection: &'static str,
        document: Document,
    },
    Delete {
        collection: &'static str,
        id: String,
        etag: Option<Etag>,
    },
    Increment {
        counter: String,
        delta: i64,
    },
    Publish {
        lane: i32,
        row: Document,
    },
    Remember {
        document: Document,
    },
}

/// A transaction, ready to be sent any number of times.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) ops: Vec<Op>,
    pub(super) etags: Vec<Etag>,
    pub(super) touches: Vec<Touch>,
    /// Whether its writes may be sent in another order than they were made: no document twice.
    pub(super) reorderable: bool,
    /// Whether it needs no transaction of the server, being a single write of a document.
    pub(super) single: bool,
    pub(super) publishes: bool,
}

/// What a transaction writes, hashed: two that have one in common meet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) hash: u64,
    /// Whether transactions of one group may have it in common: additions to a counter, messages of a lane.
    pub(super) shared: bool,
}

impl Touch {
    fn of(value: impl Hash, shared: bool) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self {
            hash: HASHER.hash_one(value),
            shared,
        }
    }
}

impl Prepared {
    pub(super) fn of(transaction: Transaction) -> Result<Self, Error> {
        let mut prepared = Self {
            ops: Vec::with_capacity(transaction.writes.len()),
            etags: Vec::new(),
            touches: Vec::with_capacity(transaction.writes.len()),
            reorderable: true,
            single: false,
            publishes: false,
        };
        for write in transaction.writes {
            prepared.add(write)?;
        }
        prepared.single = matches!(
            prepared.ops.as_slice(),
            [Op::Insert { .. } | Op::Replace { .. } | Op::Put { .. } | Op::Delete { .. }]
        );
        Ok(prepared)
    }

    fn add(&mut self, write: Write) -> Result<(), Error> {
        let (op, touch) = match write {
            Write::Insert(row) => {
                let (collection, document, touch) = self.row(row)?;
                (Op::Insert { collection, document }, touch)
            }
            Write::Replace(row, etag) => {
                let (collection, document, touch) = self.row(row)?;
                let replace = Op::Replace {
                    collection,
                    document,
                    etag,
                };
                (replace, touch)
            }
            Write::Put(row) => {
                let (collection, document, touch) = self.row(row)?;
                (Op::Put { collection, document }, touch)
            }
            Write::Delete { collection, id, etag } => {
                let touch = Touch::of((collection, &id), false);
                (Op::Delete { collection, id, etag }, touch)
            }
            Write::Increment { counter, delta } => {
                let touch = Touch::of((schema::COUNTERS, &counter), true);
                (Op::Increment { counter, delta }, touch)
            }
            Write::Publish(message) => {
                let lane = lane(&message.message.key);
                let row = outbox_row(&message);
                self.publishes = true;
                (Op::Publish { lane, row }, Touch::of((schema::LANES, lane), true))
            }
            Write::Remember { key, response } => {
                let touch = Touch::of((&key.caller, &key.rpc, &key.request_id), false);
                let document = request(&key, response);
                (Op::Remember { document }, touch)
            }
        };
        self.reorderable &= touch.shared || self.touches.iter().all(|other| other.hash != touch.hash);
        self.touches.push(touch);
        self.ops.push(op);
        Ok(())
    }

    fn row(&mut self, row: Row) -> Result<(&'static str, Document, Touch), Error> {
        let body: serde_json::Value = serde_json::from_str(&row.body).map_err(Error::other)?;
        let touch = Touch::of((row.collection, &row.id), false);
        let document = doc! { "_id": row.id, "etag": row.etag.as_str(), "body": json::to_bson(body)? };
        self.etags.push(row.etag);
        Ok((row.collection, document, touch))
    }
}

/// Messages of one key have one lane, others mostly not. A transaction that publishes writes its lanes, so that of two
/// that publish the same key one waits for the other's end: see `outbox.rs` for what follows from that.
fn lane(key: &str) -> i32 {
    // FNV-1a: every process must come to the same, of whatever version.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i32::try_from((hash ^ (hash >> 32)) % LANES).unwrap_or_default()
}

fn binary(bytes: Vec<u8>) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    })
}

/// The message as it waits. `at` is filled in by the server: it puts its cluster time where it finds zero.
fn outbox_row(outgoing: &Outgoing) -> Document {
    let message = &outgoing.message;
    let attributes: Vec<Bson> = message
        .attributes
        .iter()
        .map(|(name, value)| Bson::from(vec![name.clone(), value.clone()]))
        .collect();
    doc! {
        "_id": ObjectId::new(),
        "at": Timestamp { time: 0, increment: 0 },
        "topic": &*outgoing.topic,
        "id": &message.id,
        "key": &message.key,
        "type": &message.event_type,
        "source": &message.source,
        "time": message.time.to_string(),
        "traceparent": message.traceparent.clone(),
        "attributes": attributes,
        "value": binary(message.value.to_vec()),
    }
}

/// The id of a request's row.
pub(super) fn request_id(key: &Key) -> Document {
    doc! { "caller": &key.caller, "rpc": &key.rpc, "request_id": &key.request_id }
}

fn request(key: &Key, response: Vec<u8>) -> Document {
    doc! {
        "_id": request_id(key),
        "body": binary(key.body.to_vec()),
        "response": binary(response),
        "made": DateTime::now(),
    }
}

/// A command of a transaction; each of its items belongs to one of the transactions that are committed together.
#[derive(Debug)]
pub(super) enum Step {
    Delete {
        collection: &'static str,
        items: Vec<(usize, Document)>,
    },
    Update {
        collection: &'static str,
        items: Vec<(usize, Document)>,
    },
    Insert {
        collection: &'static str,
        items: Vec<(usize, Document)>,
    },
    /// Adds, and reads what came of it.
    Count { items: Vec<(usize, String, i64)> },
}

/// The commands for these transactions, in their order.
///
/// Deletions come before updates, and those before insertions, whatever the order in the transactions: since no
/// document is written twice, that can only free values of unique indexes earlier, never take them earlier.
pub(super) fn together(group: &[&Prepared]) -> Vec<Step> {
    let mut lanes = Vec::new();
    let (mut deletes, mut updates, mut inserts) =
        (Batches::default(), Batches::default(), Batches::default());
    let (mut counts, mut requests, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (member, prepared) in group.iter().enumerate() {
        for op in &prepared.ops {
            match op {
                Op::Insert { collection, document } => inserts.push(collection, member, document.clone()),
                Op::Replace { collection, .. } | Op::Put { collection, .. } => {
                    updates.push(collection, member, update(op));
                }
                Op::Delete { collection, .. } => deletes.push(collection, member, deletion(op)),
                Op::Increment { counter, delta } => counts.push((member, counter.clone(), *delta)),
                Op::Publish { lane, row } => {
                    lanes.push(*lane);
                    rows.push((member, row.clone()));
                }
                Op::Remember { document } => requests.push((member, document.clone())),
            }
        }
    }
    let mut steps = Vec::new();
    // First, so that the transaction's snapshot is older than any place that the server gives its messages.
    steps.extend(enter(lanes));
    steps.extend(
        deletes
            .0
            .into_iter()
            .map(|(collection, items)| Step::Delete { collection, items }),
    );
    steps.extend(
        updates
            .0
            .into_iter()
            .map(|(collection, items)| Step::Update { collection, items }),
    );
    steps.extend(
        inserts
            .0
            .into_iter()
            .map(|(collection, items)| Step::Insert { collection, items }),
    );
    if !counts.is_empty() {
        steps.push(Step::Count { items: counts });
    }
    for (collection, items) in [(schema::REQUESTS, requests), (schema::OUTBOX, rows)] {
        if !items.is_empty() {
            steps.push(Step::Insert { collection, items });
        }
    }
    steps
}

/// The commands for one transaction, each write for itself in the order in which they were made.
pub(super) fn in_order(prepared: &Prepared) -> Vec<Step> {
    let lanes = prepared.ops.iter().filter_map(|op| match op {
        Op::Publish { lane, .. } => Some(*lane),
        _ => None,
    });
    let mut steps: Vec<Step> = enter(lanes.collect()).into_iter().collect();
    steps.extend(prepared.ops.iter().map(|op| match op {
        Op::Insert { collection, document } => Step::Insert {
            collection,
            items: vec![(0, document.clone())],
        },
        Op::Replace { collection, .. } | Op::Put { collection, .. } => Step::Update {
            collection,
            items: vec![(0, update(op))],
        },
        Op::Delete { collection, .. } => Step::Delete {
            collection,
            items: vec![(0, deletion(op))],
        },
        Op::Increment { counter, delta } => Step::Count {
            items: vec![(0, counter.clone(), *delta)],
        },
        Op::Publish { row, .. } => Step::Insert {
            collection: schema::OUTBOX,
            items: vec![(0, row.clone())],
        },
        Op::Remember { document } => Step::Insert {
            collection: schema::REQUESTS,
            items: vec![(0, document.clone())],
        },
    }));
    steps
}

/// In the order in which the collections were met.
#[derive(Default)]
struct Batches(Vec<(&'static str, Vec<(usize, Document)>)>);

impl Batches {
    fn push(&mut self, collection: &'static str, member: usize, document: Document) {
        match self.0.iter_mut().find(|(name, _)| *name == collection) {
            Some((_, items)) => items.push((member, document)),
            None => self.0.push((collection, vec![(member, document)])),
        }
    }
}

fn enter(mut lanes: Vec<i32>) -> Option<Step> {
    // In one order for all processes.
    lanes.sort_unstable();
    lanes.dedup();
    let items: Vec<_> = lanes
        .into_iter()
        .map(|lane| {
            let entered =
                doc! { "q": { "_id": lane }, "u": { "$inc": { "entered": 1_i64 } }, "upsert": true };
            (usize::MAX, entered)
        })
        .collect();
    (!items.is_empty()).then_some(Step::Update {
        collection: schema::LANES,
        items,
    })
}

/// The statement of a replacement.
fn update(op: &Op) -> Document {
    let (Op::Put { document, .. } | Op::Replace { document, .. }) = op else {
        return Document::new();
    };
    let mut query = Document::new();
    let mut replacement = document.clone();
    query.insert("_id", replacement.remove("_id"));
    if let Op::Replace { etag, .. } = op {
        query.insert("etag", etag.as_str());
    }
    doc! { "q": query, "u": replacement, "upsert": matches!(op, Op::Put { .. }) }
}

fn deletion(op: &Op) -> Document {
    let Op::Delete { id, etag, .. } = op else {
        return Document::new();
    };
    let mut query = doc! { "_id": id };
    if let Some(etag) = etag {
        query.insert("etag", etag.as_str());
    }
    doc! { "q": query, "limit": 1 }
}

/// Each one's value of a counter, by what it was after all of them.
pub(super) fn counted(items: &[(usize, String, i64)], last: &HashMap<String, i64>) -> Vec<(usize, i64)> {
    let mut left: HashMap<&str, i64> = last.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut values: Vec<_> = items
        .iter()
        .rev()
        .map(|(member, counter, delta)| {
            let value = left.entry(counter).or_default();
            let counted = *value;
            *value = counted.wrapping_sub(*delta);
            (*member, counted)
        })
        .collect();
    values.reverse();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_to_one_counter_each_learn_their_own_value() {
        let items = [
            (0, "a".to_owned(), 2),
            (1, "b".to_owned(), 5),
            (2, "a".to_owned(), -1),
        ];
        let last = HashMap::from([("a".to_owned(), 11), ("b".to_owned(), 5)]);
        assert_eq!(counted(&items, &last), [(0, 12), (1, 5), (2, 11)]);
    }

    #[test]
    fn a_key_has_the_same_lane_in_every_version_of_the_program() {
        assert_eq!(lane("channels/a/events/b"), lane("channels/a/events/b"));
        assert_eq!(lane(""), 50_817 ^ 0);
    }
}
