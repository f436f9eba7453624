//! Objects as files of a folder.

use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::{Backend, Entry, Error, Object, Result};

/// Where objects are while they are written: no key begins like this, since keys are listed from other folders.
const STAGING: &str = ".staging";
/// Read at once.
const CHUNK: usize = 64 << 10;

/// A folder of objects.
#[derive(Debug)]
pub(crate) struct Folder {
    root: Arc<Path>,
    /// Tells files in the staging folder apart.
    next: AtomicU64,
}

impl Folder {
    pub(crate) async fn open(root: &Path) -> Result<Self> {
        let staging = root.join(STAGING);
        let made = tokio::fs::create_dir_all(&staging).await;
        made.map_err(|error| Error::io("create", &staging, &error))?;
        Ok(Self {
            root: Arc::from(root),
            next: AtomicU64::new(0),
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }
}

#[async_trait]
impl Backend for Folder {
    async fn put(&self, key: &str, content: Vec<Bytes>, _: &'static str) -> Result<()> {
        let path = self.path(key);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let staged = self
            .root
            .join(STAGING)
            .join(format!("{}-{number}", std::process::id()));
        blocking(move || {
            let written = write(&staged, &path, &content);
            if written.is_err() {
                // What is left of it takes room that is needed.
                let _ = std::fs::remove_file(&staged);
            }
            written.map_err(|error| Error::io("write", &path, &error))
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Object>> {
        let path = self.path(key);
        let failed = |error: io::Error| Error::io("read", &path, &error);
        let mut file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.metadata().await.map_err(failed)?.len();
        let range = within(range, size)?;
        file.seek(io::SeekFrom::Start(range.start))
            .await
            .map_err(failed)?;
        let taken = file.take(range.end - range.start);
        let body = ReaderStream::with_capacity(taken, CHUNK)
            .map(move |chunk| chunk.map_err(|error| Error::io("read", &path, &error)))
            .boxed();
        Ok(Some(Object { size, range, body }))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        let path = self.path(key);
        match tokio::fs::metadata(&path).await {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", &path, &error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        let root = self.root.clone();
        blocking(move || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("delete", &path, &error));
                }
                _ => {}
            }
            // Folders that became empty are not kept; one that another object is put into just now is not empty, or is
            // made again by whoever puts it.
            let mut folder = path.parent();
            while let Some(empty) = folder.filter(|folder| *folder != &*root)
                && std::fs::remove_dir(empty).is_ok()
            {
                folder = empty.parent();
            }
            Ok(())
        })
        .await
    }

    fn list(&self, folder: &str) -> BoxStream<'static, Result<Entry>> {
        let (root, path) = (self.root.clone(), self.path(folder));
        let listed = blocking(move || {
            let mut found = Vec::new();
            list(&root, &path, &mut found).map_err(|error| Error::io("list", &path, &error))?;
            Ok(found)
        });
        stream::once(listed)
            .flat_map(|listed| match listed {
                Ok(found) => stream::iter(found).map(Ok).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            })
            .boxed()
    }

    async fn ready(&self) -> Result<()> {
        let looked = tokio::fs::metadata(&*self.root).await;
        looked
            .map(drop)
            .map_err(|error| Error::io("look at", &self.root, &error))
    }
}

fn write(staged: &Path, path: &Path, content: &[Bytes]) -> io::Result<()> {
    let mut file = std::fs::File::create(staged)?;
    for chunk in content {
        file.write_all(chunk)?;
    }
    drop(file);
    let folder = path.parent().unwrap_or(path);
    // A delete beside us may have removed the folder between the two: it does so only once.
    for _ in 0..2 {
        std::fs::create_dir_all(folder)?;
        match std::fs::rename(staged, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    std::fs::create_dir_all(folder)?;
    std::fs::rename(staged, path)
}

fn list(root: &Path, folder: &Path, found: &mut Vec<Entry>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list(root, &path, found)?;
        } else if let Ok(key) = path.strip_prefix(root)
            && let Some(key) = key.to_str()
        {
            let size = entry.metadata()?.len();
            found.push(Entry {
                key: key.to_owned(),
                size,
            });
        }
    }
    Ok(())
}

/// The part of an object that is asked for.
fn within(range: Option<Range<u64>>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start < size && range.start < range.end => Ok(range.start..range.end.min(size)),
        Some(_) => Err(Error::Range { size }),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    #[expect(clippy::expect_used, reason = "the closure does not panic and is not aborted")]
    tokio::task::spawn_blocking(work)
        .await
        .expect("files are read or written")
}
