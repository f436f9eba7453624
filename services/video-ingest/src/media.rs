//! The media of streams on disk: a journal, initialization segments, segments.
//!
//! ```text
//! media/{channel}/{stream}/journal          one line per init and segment, stored or not (marquee_hls::Journal)
//!                          init-0.mp4       per generation
//!                          segment-0.m4s    live window, DVR window and recording name the same files
//!                          uploaded         how much of the journal is in the object store (see uploads.rs)
//! ```
//!
//! Bytes are written before the line that names them, so that after a crash every line's file is whole. Nothing is
//! fsynced: a killed process loses nothing, and a power cut costs seconds of a recording, which is cheaper than a
//! disk flush per stream and segment.
//!
//! What is on the disk never holds up what is on the air: see `media/writer.rs`.

mod files;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use marquee_hls::Journal;
use marquee_proto::name::{LiveStreamName, is_valid_id};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::error::{Error, Result};
use crate::quota::Room;

pub(crate) use writer::Writer;

/// The file that lists what is whole.
pub(crate) const JOURNAL: &str = "journal";
/// After the name of a folder whose media are gone and whose recording has to go too.
const BURIED: &str = ".deleted";
/// New recordings that may wait for the uploader to hear of them; it also looks by itself.
const ANNOUNCED: usize = 1_024;

/// The folder that holds all streams' media.
#[derive(Debug, Clone)]
pub(crate) struct MediaRoot {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// What the disk may hold.
    room: Room,
    /// How much of a running stream is kept whether or not it is recorded.
    keep: Duration,
    /// Hears of streams that are recorded; none when recordings stay in this folder.
    uploads: Option<mpsc::Sender<LiveStreamName>>,
    /// Streams whose recordings are being written: how long their journals are, and what of them may be deleted here.
    running: Mutex<HashMap<LiveStreamName, Arc<Running>>>,
}

/// What the writer of a recording and its uploader tell each other.
#[derive(Debug)]
pub(crate) struct Running {
    /// Bytes of the journal, all of them whole lines.
    pub(crate) journal: watch::Sender<u64>,
    /// Segments below this media sequence number are in the object store.
    pub(crate) uploaded: std::sync::atomic::AtomicU64,
}

impl MediaRoot {
    /// Opens it, makes it if need be, and counts what is there. `keep` is how much of a running stream stays on the disk
    /// even if it is not recorded, or is in the object store already.
    pub(crate) fn open(path: &Path, room: Room, keep: Duration) -> Result<Self> {
        Self::with_uploads(path, room, keep, None)
    }

    /// As [`Self::open`]; the receiver hears of every stream that is recorded.
    pub(crate) fn uploading(
        path: &Path,
        room: Room,
        keep: Duration,
    ) -> Result<(Self, mpsc::Receiver<LiveStreamName>)> {
        let (announce, announced) = mpsc::channel(ANNOUNCED);
        Ok((Self::with_uploads(path, room, keep, Some(announce))?, announced))
    }

    fn with_uploads(
        path: &Path,
        room: Room,
        keep: Duration,
        uploads: Option<mpsc::Sender<LiveStreamName>>,
    ) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        let shared = Shared {
            path: path.to_owned(),
            room,
            keep,
            uploads,
            running: Mutex::default(),
        };
        let root = Self {
            shared: Arc::new(shared),
        };
        for stream in root.folders("")? {
            root.shared.room.found(&stream, files::size(&root.path(&stream)));
        }
        Ok(root)
    }

    /// The streams that have a folder, in no order.
    pub(crate) async fn streams(&self) -> Result<Vec<LiveStreamName>> {
        let root = self.clone();
        blocking(move || root.folders("")).await
    }

    /// Streams of which only a mark is left, see [`StreamFolder::bury`].
    pub(crate) async fn buried(&self) -> Result<Vec<LiveStreamName>> {
        let root = self.clone();
        blocking(move || root.folders(BURIED)).await
    }

    fn folders(&self, suffix: &str) -> Result<Vec<LiveStreamName>> {
        let folders = |path: &Path| -> Result<Vec<String>> {
            let entries = std::fs::read_dir(path).map_err(|source| failed("list", path, source))?;
            let names = entries.filter_map(|entry| {
                let entry = entry.ok()?;
                entry
                    .file_type()
                    .ok()?
                    .is_dir()
                    .then(|| entry.file_name())?
                    .into_string()
                    .ok()
            });
            Ok(names.collect())
        };
        let mut streams = Vec::new();
        for channel in folders(&self.shared.path)? {
            let found = folders(&self.shared.path.join(&channel))?;
            let ids = found.iter().filter_map(|name| name.strip_suffix(suffix));
            let named = ids.filter_map(|id| LiveStreamName::new(channel.clone(), id.to_owned()).ok());
            streams.extend(named);
        }
        Ok(streams)
    }

    /// Bytes that are left on the disk.
    pub(crate) async fn available(&self) -> Result<u64> {
        let root = self.clone();
        blocking(move || {
            let path = &root.shared.path;
            files::free(path).map_err(|source| failed("look at the disk of", path, source))
        })
        .await
    }

    /// What the disk may hold.
    pub(crate) fn room(&self) -> &Room {
        &self.shared.room
    }

    /// Whether a stream's recording is being written here.
    pub(crate) fn running(&self, stream: &LiveStreamName) -> Option<Arc<Running>> {
        self.shared.running.lock().get(stream).cloned()
    }

    /// The folder of one stream, which need not exist.
    pub(crate) fn stream(&self, name: &LiveStreamName) -> StreamFolder {
        StreamFolder {
            path: self.path(name),
            name: name.clone(),
            root: self.clone(),
            recorded: Arc::new(AtomicBool::new(true)),
        }
    }

    fn path(&self, name: &LiveStreamName) -> PathBuf {
        self.shared.path.join(&name.channel).join(&name.live_stream)
    }
}

