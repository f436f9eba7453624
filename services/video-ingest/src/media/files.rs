//! One stream's files: the part of the writer that waits for the disk.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use marquee_hls::{Gap, Init, Journal, Record, SegmentRecord, init_name, segment_name};

use super::JOURNAL;

/// The files of a stream that is being written.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    journal: File,
    /// Bytes of whole lines.
    pub(super) valid: u64,
    /// Segments on the disk, oldest first.
    stored: VecDeque<Stored>,
    /// The media sequence number that the journal has come to.
    last_msn: Option<u64>,
}

#[derive(Debug)]
struct Stored {
    msn: u64,
    media_end_us: i64,
    bytes: u64,
}

/// What is to be written, in this order. What cannot be written is given back.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) unrecorded: bool,
    pub(super) gap: Option<Gap>,
    pub(super) init: Option<Init>,
    pub(super) segment: Option<(SegmentRecord, Vec<Bytes>)>,
    pub(super) end: bool,
    /// Then segments go that end before this media time and whose number is below the other.
    pub(super) trim: Option<(i64, u64)>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Done {
    /// What is left to do.
    pub(super) left: Job,
    /// Bytes that were deleted.
    pub(super) freed: u64,
    pub(super) result: io::Result<()>,
}

impl Files {
    /// Opens the journal, and cuts off a torn last line.
    pub(super) fn open(folder: &Path, journal: &Journal) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(folder.join(JOURNAL))?;
        file.set_len(journal.valid_bytes)?;
        file.flush()?;
        let stored = journal.segments.iter().map(|segment| Stored {
            msn: segment.msn,
            media_end_us: segment.media_end_us,
            bytes: segment.bytes,
        });
        // Those that were deleted are not there any more, and they are the oldest.
        let gone = journal
            .segments
            .partition_point(|segment| !folder.join(segment_name(segment.msn)).exists());
        let stored: VecDeque<Stored> = stored.skip(gone).collect();
        Ok(Self {
            last_msn: journal.last().map(|last| last.msn),
            folder: folder.to_owned(),
            journal: file,
            valid: journal.valid_bytes,
            stored,
        })
    }

    /// Does all it can of a job.
    pub(super) fn run(&mut self, mut job: Job) -> Done {
        let result = self.write(&mut job);
        let freed = job
            .trim
            .take()
            .map_or(0, |(before_us, below)| self.trim(before_us, below));
        Done {
            left: job,
            freed,
            result,
        }
    }

    fn write(&mut self, job: &mut Job) -> io::Result<()> {
        if job.unrecorded {
            self.append(&Record::Unrecorded)?;
            job.unrecorded = false;
        }
        // What a slow disk stored after all is not missing.
        job.gap
            .take_if(|gap| self.last_msn.is_some_and(|last| gap.last.msn <= last));
        if let Some(gap) = &job.gap {
            let last = gap.last.msn;
            self.append(&gap.clone().into())?;
            self.last_msn = Some(last);
            job.gap = None;
        }
        if let Some(init) = &job.init {
            self.file(
                &init_name(init.record.generation),
                std::slice::from_ref(&init.bytes),
            )?;
            self.append(&init.record.clone().into())?;
            job.init = None;
        }
        if let Some((record, chunks)) = &job.segment {
            self.file(&segment_name(record.msn), chunks)?;
            self.append(&record.clone().into())?;
            self.last_msn = Some(record.msn);
            self.stored.push_back(Stored {
                msn: record.msn,
                media_end_us: record.media_end_us,
                bytes: record.bytes,
            });
            job.segment = None;
        }
        if job.end {
            self.append(&Record::End)?;
            job.end = false;
        }
        Ok(())
    }

    /// A file, whole or not at all.
    fn file(&self, name: &str, chunks: &[Bytes]) -> io::Result<()> {
        let path = self.folder.join(name);
        let written = write_all(&path, chunks);
        if written.is_err() {
            // Half of it takes room that is needed.
            let _ = std::fs::remove_file(&path);
        }
        written
    }

    /// A line, whole or not at all.
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = record.to_line();
        if let Err(error) = self.journal.write_all(line.as_bytes()) {
            // Should even that fail, the next opening cuts it off.
            let _ = self.journal.set_len(self.valid);
            return Err(error);
        }
        self.valid += line.len() as u64;
        Ok(())
    }

    fn trim(&mut self, before_us: i64, below: u64) -> u64 {
        let mut freed = 0;
        while let Some(oldest) = self.stored.front()
            && oldest.media_end_us < before_us
            && oldest.msn < below
        {
            // What cannot be deleted now goes with the folder.
            if std::fs::remove_file(self.folder.join(segment_name(oldest.msn))).is_ok() {
                freed += oldest.bytes;
            }
            self.stored.pop_front();
        }
        freed
    }
}

/// Bytes of the media in a folder.
pub(super) fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(super::is_media_name))
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Bytes that are left on the disk of a path.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Writes all chunks with as few system calls as the kernel allows.
fn write_all(path: &Path, chunks: &[Bytes]) -> io::Result<()> {
    let mut file = File::create(path)?;
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
