//! Decoded documents, exact: this process is the only writer of the file, and every commit forgets what it changed.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::{Cache as Bounded, GuardResult};
use quick_cache::{Equivalent, Weighter};

use crate::Error;
use crate::backend::Raw;

/// Bytes of JSON that the cached documents come to, about.
const MAX_BYTES: u64 = 32 << 20;
/// Documents that this is expected to be.
const EXPECTED: usize = 16_384;

pub(super) struct Cache {
    documents: Bounded<Id, Cached, ByBytes>,
    /// Documents that are being committed, and by how many writes of the group: queries may see them already, so that
    /// what is cached of them is not given out any more.
    committing: Mutex<HashMap<Id, usize>>,
    /// How many those are; mostly none, which costs readers one load.
    in_commit: AtomicUsize,
}

#[derive(Clone, PartialEq, Eq)]
struct Id {
    collection: &'static str,
    id: Box<str>,
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.collection, &*self.id).hash(state);
    }
}

/// An [`Id`] that is not owned.
#[derive(Hash)]
struct Looked<'a>(&'static str, &'a str);

impl Equivalent<Id> for Looked<'_> {
    fn equivalent(&self, id: &Id) -> bool {
        id.collection == self.0 && *id.id == *self.1
    }
}

#[derive(Clone)]
struct Cached {
    raw: Raw,
    bytes: usize,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Id, Cached> for ByBytes {
    fn weight(&self, id: &Id, cached: &Cached) -> u64 {
        (id.id.len() + cached.bytes + 128) as u64
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            documents: Bounded::with_weighter(EXPECTED, MAX_BYTES, ByBytes),
            committing: Mutex::default(),
            in_commit: AtomicUsize::new(0),
        }
    }
}

impl Cache {
    /// The cached document, or the one that `read` finds (with its size in bytes), which is cached.
    ///
    /// A read that a commit overtakes is not cached: the commit takes the placeholder away that the read would fill.
    pub(super) fn get_or_read(
        &self,
        (collection, id): (&'static str, &str),
        read: impl FnOnce() -> Result<Option<(Raw, usize)>, Error>,
    ) -> Result<Option<Raw>, Error> {
        if self.is_committing(collection, id) {
            return Ok(read()?.map(|(raw, _)| raw));
        }
        if let Some(cached) = self.documents.get(&Looked(collection, id)) {
            return Ok(Some(cached.raw));
        }
        let key = Id {
            collection,
            id: id.into(),
        };
        // Whoever reads the same at the same time reads for itself rather than block a thread of the runtime.
        match self.documents.get_value_or_guard(&key, Some(Duration::ZERO)) {
            GuardResult::Value(cached) => Ok(Some(cached.raw)),
            GuardResult::Timeout => Ok(read()?.map(|(raw, _)| raw)),
            GuardResult::Guard(guard) => {
                let Some((raw, bytes)) = read()? else {
                    return Ok(None);
                };
                drop(guard.insert(Cached {
                    raw: raw.clone(),
                    bytes,
                }));
                Ok(Some(raw))
            }
        }
    }

    /// The cached document if it is in this state, which saves decoding it again.
    pub(super) fn in_state(&self, collection: &'static str, id: &str, etag: &str) -> Option<Raw> {
        let cached = self.documents.get(&Looked(collection, id))?;
        (cached.raw.etag.as_str() == etag).then_some(cached.raw)
    }

    /// A commit that changes these is about to be seen.
    pub(super) fn begin(&self, changed: &[(&'static str, String)]) {
        let mut committing = self.committing.lock();
        for (collection, id) in changed {
            *committing
                .entry(Id {
                    collection,
                    id: id.as_str().into(),
                })
                .or_default() += 1;
        }
        self.in_commit.store(committing.len(), Ordering::Release);
    }

    /// The commit's fate is known: what was cached of these is forgotten.
    pub(super) fn end(&self, changed: &[(&'static str, String)]) {
        let mut committing = self.committing.lock();
        for (collection, id) in changed {
            self.documents.remove(&Looked(collection, id));
            let key = Id {
                collection,
                id: id.as_str().into(),
            };
            if let Some(writes) = committing.get_mut(&key) {
                *writes -= 1;
                if *writes == 0 {
                    committing.remove(&key);
                }
            }
        }
        self.in_commit.store(committing.len(), Ordering::Release);
    }

    fn is_committing(&self, collection: &'static str, id: &str) -> bool {
        self.in_commit.load(Ordering::Acquire) > 0
            && self.committing.lock().contains_key(&Id {
                collection,
                id: id.into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;
    use std::sync::Arc;

    use super::*;
    use crate::Etag;

    fn raw(etag: &str) -> (Raw, usize) {
        let Ok(etag) = Etag::from_str(etag);
        (
            Raw {
                value: Arc::new(()),
                etag,
            },
            1,
        )
    }

    #[test]
    fn what_is_being_committed_is_read_and_not_cached() {
        let cache = Cache::default();
        let get = |etag: &str| {
            let found = cache.get_or_read(("c", "1"), || Ok(Some(raw(etag)))).unwrap();
            found.map(|raw| raw.etag.as_str().to_owned())
        };
        assert_eq!(get("old").as_deref(), Some("old"));
        assert_eq!(get("unread").as_deref(), Some("old"), "cached");
        let changed = [("c", "1".to_owned())];
        cache.begin(&changed);
        assert_eq!(get("new").as_deref(), Some("new"), "a query may have seen it");
        cache.end(&changed);
        assert_eq!(get("newer").as_deref(), Some("newer"), "forgotten");
        assert_eq!(get("unread").as_deref(), Some("newer"), "cached again");
    }

    #[test]
    fn two_writes_of_one_group_end_one_by_one() {
        let cache = Cache::default();
        let changed = [("c", "1".to_owned())];
        cache.begin(&changed);
        cache.begin(&changed);
        cache.end(&changed);
        assert!(cache.is_committing("c", "1"));
        cache.end(&changed);
        assert!(!cache.is_committing("c", "1"));
    }
}
