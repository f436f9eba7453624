//! What is committed, for those who follow it: this process is the only writer of the file.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::backend::{Fed, Feed, Raw, Wanted};
use crate::transaction::Write;
use crate::{Collection, Error, Etag, Transaction};

/// Changes of a collection that wait for the slowest follower; who is slower is told to read anew.
const ROOM: usize = 2_048;

/// By collection.
#[derive(Default)]
pub(super) struct Followers(Mutex<HashMap<&'static str, broadcast::Sender<Written>>>);

/// A document as it is after a commit.
#[derive(Clone)]
pub(super) struct Written {
    id: Arc<str>,
    /// `None` when it was deleted.
    state: Option<(Etag, Arc<str>)>,
}

/// The documents that the transaction writes, as they are when it commits.
pub(super) fn written(transaction: &Transaction) -> Vec<(&'static str, Written)> {
    let written = transaction.writes.iter().filter_map(|write| match write {
        Write::Insert(row) | Write::Replace(row, _) | Write::Put(row) => Some((
            row.collection,
            Written {
                id: row.id.as_str().into(),
                state: Some((row.etag.clone(), row.body.clone())),
            },
        )),
        Write::Delete { collection, id, .. } => Some((
            *collection,
            Written {
                id: id.as_str().into(),
                state: None,
            },
        )),
        Write::Increment { .. } | Write::Publish(_) | Write::Remember { .. } => None,
    });
    written.collect()
}

impl Followers {
    pub(super) fn follow(&self, collection: Collection) -> Following {
        let mut followers = self.0.lock();
        let sender = followers
            .entry(collection.name)
            .or_insert_with(|| broadcast::Sender::new(ROOM));
        Following {
            collection,
            receiver: sender.subscribe(),
            begun: false,
        }
    }

    /// Tells it after the commit, on the writer thread: in the order of commits. Who begins to follow after that finds
    /// it when reading what is there.
    pub(super) fn tell(&self, written: Vec<(&'static str, Written)>) {
        let followers = self.0.lock();
        if followers.is_empty() {
            return;
        }
        for (collection, written) in written {
            if let Some(followers) = followers.get(collection) {
                // Nobody may be left.
                drop(followers.send(written));
            }
        }
    }
}

pub(super) struct Following {
    collection: Collection,
    receiver: broadcast::Receiver<Written>,
    begun: bool,
}

#[async_trait]
impl Feed for Following {
    async fn next(&mut self, wanted: Wanted<'_>) -> Option<Fed> {
        if !self.begun {
            self.begun = true;
            return Some(Fed::Anew);
        }
        loop {
            let written = match self.receiver.recv().await {
                Ok(written) => written,
                Err(RecvError::Lagged(_)) => {
                    // What is still there is read with all the rest.
                    self.receiver = self.receiver.resubscribe();
                    return Some(Fed::Anew);
                }
                Err(RecvError::Closed) => return None,
            };
            if !wanted(&written.id) {
                continue;
            }
            return Some(match written.state {
                Some((etag, body)) => Fed::Written(
                    (self.collection.decode)(&body)
                        .map(|value| Raw { value, etag })
                        .map_err(Error::other),
                ),
                None => Fed::Deleted(written.id.as_ref().to_owned()),
            });
        }
    }
}
