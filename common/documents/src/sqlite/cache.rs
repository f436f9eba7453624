//! Decoded documents, exact: this process is the only writer of the file, and every commit forgets what it changed.

use std::hash::{Hash, Hasher};
use std::time::Duration;

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

    pub(super) fn forget(&self, collection: &'static str, id: &str) {
        self.documents.remove(&Looked(collection, id));
    }
}
