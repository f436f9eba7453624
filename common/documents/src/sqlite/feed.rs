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
struct Written {
    id: Arc<str>,
    /// `None` when it was deleted.
    state: Option<(Etag, Arc<str>)>,
}

/// What is to be told if the transaction commits.
#[derive(Default)]
pub(super) struct Told(Vec<(broadcast::Sender<Written>, Written)>);

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

    /// What of the transaction's writes is followed.
    pub(super) fn written(&self, transaction: &Transaction) -> Told {
        let followers = self.0.lock();
        if followers.is_empty() {
            return Told::default();
        }
        let told = transaction.writes.iter().filter_map(|write| {
            let (collection, id, state) = match write {
                Write::Insert(row) | Write::Replace(row, _) | Write::Put(row) => {
                    (row.collection, &row.id, Some(row))
                }
                Write::Delete { collection, id, .. } => (*collection, id, None),
                Write::Increment { .. } | Write::Publish(_) | Write::Remember { .. } => return None,
            };
            let sender = followers.get(collection)?;
            if sender.receiver_count() == 0 {
                return None;
            }
            let written = Written {
                id: id.as_str().into(),
                state: state.map(|row| (row.etag.clone(), row.body.as_str().into())),
            };
            Some((sender.clone(), written))
        });
        Told(told.collect())
    }

    /// Tells it after the commit, on the writer thread: in the order of commits.
    pub(super) fn tell(&self, told: Told) {
        for (followers, written) in told.0 {
            // Fails when the last one has just gone.
            drop(followers.send(written));
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
