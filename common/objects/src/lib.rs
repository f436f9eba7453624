//! Objects: whole files under slash-separated keys, in a folder or in a bucket behind the S3 protocol.
//!
//! ```text
//!  put, get (a range), size, delete, list ──► Objects ──► Folder   files, renamed into place
//!                                                    └──► S3       feature `s3`: any server that speaks it
//! ```
//!
//! An object is written whole or not at all, replaced whole, and never changed in place. Every backend passes `suite!`
//! (feature `testing`).

#![warn(missing_docs)]

mod error;
mod folder;
mod location;
#[cfg(feature = "s3")]
pub mod s3;

#[cfg(feature = "testing")]
pub mod testing;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;

pub use error::Error;
pub use location::Location;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest key in bytes, as S3 has it, with room for a prefix.
const KEY_MAX: usize = 900;

/// What a backend does.
#[async_trait]
trait Backend: fmt::Debug + Send + Sync {
    async fn put(&self, key: &str, content: Vec<Bytes>, content_type: &'static str) -> Result<()>;
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Object>>;
    async fn size(&self, key: &str) -> Result<Option<u64>>;
    async fn delete(&self, key: &str) -> Result<()>;
    fn list(&self, folder: &str) -> BoxStream<'static, Result<Entry>>;
    async fn ready(&self) -> Result<()>;
}

/// An object that is being read.
pub struct Object {
    /// Bytes of the whole object.
    pub size: u64,
    /// Which of them are in the body.
    pub range: Range<u64>,
    /// They come as they are read.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl Object {
    /// The body in one piece.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn bytes(self) -> Result<Bytes> {
        let length = usize::try_from(self.range.end - self.range.start).unwrap_or(0);
        let mut chunks: Vec<Bytes> = self.body.try_collect().await?;
        if chunks.len() == 1 {
            return Ok(chunks.remove(0));
        }
        let mut whole = Vec::with_capacity(length);
        chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        Ok(whole.into())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("size", &self.size)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The object's key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
}

/// A place where objects are kept.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Arc<dyn Backend>,
}

impl Objects {
    /// Opens a place. A bucket is not asked for: it may be away, and come back.
    ///
    /// # Errors
    /// [`Error::Settings`] for what can never work, and what making a folder fails with.
    pub async fn open(location: &Location) -> Result<Self> {
        let backend: Arc<dyn Backend> = match location {
            Location::Folder(path) => Arc::new(folder::Folder::open(path).await?),
            #[cfg(feature = "s3")]
            Location::S3(settings) => Arc::new(s3::S3::open(settings)?),
        };
        Ok(Self { backend })
    }

    /// Writes an object, whole or not at all; one that is there is replaced.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Unavailable`] or [`Error::Full`] when another try may do, [`Error::Denied`].
    pub async fn put(&self, key: &str, content: Vec<Bytes>, content_type: &'static str) -> Result<()> {
        self.backend.put(checked(key)?, content, content_type).await
    }

    /// Reads an object, or the part of it that is in `range`; none when there is no such object.
    ///
    /// # Errors
    /// [`Error::Range`] when the object ends before the range begins; those of [`Self::put`].
    pub async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Object>> {
        self.backend.get(checked(key)?, range).await
    }

    /// Bytes of an object; none when there is no such object.
    ///
    /// # Errors
    /// Those of [`Self::put`].
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        self.backend.size(checked(key)?).await
    }

    /// Removes an object; it need not be there.
    ///
    /// # Errors
    /// Those of [`Self::put`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.backend.delete(checked(key)?).await
    }

    /// What is under a folder of keys, in no particular order.
    pub fn list(&self, folder: &str) -> BoxStream<'static, Result<Entry>> {
        match checked(folder) {
            Ok(folder) => self.backend.list(folder),
            Err(error) => Box::pin(futures::stream::iter([Err(error)])),
        }
    }

    /// Removes everything under a folder of keys; returns how many objects that were.
    ///
    /// # Errors
    /// Those of [`Self::put`]; what is left can be removed by another try.
    pub async fn delete_all(&self, folder: &str) -> Result<u64> {
        let mut entries = self.list(folder);
        let mut deleted = 0;
        while let Some(entry) = entries.try_next().await? {
            self.delete(&entry.key).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Whether objects can be read and listed now.
    ///
    /// # Errors
    /// Says why not.
    pub async fn ready(&self) -> Result<()> {
        self.backend.ready().await
    }
}

/// Keys are made of names of our own: letters, digits and `-_.~`, none of them `.` or `..`.
fn checked(key: &str) -> Result<&str> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    };
    if key.len() <= KEY_MAX && key.split('/').all(is_name) {
        Ok(key)
    } else {
        Err(Error::Key { key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_its_place() {
        for key in ["a", "a/b-1_c.mp4", "~x/.hidden"] {
            assert_eq!(checked(key).unwrap(), key);
        }
        for key in [
            "", "/a", "a/", "a//b", "..", "a/../b", "a/./b", "a b", "ü", "a\\b",
        ] {
            assert!(matches!(checked(key), Err(Error::Key { .. })), "{key:?}");
        }
        assert!(checked(&"x".repeat(KEY_MAX + 1)).is_err());
    }
}
