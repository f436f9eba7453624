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
    /// Whether transactions of one group may have it in common: additions to a counter.
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
                // What no bus would take would keep everything behind it waiting for ever.
                message.check().map_err(Error::other)?;
                self.publishes = true;
                let row = outbox_row(&message);
                // Messages touch nothing: those of one key are in the order of the documents that they go with.
                self.ops.push(Op::Publish { row });
                return Ok(());
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

/// The commands for these transactions, in their order; messages last.
///
/// Deletions come before updates, and those before insertions, whatever the order in the transactions: since no
/// document is written twice, that can only free values of unique indexes earlier, never take them earlier.
pub(super) fn together(group: &[&Prepared]) -> Vec<Step> {
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
                Op::Publish { row } => rows.push((member, row.clone())),
                Op::Remember { document } => requests.push((member, document.clone())),
            }
        }
    }
    let mut steps = Vec::new();
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
    let mut steps: Vec<Step> = Vec::new();
    let messages = |op: &&Op| matches!(op, Op::Publish { .. });
    let (rows, writes): (Vec<&Op>, Vec<&Op>) = prepared.ops.iter().partition(messages);
    // Messages last, so that the server gives them their places after it took the transaction's snapshot.
    steps.extend(writes.into_iter().chain(rows).map(|op| match op {
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
        Op::Publish { row } => Step::Insert {
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
}
