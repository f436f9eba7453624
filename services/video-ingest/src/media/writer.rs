//! Appends to one stream's media, and never holds up the stream.
//!
//! ```text
//!  segment ─► room? ──no──► gap: noted, in the journal as soon as a line fits
//!               │yes                      ▲
//!               ▼                         │ full, broken, or no answer in time
//!             disk ───────────────────────┘
//! ```
//!
//! What could not be stored is missing in the recording, and in the DVR window once it has left the memory; everything else
//! goes on. Writing resumes with the first segment for which there is room again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use marquee_hls::{Gap, Init, Journal, Segment};
use metrics::{counter, gauge};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::files::{Done, Files, Job};
use super::{JOURNAL, Running, StreamFolder, blocking, failed};
use crate::domain::{Pause, RecordingState};
use crate::error::Result;

/// How long a stream waits for its disk. After that the segment counts as not stored, until the disk answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends to one stream's media. There is at most one per stream.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: StreamFolder,
    disk: Disk,
    recorded: bool,
    /// Shown and not stored: what the journal has to say before the next segment.
    left: Job,
    /// Segments that began with a discontinuity so far.
    discontinuities: u64,
    paused: Paused,
    running: Option<Arc<Running>>,
}

#[derive(Debug)]
enum Disk {
    Open(Box<Files>),
    /// It has not answered yet; what it was given, in bytes.
    Busy(JoinHandle<(Box<Files>, Done)>, u64),
    /// It failed, and is tried again with the next segment.
    Closed,
}

impl Writer {
    pub(super) async fn open(folder: StreamFolder) -> Result<(Self, Journal)> {
        let path = folder.path.clone();
        let (journal, files) = blocking(move || {
            let file = path.join(JOURNAL);
            let journal = match std::fs::read(&file) {
                Ok(bytes) => Journal::replay(&bytes)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Journal::default(),
                Err(source) => return Err(failed("read", &file, source)),
            };
            let files = Files::open(&path, &journal);
            Ok((journal, files))
        })
        .await?;
        let is_new = journal.valid_bytes == 0;
        let recorded = if is_new {
            folder.recorded.load(Ordering::Relaxed)
        } else {
            !journal.unrecorded
        };
        folder.record(recorded);
        let running = recorded.then(|| announce(&folder, journal.valid_bytes)).flatten();
        let mut writer = Self {
            disk: Disk::Closed,
            recorded,
            left: Job {
                unrecorded: is_new && !recorded,
                ..Job::default()
            },
            discontinuities: discontinuities(&journal),
            paused: Paused::default(),
            running,
            folder,
        };
        match files {
            Ok(files) => writer.disk = Disk::Open(Box::new(files)),
            Err(error) => {
                let pause = writer.failed_with(&error, 0);
                writer.show(Some(pause));
            }
        }
        Ok((writer, journal))
    }

    /// Whether the stream is being recorded now.
    pub(crate) fn state(&self) -> RecordingState {
        match (self.recorded, self.paused.why) {
            (false, _) => RecordingState::Off,
            (true, None) => RecordingState::On,
            (true, Some(pause)) => RecordingState::Paused(pause),
        }
    }

    /// Stores an initialization segment, then its line; if there is no room for it, before the next segment that is stored.
    pub(crate) async fn init(mut self, init: Init) -> (Self, Result<()>) {
        self.left.init = Some(init);
        if self.paused.why.is_none() {
            let job = std::mem::take(&mut self.left);
            self.run(job).await;
        }
        (self, Ok(()))
    }

