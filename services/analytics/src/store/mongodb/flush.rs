//! Taking a batch over: sessions, sums, viewers, ledger and position in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use marquee_proto::name::EventName;
use mongodb::bson::{Document, doc};
use mongodb::{ClientSession, Database};
use uuid::Uuid;

use super::super::{Error, Flush, Partition};
use super::failure::{Failure, check_writes};
use super::owner::take_on;
use super::transaction::Work;
use super::{MongoDb, documents, server, signed};
use crate::domain::SessionKey;

/// Writes of one command. The largest session has some 4 KB: far from the 48 MB that a command may have.
const WRITES: usize = 1_000;

/// Looks at the position after an unknown outcome, before the caller is told that it is unknown.
const LOOKS: u32 = 3;

impl MongoDb {
    pub(super) async fn take_over(
        &self,
        partition: &Partition,
        expected: u64,
        next: u64,
        flush: &Flush,
    ) -> Result<(), Error> {
        // Tells this flush from one of somebody else that ends at the same offset.
        let id = Uuid::new_v4().simple().to_string();
        let batch = Batch {
            partition,
            expected,
            next,
            flush,
            id: &id,
        };
        let slot = self.sessions.slot(partition);
        let mut session = slot.lock().await;
        let mut looks = 0;
        loop {
            let unknown = match self.transaction(&mut session, &batch).await {
                Ok(()) => return Ok(()),
                Err(Failure::Moved) => None,
                Err(Failure::Unknown(error)) => Some(error),
                Err(failure) => return Err(failure.into()),
            };
            match self.position(partition).await? {
                (_, Some(last)) if last == id => return Ok(()),
                (found, _) if found != expected => return Err(Error::Conflict { expected, found }),
                // As far as a majority knows, nothing happened. Should that commit still come through, the next attempt
                // meets it in the partition's document.
                _ => {}
            }
            looks += 1;
            if looks >= LOOKS {
                let text = || "the partition does not stand still".to_owned();
                return Err(unknown.unwrap_or_else(|| Error::Unavailable(text())));
            }
        }
    }
}

struct Batch<'a> {
    partition: &'a Partition,
    expected: u64,
    next: u64,
    flush: &'a Flush,
    id: &'a str,
}

impl Work for Batch<'_> {
    type Done = ();

    async fn begin(&self, database: &Database) -> Result<ClientSession, Failure> {
        take_on(database, self.partition).await
    }

    async fn run(&self, database: &Database, session: &mut ClientSession) -> Result<(), Failure> {
        let mut transaction = Transaction { database, session };
        transaction.advance(self).await?;
        transaction
            .put_sessions(self.partition.number, self.flush)
            .await?;
        let unique = transaction.put_viewers(self.flush).await?;
        transaction
            .add_totals(self.partition.number, self.flush, &unique)
            .await
    }
}

struct Transaction<'a> {
    database: &'a Database,
    session: &'a mut ClientSession,
}

