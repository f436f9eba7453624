//! Letting go of sessions that are over for good.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};
use mongodb::{ClientSession, Database};

use super::super::Error;
use super::failure::Failure;
use super::transaction::Work;
use super::{MongoDb, documents, server};

impl MongoDb {
    pub(super) async fn sweep_some(
        &self,
        partitions: &[u32],
        silent_before_ms: i64,
        most: u32,
    ) -> Result<usize, Error> {
        let partitions = partitions.iter().map(|number| Bson::Int64(i64::from(*number)));
        let sweep = Sweep {
            partitions: partitions.collect(),
            silent_before_ms,
            most,
        };
        // After an unknown outcome nothing is to be done: the next sweep finds what there is.
        Ok(self.transaction(&mut None, &sweep).await?)
    }
}

struct Sweep {
    partitions: Vec<Bson>,
    silent_before_ms: i64,
    most: u32,
}

impl Work for Sweep {
    type Done = usize;

    async fn begin(&self, database: &Database) -> Result<ClientSession, Failure> {
        Ok(database.client().start_session().await?)
    }

    async fn run(&self, database: &Database, session: &mut ClientSession) -> Result<usize, Failure> {
        let sessions = database.collection::<Document>(server::SESSIONS);
        let silent = doc! {
            "last_received_ms": { "$lt": self.silent_before_ms },
            "partition": { "$in": &self.partitions },
        };
        let mut silent = sessions
            .find(silent)
            .sort(doc! { "last_received_ms": 1 })
            .limit(i64::from(self.most))
            .projection(doc! { "event": 1, "partition": 1, "over": 1, "started": 1 })
            .session(&mut *session)
            .await?;
        let mut ids = Vec::new();
        // Beside the sums of the partition, so that its flushes are not met there.
        let mut exits: BTreeMap<(String, i64), i64> = BTreeMap::new();
        while let Some(found) = silent.next(session).await.transpose()? {
            let is = |name| found.get_bool(name).unwrap_or(true);
            let (event, partition) = (found.get_str("event"), found.get_i64("partition"));
            if let (Ok(event), Ok(partition)) = (event, partition)
                && !is("over")
                && !is("started")
            {
                let beside = documents::ALL_PARTITIONS - 1 - partition;
                *exits.entry((event.to_owned(), beside)).or_default() += 1;
            }
            ids.extend(found.get("_id").cloned());
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let swept = ids.len();
        let deleted = sessions
            .delete_many(doc! { "_id": { "$in": ids } })
            .session(&mut *session)
            .await?;
        if usize::try_from(deleted.deleted_count).ok() != Some(swept) {
            return Err(Failure::Conflicted(Error::Stale));
        }
        for ((event, partition), count) in exits {
            database
                .collection::<Document>(server::TOTALS)
                .update_one(
                    doc! { "_id": { "event": event, "partition": partition } },
                    doc! { "$inc": { "exits_before_start": count } },
                )
                .upsert(true)
                .session(&mut *session)
                .await?;
        }
        Ok(swept)
    }
}
