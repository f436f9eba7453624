//! One session per partition that this process flushes, and the end of what the owner before left open.
//!
//! A process that is killed in the middle of a transaction leaves it open on the server, with its locks, until the server
//! gives it up: after a minute by default. The next owner would meet them in every flush. So each owner notes its session
//! beside the partition, and who comes next ends that session first. An owner that is alive after all does not mind: its
//! transaction is tried again, and finds the partition elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use mongodb::bson::{Bson, Document, doc};
use mongodb::{ClientSession, Database};
use parking_lot::Mutex;

use super::super::Partition;
use super::documents::partition_id;
use super::failure::{Failure, is_duplicate};
use super::server;

/// A partition's session, once there is one. Flushes of one partition take turns.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<ClientSession>>>;

/// The sessions of this process.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<Partition, Slot>>>);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.0.lock().len()).finish()
    }
}

impl Sessions {
    pub(super) fn slot(&self, partition: &Partition) -> Slot {
        self.0.lock().entry(partition.clone()).or_default().clone()
    }
}

/// Begins a session for a partition, and ends the one of the owner before.
pub(super) async fn take_on(database: &Database, partition: &Partition) -> Result<ClientSession, Failure> {
    let session = database.client().start_session().await?;
    let own = session.id().get("id").cloned().unwrap_or(Bson::Null);
    let owners = database.collection::<Document>(server::OWNERS);
    let of_partition = doc! { "_id": partition_id(partition) };
    let before = owners.find_one(of_partition.clone()).await?;
    if let Some(former) = before.and_then(|before| before.get("session").cloned())
        && former != own
    {
        let end = doc! { "killSessions": [{ "id": former }] };
        if let Err(error) = database.run_command(end).await {
            // It gives up by itself, later.
            tracing::warn!(%error, "cannot end the transaction of the partition's owner before");
        }
    }
    let note = doc! { "$set": { "session": own } };
    for last in [false, true] {
        let noted = owners.update_one(of_partition.clone(), note.clone()).upsert(true);
        match noted.await {
            Err(error) if !last && is_duplicate(&error) => {}
            result => {
                result?;
                break;
            }
        }
    }
    Ok(session)
}