impl Transaction<'_> {
    /// Moves the partition on, if it is where it is believed to be. The first write: who is late finds out at once.
    async fn advance(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        let &Batch {
            partition,
            expected,
            next,
            flush,
            id,
        } = batch;
        let mut set = doc! { "next_offset": signed(next), "flush": id };
        if let Some(received_ms) = flush.received_ms {
            set.insert("received_ms", received_ms);
        }
        let at = doc! { "_id": documents::partition_id(partition), "next_offset": signed(expected) };
        let update = doc! {
            "q": at,
            "u": { "$set": set, "$inc": documents::ledger_increments(&flush.ledger, flush.skipped) },
            // One that was never folded is at 0. When there is one elsewhere, this is a duplicate.
            "upsert": expected == 0,
        };
        let reply = self
            .write("update", server::PARTITIONS, "updates", vec![update])
            .await?;
        check_writes(&reply, || Failure::Moved)?;
        if matched(&reply) == 0 {
            return Err(Failure::Moved);
        }
        Ok(())
    }

    async fn put_sessions(&mut self, partition: u32, flush: &Flush) -> Result<(), Failure> {
        let stale = || Failure::Final(Error::Stale);
        let (known, new): (Vec<_>, Vec<_>) = flush
            .sessions
            .iter()
            .map(|(key, session)| {
                let document = documents::session(partition, key, session);
                (flush.known.contains(key), document)
            })
            .partition(|(known, _)| *known);
        for new in new.chunks(WRITES) {
            let documents = new.iter().map(|(_, document)| document.clone()).collect();
            let reply = self
                .write("insert", server::SESSIONS, "documents", documents)
                .await?;
            check_writes(&reply, stale)?;
        }
        for known in known.chunks(WRITES) {
            // Whole documents, so that those who follow the changes get whole documents.
            let updates = known
                .iter()
                .map(|(_, document)| doc! { "q": { "_id": document.get("_id") }, "u": document })
                .collect();
            let reply = self.write("update", server::SESSIONS, "updates", updates).await?;
            check_writes(&reply, stale)?;
            if matched(&reply) != known.len() {
                return Err(stale());
            }
        }
        Ok(())
    }

    /// Notes who watched what; returns how many of each event are new. A viewer of a session that was there is known.
    async fn put_viewers<'f>(&mut self, flush: &'f Flush) -> Result<BTreeMap<&'f EventName, i64>, Failure> {
        let viewers: BTreeSet<(&EventName, &str)> = flush
            .sessions
            .keys()
            .filter(|key| !flush.known.contains(*key))
            .map(|SessionKey { event, viewer, .. }| (event, viewer.as_str()))
            .collect();
        let viewers: Vec<_> = viewers.into_iter().collect();
        let mut unique: BTreeMap<&EventName, i64> = BTreeMap::new();
        for viewers in viewers.chunks(WRITES) {
            let ids: Vec<_> = viewers
                .iter()
                .map(|(event, viewer)| doc! { "event": event.to_string(), "viewer": *viewer })
                .collect();
            let mut found = self
                .database
                .collection::<Document>(server::VIEWERS)
                .find(doc! { "_id": { "$in": &ids } })
                .session(&mut *self.session)
                .await?;
            let mut there = BTreeSet::new();
            while let Some(found) = found.next(self.session).await.transpose()? {
                there.extend(found.get_document("_id").ok().map(ToString::to_string));
            }
            let mut new = Vec::new();
            for ((event, _), id) in viewers.iter().zip(ids) {
                if !there.contains(&id.to_string()) {
                    *unique.entry(event).or_default() += 1;
                    new.push(doc! { "_id": id });
                }
            }
            if !new.is_empty() {
                let reply = self.write("insert", server::VIEWERS, "documents", new).await?;
                check_writes(&reply, || Failure::Conflicted(Error::Stale))?;
            }
        }
        Ok(unique)
    }

    async fn add_totals(
        &mut self,
        partition: u32,
        flush: &Flush,
        unique: &BTreeMap<&EventName, i64>,
    ) -> Result<(), Failure> {
        let events: BTreeSet<&EventName> = flush.totals.keys().chain(flush.peaks.keys()).collect();
        let updates: Vec<_> = events
            .into_iter()
            .map(|event| {
                let totals = flush.totals.get(event).copied().unwrap_or_default();
                let unique = unique.get(event).copied().unwrap_or_default();
                let peak = flush.peaks.get(event).copied().unwrap_or_default();
                doc! {
                    "q": { "_id": documents::totals_id(event, i64::from(partition)) },
                    "u": { "$inc": documents::increments(&totals, unique), "$max": { "peak": signed(peak) } },
                    "upsert": true,
                }
            })
            .collect();
        for updates in updates.chunks(WRITES) {
            let reply = self
                .write("update", server::TOTALS, "updates", updates.to_vec())
                .await?;
            check_writes(&reply, || Failure::Conflicted(Error::Stale))?;
        }
        Ok(())
    }

    /// Many writes as one command; the driver's own bulk write needs a server of version 8.
    async fn write(
        &mut self,
        command: &str,
        collection: &str,
        of: &str,
        writes: Vec<Document>,
    ) -> Result<Document, Failure> {
        let mut document = doc! { command: collection, "ordered": true };
        document.insert(of, writes);
        let reply = self
            .database
            .run_command(document)
            .session(&mut *self.session)
            .await?;
        Ok(reply)
    }
}

fn matched(reply: &Document) -> usize {
    usize::try_from(reply.get_i32("n").unwrap_or_default()).unwrap_or_default()
}