    /// Stores a segment, then its line; or notes that it is missing.
    pub(crate) async fn segment(mut self, segment: &Segment) -> (Self, Result<()>) {
        let record = &segment.record;
        self.discontinuities += u64::from(record.discontinuity);
        let pause = match self.has_room(record.bytes).await {
            Ok(()) => {
                let chunks = segment.chunks().cloned().collect();
                let mut job = std::mem::take(&mut self.left);
                job.segment = Some((record.clone(), chunks));
                job.trim = self.trim(record.media_end_us);
                self.run(job).await
            }
            Err(pause) => Some(pause),
        };
        if let Some(pause) = pause {
            self.left.gap = Some(Gap {
                last: record.clone(),
                discontinuities: self.discontinuities,
            });
            counter!("video_ingest_segments_not_stored_total", "reason" => pause.as_str()).increment(1);
            self.show(Some(pause));
            // A line is small: it may fit where a segment does not, and then a killed process knows where it was.
            if matches!(self.disk, Disk::Open(_)) {
                let job = Job {
                    unrecorded: std::mem::take(&mut self.left.unrecorded),
                    gap: self.left.gap.take(),
                    trim: self.trim(record.media_end_us),
                    ..Job::default()
                };
                self.run(job).await;
            }
        } else {
            self.show(None);
        }
        (self, Ok(()))
    }

    /// Notes that the stream is over.
    pub(crate) async fn end(mut self) -> (Self, Result<()>) {
        self.settle().await;
        let mut job = std::mem::take(&mut self.left);
        job.init = None;
        job.end = true;
        self.run(job).await;
        (self, Ok(()))
    }

    /// Whether so much may be written; then it is counted.
    async fn has_room(&mut self, bytes: u64) -> std::result::Result<(), Pause> {
        self.settle().await;
        match self.disk {
            Disk::Open(_) => {}
            Disk::Busy(..) => return Err(Pause::DiskSlow),
            Disk::Closed => return Err(self.paused.why.unwrap_or(Pause::DiskFailed)),
        }
        self.folder.root.room().take(&self.folder.name, bytes)
    }

    /// Looks whether a disk that was slow has answered, and opens one that had failed.
    async fn settle(&mut self) {
        match std::mem::replace(&mut self.disk, Disk::Closed) {
            Disk::Busy(handle, bytes) if !handle.is_finished() => self.disk = Disk::Busy(handle, bytes),
            Disk::Busy(handle, bytes) => {
                if let Ok((files, done)) = handle.await {
                    self.done(files, done, bytes);
                }
            }
            Disk::Closed => {
                let path = self.folder.path.clone();
                let opened = timeout(PATIENCE, tokio::task::spawn_blocking(move || reopen(&path)));
                if let Ok(Ok(Ok(files))) = opened.await {
                    self.disk = Disk::Open(Box::new(files));
                }
            }
            open => self.disk = open,
        }
    }

    /// Writes it; `None` when all of it is stored. What is not is in `left`.
    async fn run(&mut self, job: Job) -> Option<Pause> {
        let bytes = job.segment.as_ref().map_or(0, |(record, _)| record.bytes);
        let mut files = match std::mem::replace(&mut self.disk, Disk::Closed) {
            Disk::Open(files) => files,
            other => {
                self.disk = other;
                self.left = Job { segment: None, ..job };
                self.folder.root.room().freed(&self.folder.name, bytes);
                return Some(self.paused.why.unwrap_or(Pause::DiskFailed));
            }
        };
        let mut handle = tokio::task::spawn_blocking(move || {
            let done = files.run(job);
            (files, done)
        });
        match timeout(PATIENCE, &mut handle).await {
            Ok(Ok((files, done))) => self.done(files, done, bytes),
            Ok(Err(_)) => Some(Pause::DiskFailed),
            Err(_) => {
                self.disk = Disk::Busy(handle, bytes);
                Some(Pause::DiskSlow)
            }
        }
    }

