//! The media of one stream on disk: a journal, initialization segments, segments.
//!
//! ```text
//! media/{channel}/{stream}/journal          one line per init and finished segment (marquee_hls::Journal)
//!                          init-0.mp4       per generation
//!                          segment-0.m4s    the live playlist and the recording name the same files
//! ```
//!
//! Bytes are written before the line that names them, so that after a crash every line's file is whole. Nothing is
//! fsynced: a killed process loses nothing, and a power cut costs seconds of a recording, which is cheaper than a
//! disk flush per stream and segment.

use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use marquee_hls::{Init, Journal, Record, Segment, init_name, segment_name};
use marquee_proto::name::{LiveStreamName, is_valid_id};

use crate::error::{Error, Result};

/// The file that lists what is whole.
const JOURNAL: &str = "journal";

/// The folder that holds all streams' media.
#[derive(Debug, Clone)]
pub(crate) struct MediaRoot {
    path: Arc<Path>,
}

impl MediaRoot {
    /// Opens it, and makes it if need be.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        Ok(Self {
            path: Arc::from(path),
        })
    }

    /// Bytes that are left on the disk.
    pub(crate) fn available(&self) -> Result<u64> {
        let disk = rustix::fs::statvfs(&*self.path)
            .map_err(|error| failed("look at the disk of", &self.path, error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The folder of one stream, which need not exist.
    pub(crate) fn stream(&self, name: &LiveStreamName) -> StreamFolder {
        StreamFolder {
            path: self.path.join(&name.channel).join(&name.live_stream),
        }
    }
}

/// The media of one stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamFolder {
    path: PathBuf,
}

impl StreamFolder {
    /// Starts or goes on with the journal: a torn last line is cut off.
    pub(crate) async fn writer(&self) -> Result<(Writer, Journal)> {
        let folder = self.clone();
        blocking(move || {
            std::fs::create_dir_all(&folder.path).map_err(|source| failed("create", &folder.path, source))?;
            let path = folder.path.join(JOURNAL);
            let journal = folder.replay(&path)?;
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(|source| failed("open", &path, source))?;
            file.set_len(journal.valid_bytes)
                .map_err(|source| failed("truncate", &path, source))?;
            file.flush().map_err(|source| failed("write", &path, source))?;
            Ok((
                Writer {
                    folder: folder.path,
                    journal: file,
                },
                journal,
            ))
        })
        .await
    }

    /// What is stored; `None` when there is no such stream.
    pub(crate) async fn journal(&self) -> Result<Option<Journal>> {
        let folder = self.clone();
        blocking(move || {
            let path = folder.path.join(JOURNAL);
            if path.exists() {
                folder.replay(&path).map(Some)
            } else {
                Ok(None)
            }
        })
        .await
    }

    fn replay(&self, path: &Path) -> Result<Journal> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Journal::replay(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Journal::default()),
            Err(source) => Err(failed("read", path, source)),
        }
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

    /// Removes the stream's media.
    pub(crate) async fn delete(&self) -> Result<()> {
        let path = self.path.clone();
        blocking(move || match std::fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("delete", &path, source)),
            _ => Ok(()),
        })
        .await
    }
}

/// Appends to one stream's media. There is at most one per stream.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    journal: std::fs::File,
}

impl Writer {
    /// Stores an initialization segment, then its line.
    pub(crate) async fn init(self, init: Init) -> (Self, Result<()>) {
        self.store(
            init_name(init.record.generation),
            vec![init.bytes],
            init.record.into(),
        )
        .await
    }

    /// Stores a segment, then its line.
    pub(crate) async fn segment(self, segment: &Segment) -> (Self, Result<()>) {
        let chunks = segment.chunks().cloned().collect();
        self.store(
            segment_name(segment.record.msn),
            chunks,
            segment.record.clone().into(),
        )
        .await
    }

    /// Notes that the stream is over.
    pub(crate) async fn end(self) -> (Self, Result<()>) {
        self.run(|writer| writer.append(&Record::End)).await
    }

    async fn store(self, file: String, chunks: Vec<Bytes>, record: Record) -> (Self, Result<()>) {
        self.run(move |writer| {
            let path = writer.folder.join(file);
            write_all(&path, &chunks).map_err(|source| failed("write", &path, source))?;
            writer.append(&record)
        })
        .await
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let path = self.folder.join(JOURNAL);
        self.journal
            .write_all(record.to_line().as_bytes())
            .map_err(|source| failed("write", &path, source))
    }

    async fn run(
        mut self,
        work: impl FnOnce(&mut Self) -> Result<()> + Send + 'static,
    ) -> (Self, Result<()>) {
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut self);
            (self, result)
        })
        .await;
        #[expect(clippy::expect_used, reason = "the closure does not panic and is not aborted")]
        done.expect("media is written")
    }
}

/// Writes all chunks with as few system calls as the kernel allows.
fn write_all(path: &Path, chunks: &[Bytes]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    // IOV_MAX is 1,024 on Linux.
    for group in chunks.chunks(1_000) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = file.write_vectored(rest)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
    }
    Ok(())
}

/// `init-{generation}.mp4` or `segment-{msn}.m4s`.
fn is_media_name(file: &str) -> bool {
    let number = |prefix, suffix| {
        file.strip_prefix(prefix)
            .and_then(|rest: &str| rest.strip_suffix(suffix))
    };
    number("init-", ".mp4")
        .or_else(|| number("segment-", ".m4s"))
        .is_some_and(|digits| is_valid_id(digits) && digits.bytes().all(|b| b.is_ascii_digit()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    #[expect(clippy::expect_used, reason = "the closure does not panic and is not aborted")]
    tokio::task::spawn_blocking(work)
        .await
        .expect("media is read or written")
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Media {
        action,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_media_files_can_be_named() {
        assert!(is_media_name("init-0.mp4") && is_media_name("segment-12.m4s"));
        for file in [
            "journal",
            "../journal",
            "segment-../x.m4s",
            "segment-.m4s",
            "init-a.mp4",
            "segment-1.mp4",
        ] {
            assert!(!is_media_name(file), "{file}");
        }
    }

    #[tokio::test]
    async fn a_torn_line_is_cut_off_before_the_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = MediaRoot::open(folder.path()).unwrap();
        let stream = root.stream(&LiveStreamName::new("c", "s").unwrap());
        let (writer, _) = stream.writer().await.unwrap();
        let (writer, result) = writer.end().await;
        result.unwrap();
        drop(writer);
        let path = folder.path().join("c/s/journal");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"segment torn"].concat()).unwrap();
        let (_, journal) = stream.writer().await.unwrap();
        assert!(journal.ended);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[tokio::test]
    async fn a_stream_that_was_never_there_has_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let root = MediaRoot::open(folder.path()).unwrap();
        let stream = root.stream(&LiveStreamName::new("c", "s").unwrap());
        assert!(stream.journal().await.unwrap().is_none());
        stream.delete().await.unwrap();
    }
}
