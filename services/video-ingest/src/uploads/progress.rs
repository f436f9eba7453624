//! How far a stream's upload has come.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use marquee_hls::Record;
use marquee_proto::name::LiveStreamName;

use super::found;
use crate::error::Result;
use crate::media::{JOURNAL, MediaRoot, blocking};

/// The file that says it.
const UPLOADED: &str = "uploaded";
/// Said when everything is done.
const DONE: &str = "done";
/// The file never grows, so that it can be written on a full disk.
const WIDTH: usize = 20;
/// Read of a journal at once.
const READ: u64 = 64 << 10;

/// What is in the object store.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the journal whose files are there.
    pub(super) offset: u64,
    /// All of it, and the lists.
    pub(super) done: bool,
}

impl Progress {
    pub(super) async fn read(media: &MediaRoot, stream: &LiveStreamName) -> Result<Self> {
        let path = media.stream(stream).file(UPLOADED);
        blocking(move || {
            let text = found(std::fs::read_to_string(&path))
                .map_err(|error| crate::media::failed("read", &path, error))?;
            let text = text.unwrap_or_default();
            let text = text.trim();
            Ok(Self {
                offset: text.parse().unwrap_or(0),
                done: text == DONE,
            })
        })
        .await
    }

    /// The next lines of the journal with their lengths; none when there are no more now.
    pub(super) async fn lines(
        &self,
        media: &MediaRoot,
        stream: &LiveStreamName,
    ) -> Result<Vec<(Record, u64)>> {
        let path = media.stream(stream).file(JOURNAL);
        let offset = self.offset;
        let text = blocking(move || {
            let mut text = String::new();
            let read = || -> std::io::Result<()> {
                let Some(mut file) = found(std::fs::File::open(&path))? else {
                    return Ok(());
                };
                file.seek(SeekFrom::Start(offset))?;
                file.take(READ).read_to_string(&mut text)?;
                Ok(())
            };
            let mut read = read;
            read().map_err(|error| crate::media::failed("read", &path, error))?;
            Ok(text)
        })
        .await?;
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole
            .map(|line| Ok((Record::from_line(line)?, line.len() as u64)))
            .collect()
    }

    /// One line's files are there.
    pub(super) async fn advance(
        &mut self,
        media: &MediaRoot,
        stream: &LiveStreamName,
        length: u64,
    ) -> Result<()> {
        self.offset += length;
        write(media, stream, self.offset.to_string()).await
    }

    /// Everything is there.
    pub(super) async fn finish(&mut self, media: &MediaRoot, stream: &LiveStreamName) -> Result<()> {
        self.done = true;
        write(media, stream, DONE.to_owned()).await
    }
}

/// A note for the next start: one that cannot be written costs only uploads that were done already.
async fn write(media: &MediaRoot, stream: &LiveStreamName, text: String) -> Result<()> {
    let path = media.stream(stream).file(UPLOADED);
    blocking(move || {
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::options()
                .create(true)
                .write(true)
                .truncate(false)
                .open(&path)?;
            let line = format!("{text:<width$}\n", width = WIDTH - 1);
            file.write_all_at(line.as_bytes(), 0)?;
            file.flush()
        };
        if let Err(error) = write() {
            tracing::debug!(path = %path.display(), %error, "the progress of an upload is not noted");
        }
        Ok(())
    })
    .await
}

/// The journal's whole lines.
pub(super) async fn journal(media: &MediaRoot, stream: &LiveStreamName) -> Result<Bytes> {
    let path = media.stream(stream).file(JOURNAL);
    blocking(move || {
        let mut text = std::fs::read(&path).map_err(|error| crate::media::failed("read", &path, error))?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        text.truncate(whole);
        Ok(text.into())
    })
    .await
}