    /// Takes over what became of a job.
    fn done(&mut self, files: Box<Files>, done: Done, bytes: u64) -> Option<Pause> {
        let room = self.folder.root.room();
        room.freed(&self.folder.name, done.freed);
        if let Some(running) = &self.running {
            running.journal.send_replace(files.valid);
        }
        if done.left.segment.is_some() {
            room.freed(&self.folder.name, bytes);
        } else if self.running.is_some() {
            room.waits(&self.folder.name, bytes);
        }
        // A slow disk may have stored what meanwhile counts as missing; what came later is still to be said.
        let newer = std::mem::replace(&mut self.left, done.left);
        self.left.gap = newer.gap.or(self.left.gap.take());
        self.left.init = newer.init.or(self.left.init.take());
        self.left.segment = None;
        match done.result {
            Ok(()) => {
                self.disk = Disk::Open(files);
                None
            }
            Err(error) => {
                let pause = self.failed_with(&error, bytes);
                // A full disk need not be opened again, and its journal takes lines as soon as there is room.
                if pause == Pause::DiskFull {
                    self.disk = Disk::Open(files);
                }
                Some(pause)
            }
        }
    }

    fn failed_with(&self, error: &io::Error, bytes: u64) -> Pause {
        if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            self.folder.root.room().disk_is_full(bytes);
            tracing::debug!(stream = %self.folder.name, %error, "a segment does not fit");
            Pause::DiskFull
        } else {
            tracing::warn!(stream = %self.folder.name, %error, "the stream's media cannot be written");
            Pause::DiskFailed
        }
    }

    /// What may go once media has come as far as this.
    fn trim(&self, media_end_us: i64) -> Option<(i64, u64)> {
        let below = match (&self.running, self.recorded) {
            (Some(running), _) => running.uploaded.load(Ordering::Relaxed),
            (None, false) => u64::MAX,
            (None, true) => return None,
        };
        let keep = i64::try_from(self.folder.root.shared.keep.as_micros()).unwrap_or(i64::MAX);
        Some((media_end_us.saturating_sub(keep), below))
    }

    fn show(&mut self, pause: Option<Pause>) {
        let name = &self.folder.name;
        match (self.paused.why, pause) {
            (before, Some(pause)) if before != Some(pause) => {
                tracing::warn!(stream = %name, reason = pause.as_str(), "recording is paused; the stream goes on");
            }
            (Some(_), None) => tracing::info!(stream = %name, "recording goes on"),
            _ => {}
        }
        self.paused.set(pause);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.folder.root.shared.running.lock().remove(&self.folder.name);
        }
    }
}

/// A pause that is counted in the metrics.
#[derive(Debug, Default)]
struct Paused {
    why: Option<Pause>,
}

impl Paused {
    fn set(&mut self, why: Option<Pause>) {
        let shown = |pause: Pause| gauge!("video_ingest_recordings_paused", "reason" => pause.as_str());
        if self.why != why {
            if let Some(before) = self.why {
                shown(before).decrement(1.0);
            }
            if let Some(now) = why {
                shown(now).increment(1.0);
            }
            self.why = why;
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// Tells the uploader of a stream that is recorded.
fn announce(folder: &StreamFolder, journal_bytes: u64) -> Option<Arc<Running>> {
    let uploads = folder.root.shared.uploads.as_ref()?;
    let running = Arc::new(Running {
        journal: watch::Sender::new(journal_bytes),
        uploaded: AtomicU64::new(0),
    });
    let name = folder.name.clone();
    folder
        .root
        .shared
        .running
        .lock()
        .insert(name.clone(), running.clone());
    // When too many are announced at once, the uploader finds the rest by itself.
    let _ = uploads.try_send(name);
    Some(running)
}

fn discontinuities(journal: &Journal) -> u64 {
    let (passed, after) = journal
        .gaps
        .last()
        .map_or((0, None), |gap| (gap.discontinuities, Some(gap.last.msn)));
    let begun = journal
        .segments
        .iter()
        .filter(|segment| after.is_none_or(|after| segment.msn > after) && segment.discontinuity);
    passed + begun.count() as u64
}

fn reopen(path: &std::path::Path) -> io::Result<Files> {
    let journal = match std::fs::read(path.join(JOURNAL)) {
        Ok(bytes) => Journal::replay(&bytes).map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Journal::default(),
        Err(error) => return Err(error),
    };
    Files::open(path, &journal)
}
