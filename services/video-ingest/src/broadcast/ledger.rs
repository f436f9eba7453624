//! What is stored and published when a stream changes: both in one transaction, or neither.

use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{self as documents, Etag, Store, Transaction};
use marquee_hls::Journal;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::recording_changed::Change as RecordingChange;
use marquee_proto::video_ingest::v1::stream_changed::Change;

use crate::domain::{LiveStream, Recording, RecordingStorage};
use crate::error::Result;
use crate::wire;

/// The store, as broadcasts use it.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Store,
    /// Where recordings are when their streams end.
    stored: RecordingStorage,
}

/// What happens to a stream whether or not the store takes it at once.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The encoder went away.
    Interrupted {
        /// How long it may stay away.
        grace: Duration,
        /// When it went.
        now: Timestamp,
    },
    /// The stream is over; what was recorded of it can be played.
    Ended(Journal),
}

/// A stream as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stream: LiveStream,
    etag: Option<Etag>,
}

impl Entry {
    /// A stream that is not stored yet.
    pub(crate) fn new(stream: LiveStream) -> Self {
        Self { stream, etag: None }
    }
}

impl From<marquee_documents::Stored<LiveStream>> for Entry {
    fn from(stored: marquee_documents::Stored<LiveStream>) -> Self {
        Self {
            stream: (*stored.value).clone(),
            etag: Some(stored.etag),
        }
    }
}

impl Ledger {
    pub(crate) fn new(store: Store, stored: RecordingStorage) -> Self {
        Self { store, stored }
    }

    /// The first media arrived.
    pub(crate) async fn started(&self, entry: &mut Entry) -> Result<()> {
        let change = proto::StreamStarted {
            live_stream: Some(wire::live_stream(&entry.stream)),
        };
        self.write(entry, Change::Started(change), None).await
    }

    /// The encoder came back.
    pub(crate) async fn resumed(&self, entry: &mut Entry) -> Result<()> {
        let change = proto::StreamResumed {
            live_stream: Some(wire::live_stream(&entry.stream)),
        };
        self.write(entry, Change::Resumed(change), None).await
    }

    /// The stream took a turn that nobody can refuse.
    pub(crate) async fn turned(&self, entry: &mut Entry, turn: &Turn) -> Result<()> {
        let live_stream = Some(wire::live_stream(&entry.stream));
        match turn {
            Turn::Interrupted { grace, now } => {
                let until = now.saturating_add(*grace).unwrap_or(Timestamp::MAX);
                let grace_until = Some(marquee_proto::time::to_proto(until));
                let change = Change::Interrupted(proto::StreamInterrupted {
                    live_stream,
                    grace_until,
                });
                self.write(entry, change, None).await
            }
            Turn::Ended(journal) => {
                let recording = recording(&entry.stream, journal, self.stored);
                self.write(
                    entry,
                    Change::Ended(proto::StreamEnded { live_stream }),
                    recording,
                )
                .await
            }
        }
    }

    async fn write(&self, entry: &mut Entry, change: Change, recording: Option<Recording>) -> Result<()> {
        let stream = &entry.stream;
        let mut transaction = match &entry.etag {
            Some(etag) => Transaction::new().replace(stream, etag)?,
            None => Transaction::new().insert(stream)?,
        };
        transaction = transaction.publish(marquee_bus::event(
            stream.name(),
            &proto::StreamChanged { change: Some(change) },
        ));
        if let Some(recording) = recording {
            let ready = proto::RecordingReady {
                recording: Some(wire::recording(&recording)),
            };
            let event = proto::RecordingChanged {
                change: Some(RecordingChange::Ready(ready)),
            };
            transaction = transaction
                .put(&recording)?
                .publish(marquee_bus::event(recording.name(), &event));
        }
        match self.store.commit(transaction).await {
            Ok(committed) => {
                entry.etag = committed.etags.into_iter().next();
                Ok(())
            }
            Err(
                error @ (documents::Error::Conflict
                | documents::Error::AlreadyExists { .. }
                | documents::Error::NotFound { .. }),
            ) => self.catch_up(entry, error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Nobody else writes a stream that runs here: an earlier try was stored although its answer was lost.
    async fn catch_up(&self, entry: &mut Entry, error: documents::Error) -> Result<()> {
        let stored = self
            .store
            .get::<LiveStream>(&entry.stream.name().live_stream)
            .await?;
        let is_done = stored
            .as_ref()
            .is_some_and(|stored| *stored.value == entry.stream);
        entry.etag = stored.map(|stored| stored.etag);
        if is_done { Ok(()) } else { Err(error.into()) }
    }
}

fn recording(stream: &LiveStream, journal: &Journal, stored: RecordingStorage) -> Option<Recording> {
    let first = journal.segments.first().filter(|_| !journal.unrecorded)?;
    let start = Timestamp::from_microsecond(first.program_date_time.0).unwrap_or(stream.start_time);
    let millis = u64::try_from(journal.duration().as_millis()).unwrap_or(u64::MAX);
    let bytes = journal.segments.iter().map(|segment| segment.bytes).sum();
    Some(Recording::of(&stream.name(), start, millis, bytes, stored))
}