/// The media of one stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamFolder {
    path: PathBuf,
    name: LiveStreamName,
    root: MediaRoot,
    recorded: Arc<AtomicBool>,
}

impl StreamFolder {
    /// Whether the stream is to be kept when it is over; counts for a writer that begins a journal.
    pub(crate) fn record(&self, recorded: bool) {
        self.recorded.store(recorded, Ordering::Relaxed);
    }

    /// Starts or goes on with the journal: a torn last line is cut off. A disk that takes no more is no failure: then the
    /// writer waits for room. A journal that is there and cannot be read is one.
    pub(crate) async fn writer(&self) -> Result<(Writer, Journal)> {
        Writer::open(self.clone()).await
    }

    /// What is stored; `None` when there is no such stream.
    pub(crate) async fn journal(&self) -> Result<Option<Journal>> {
        let path = self.path.join(JOURNAL);
        blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Journal::replay(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        })
        .await
    }

    /// The content of an initialization or media segment; `None` when there is no such file. Other names are not looked
    /// at, so that no path leads out of the folder.
    pub(crate) async fn read(&self, file: &str) -> Result<Option<Bytes>> {
        if !is_media_name(file) {
            return Ok(None);
        }
        let path = self.path.join(file);
        blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        })
        .await
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes the stream's media, and leaves a mark that says so.
    pub(crate) async fn bury(&self) -> Result<()> {
        let (path, grave) = (self.path.clone(), self.grave());
        blocking(move || {
            let buried = std::fs::rename(&path, &grave);
            match buried {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(source) => return Err(failed("rename", &path, source)),
                Ok(()) => {}
            }
            let entries = std::fs::read_dir(&grave).map_err(|source| failed("list", &grave, source))?;
            for entry in entries.flatten() {
                let file = entry.path();
                std::fs::remove_file(&file).map_err(|source| failed("delete", &file, source))?;
            }
            Ok(())
        })
        .await?;
        self.root.room().forget(&self.name);
        Ok(())
    }

    /// No stream has such a name.
    fn grave(&self) -> PathBuf {
        self.path
            .with_file_name(format!("{}{BURIED}", self.name.live_stream))
    }

    /// Removes the stream's media.
    pub(crate) async fn delete(&self) -> Result<()> {
        let paths = [self.path.clone(), self.grave()];
        blocking(move || {
            for path in paths {
                match std::fs::remove_dir_all(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("delete", &path, source));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await?;
        self.root.room().forget(&self.name);
        Ok(())
    }
}

/// `init-{generation}.mp4` or `segment-{msn}.m4s`.
pub(crate) fn is_media_name(file: &str) -> bool {
    let number = |prefix, suffix| {
        file.strip_prefix(prefix)
            .and_then(|rest: &str| rest.strip_suffix(suffix))
    };
    number("init-", ".mp4")
        .or_else(|| number("segment-", ".m4s"))
        .is_some_and(|digits| is_valid_id(digits) && digits.bytes().all(|b| b.is_ascii_digit()))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    #[expect(clippy::expect_used, reason = "the closure does not panic and is not aborted")]
    tokio::task::spawn_blocking(work)
        .await
        .expect("media is read or written")
}

pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Media {
        action,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
