use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of document.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it is kept: lower-case letters and `_`.
    const COLLECTION: &'static str;
    /// What it can be found by beside its id.
    const INDEXES: &'static [Index];

    /// The id, unique in the collection.
    fn id(&self) -> &str;
}

/// A declared index. Making it, or changing it, takes place when the store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name in queries and in [`Error::AlreadyExists`](crate::Error::AlreadyExists): lower-case letters and `_`.
    pub name: &'static str,
    /// Paths into the JSON, like `channel` or `start.time`; their values are text, numbers or booleans.
    pub fields: &'static [&'static str],
    /// Whether no two documents may have the same values. Documents that lack one of the fields are not compared.
    pub unique: bool,
}

/// Which state of a document a client has seen. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Etag(Arc<str>);

impl Etag {
    /// One that was never before.
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Etag {
    type Err = Infallible;

    /// Any text: a wrong one matches no document.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

/// A document as it is kept.
#[derive(Debug)]
pub struct Stored<T> {
    /// The document; shared with the cache.
    pub value: Arc<T>,
    /// Its state.
    pub etag: Etag,
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            etag: self.etag.clone(),
        }
    }
}

pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// What a store must know of a kind of document without knowing its type.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    pub(crate) name: &'static str,
    pub(crate) indexes: &'static [Index],
    pub(crate) decode: fn(&str) -> Result<AnyValue, serde_json::Error>,
    #[cfg(feature = "mongodb")]
    pub(crate) decode_value: fn(serde_json::Value) -> Result<AnyValue, serde_json::Error>,
}

impl Collection {
    /// The collection of a kind of document.
    pub fn of<T: Document>() -> Self {
        Self {
            name: T::COLLECTION,
            indexes: T::INDEXES,
            decode: |body| Ok(Arc::new(serde_json::from_str::<T>(body)?)),
            #[cfg(feature = "mongodb")]
            decode_value: |body| Ok(Arc::new(serde_json::from_value::<T>(body)?)),
        }
    }

    pub(crate) fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}
