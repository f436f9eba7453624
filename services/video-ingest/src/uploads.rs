//! How recordings get to the object store: segment by segment, while the stream is live.
//!
//! ```text
//!  journal ──lines──► one task per stream ──put, tried again──► {channel}/{stream}/init-0.mp4, segment-0.m4s ...
//!                          │                                                       journal, media.m3u8, index.m3u8 at the end
//!                          └─► uploaded: bytes of the journal that are done
//! ```
//!
//! The journal is the queue: what waits is on the disk and not in memory, a killed process goes on where `uploaded` says,
//! and an object is only ever put again with the same content. While the object store is away nothing is lost; what waits
//! is bounded by the quota (see `quota.rs`).

mod progress;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use marquee_documents::{Store, Transaction};
use marquee_hls::{Journal, Kind, MultivariantPlaylist, Record, Variant, init_name, segment_name};
use marquee_objects::Objects;
use marquee_proto::name::LiveStreamName;
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::progress::Progress;
use crate::domain::{LiveStream, Recording, RecordingStorage, State};
use crate::error::{Error, Result, chain};
use crate::media::{JOURNAL, MediaRoot};

/// Uploads at once, over all streams: each holds its segment in memory.
const AT_ONCE: usize = 4;
/// After a try that failed the next one comes this much later, twice as much each time.
const BACKOFF: Duration = Duration::from_millis(500);
/// No longer than this, so that an outage is soon seen to be over.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(120);
/// How often streams are looked for that nobody announced, and what is not done is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

const MEDIA: &str = "video/mp4";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const TEXT: &str = "text/plain";

/// The key of a file of a recording.
pub(crate) fn key(stream: &LiveStreamName, file: &str) -> String {
    format!("{}/{file}", folder(stream))
}

/// What all keys of a recording begin with.
pub(crate) fn folder(stream: &LiveStreamName) -> String {
    format!("{}/{}", stream.channel, stream.live_stream)
}

/// Brings recordings to the object store.
#[derive(Clone)]
pub(crate) struct Uploads {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Objects,
    media: MediaRoot,
    store: Store,
    permits: Semaphore,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    active: Mutex<HashMap<LiveStreamName, Active>>,
}

#[derive(Clone)]
struct Active {
    cancel: CancellationToken,
    /// Held while the task runs.
    runs: Arc<tokio::sync::Mutex<()>>,
}

/// Why a stream's upload is left.
enum Stop {
    /// The process stops, or the recording is deleted.
    Cancelled,
    /// It is not to be kept, or nothing is left of it.
    Nothing,
    /// It is tried again later.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Uploads {
    pub(crate) fn new(objects: Objects, media: MediaRoot, store: Store, shutdown: CancellationToken) -> Self {
        let shared = Shared {
            objects,
            media,
            store,
            permits: Semaphore::new(AT_ONCE),
            tasks: TaskTracker::new(),
            shutdown,
            active: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Uploads until the service stops.
    pub(crate) async fn run(self, mut announced: mpsc::Receiver<LiveStreamName>) -> Result<()> {
        let shutdown = self.shared.shutdown.clone();
        loop {
            match self.shared.media.streams().await {
                Ok(streams) => streams.into_iter().for_each(|stream| self.start(stream)),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "recordings that wait cannot be looked for now")
                }
            }
            let next_look = Instant::now() + 6 * LOOK_EVERY;
            loop {
                tokio::select! {
                    Some(stream) = announced.recv() => self.start(stream),
                    () = tokio::time::sleep_until(next_look) => break,
                    () = shutdown.cancelled() => {
                        self.shared.tasks.close();
                        self.shared.tasks.wait().await;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Gives a recording up, and returns when nothing of it is put any more.
    pub(crate) async fn stop(&self, stream: &LiveStreamName) {
        let active = self.shared.active.lock().get(stream).cloned();
        if let Some(active) = active {
            active.cancel.cancel();
            drop(active.runs.lock().await);
        }
    }

    fn start(&self, stream: LiveStreamName) {
        let active = Active {
            cancel: self.shared.shutdown.child_token(),
            runs: Arc::default(),
        };
        let Ok(runs) = active.runs.clone().try_lock_owned() else {
            return;
        };
        match self.shared.active.lock().entry(stream.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => return,
            std::collections::hash_map::Entry::Vacant(place) => place.insert(active.clone()),
        };
        let uploads = self.clone();
        self.shared.tasks.spawn(async move {
            let upload = Upload {
                shared: uploads.shared.clone(),
                stream,
                cancel: active.cancel,
            };
            upload.run().await;
            uploads.shared.active.lock().remove(&upload.stream);
            drop(runs);
        });
    }
}

/// One stream's.
struct Upload {
    shared: Arc<Shared>,
    stream: LiveStreamName,
    cancel: CancellationToken,
}

impl Upload {
    async fn run(&self) {
        let room = self.shared.media.room();
        // Whatever was counted for it: it is counted anew.
        room.waits_no_more(&self.stream, u64::MAX);
        match self.upload().await {
            Ok(()) | Err(Stop::Cancelled) => {}
            // What was put of it before that was known.
            Err(Stop::Nothing) => {
                if let Err(error) = self.shared.objects.delete_all(&folder(&self.stream)).await {
                    tracing::warn!(stream = %self.stream, %error, "objects of a stream without a recording are left");
                }
            }
            Err(Stop::Failed(error)) => {
                tracing::warn!(stream = %self.stream, error = %chain(&error), "the recording is not uploaded now; trying again later");
            }
        }
        room.waits_no_more(&self.stream, u64::MAX);
    }

    /// From where it was left to the end of the stream.
    async fn upload(&self) -> Result<(), Stop> {
        let media = &self.shared.media;
        let mut progress = Progress::read(media, &self.stream).await?;
        if progress.done {
            return Ok(());
        }
        // Lines beyond this are counted by whoever writes them.
        let mut counted = media
            .running(&self.stream)
            .map(|running| *running.journal.borrow());
        let mut ended = false;
        loop {
            let lines = progress.lines(media, &self.stream).await?;
            if lines.is_empty() {
                if ended || !self.more(progress.offset).await? {
                    break;
                }
                continue;
            }
            let known = *counted.get_or_insert(u64::MAX);
            let mut offset = progress.offset;
            for (line, length) in &lines {
                if let Record::Segment(segment) = line
                    && offset < known
                {
                    media.room().waits(&self.stream, segment.bytes);
                }
                offset += length;
            }
            for (line, length) in lines {
                match line {
                    Record::Init(init) => self.file(&init_name(init.generation)).await?,
                    Record::Segment(segment) => {
                        self.file(&segment_name(segment.msn)).await?;
                        media.room().waits_no_more(&self.stream, segment.bytes);
                        if let Some(running) = media.running(&self.stream) {
                            running.uploaded.store(segment.msn + 1, Ordering::Relaxed);
                        }
                    }
                    Record::Unrecorded => return Err(Stop::Nothing),
                    Record::End => ended = true,
                    Record::Gap(_) => {}
                }
                progress.advance(media, &self.stream, length).await?;
            }
        }
        self.finish(&mut progress).await
    }

    /// Waits for more of the journal. False when there will be no more.
    async fn more(&self, offset: u64) -> Result<bool, Stop> {
        let Some(running) = self.shared.media.running(&self.stream) else {
            // Nobody writes it now: it waits for its encoder, or it is over and its last line is lost.
            let stored = self
                .shared
                .store
                .get::<LiveStream>(&self.stream.live_stream)
                .await;
            let is_over = match stored.map_err(Error::from)? {
                Some(stored) => stored.value.state == State::Ended,
                None => self.recording().await?.is_some(),
            };
            if !is_over {
                self.sleep(LOOK_EVERY).await?;
            }
            return Ok(!is_over);
        };
        let mut journal = running.journal.subscribe();
        drop(running);
        tokio::select! {
            // One that was reopened is found anew.
            _ = journal.wait_for(|length| *length > offset) => Ok(true),
            () = sleep(LOOK_EVERY) => Ok(true),
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
        }
    }

    /// Puts a file of the stream's folder.
    async fn file(&self, name: &str) -> Result<(), Stop> {
        let key = key(&self.stream, name);
        let Some(content) = self.shared.media.stream(&self.stream).read(name).await? else {
            return self.missing(name, &key).await;
        };
        let begun = Instant::now();
        let bytes = content.len() as u64;
        self.put(&key, content, MEDIA).await?;
        histogram!("video_ingest_upload_duration_seconds").record(begun.elapsed().as_secs_f64());
        counter!("video_ingest_uploaded_bytes_total").increment(bytes);
        Ok(())
    }

    /// A file that is named and not there: it was put before the process was killed, or it is lost.
    async fn missing(&self, name: &str, key: &str) -> Result<(), Stop> {
        let found = self.retry(|| self.shared.objects.size(key)).await?;
        if found.is_none() {
            tracing::error!(stream = %self.stream, file = name, "a file of the recording is lost: it is neither here nor in the object store");
        }
        Ok(())
    }

    async fn put(&self, key: &str, content: Bytes, content_type: &'static str) -> Result<(), Stop> {
        let Ok(_permit) = self.shared.permits.acquire().await else {
            return Err(Stop::Cancelled);
        };
        self.retry(|| self.shared.objects.put(key, vec![content.clone()], content_type))
            .await
    }

    /// Tries until it is done, however long the object store is away.
    async fn retry<T, F: Future<Output = marquee_objects::Result<T>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, Stop> {
        let mut backoff = BACKOFF;
        loop {
            let tried = tokio::select! {
                tried = timeout(TRY, work()) => tried,
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            };
            let error = match tried {
                Ok(Ok(done)) => {
                    if backoff > BACKOFF {
                        tracing::info!(stream = %self.stream, "uploading goes on");
                    }
                    gauge!("video_ingest_object_store_up").set(1.0);
                    return Ok(done);
                }
                Ok(Err(error)) if !error.is_transient() => return Err(Error::from(error).into()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", TRY.as_secs()),
            };
            counter!("video_ingest_upload_failures_total").increment(1);
            gauge!("video_ingest_object_store_up").set(0.0);
            if backoff == BACKOFF {
                tracing::warn!(stream = %self.stream, error, "uploading waits for the object store");
            }
            self.sleep(backoff).await?;
            backoff = BACKOFF_MAX.min(backoff * 2);
        }
    }

    async fn sleep(&self, duration: Duration) -> Result<(), Stop> {
        tokio::select! {
            () = sleep(duration) => Ok(()),
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
        }
    }

    /// Everything is there: puts the lists of it, and says so in the store.
    async fn finish(&self, progress: &mut Progress) -> Result<(), Stop> {
        let text = progress::journal(&self.shared.media, &self.stream).await?;
        let mut journal = Journal::replay(&text).map_err(Error::from)?;
        journal.ended = true;
        if journal.segments.is_empty() {
            return Err(Stop::Nothing);
        }
        for (name, playlist) in playlists(&journal) {
            self.put(&key(&self.stream, name), playlist.into(), PLAYLIST)
                .await?;
        }
        // Last: where it is, everything is.
        self.put(&key(&self.stream, JOURNAL), text, TEXT).await?;
        self.note_stored().await?;
        progress.finish(&self.shared.media, &self.stream).await?;
        tracing::info!(stream = %self.stream, "the recording is in the object store");
        Ok(())
    }

    /// In the recording's document, as soon as there is one.
    async fn note_stored(&self) -> Result<(), Stop> {
        loop {
            let id = &self.stream.live_stream;
            let stored = self
                .shared
                .store
                .get::<Recording>(id)
                .await
                .map_err(Error::from)?;
            if let Some(stored) = stored {
                let mut recording = (*stored.value).clone();
                recording.stored = RecordingStorage::Objects;
                let change = Transaction::new()
                    .replace(&recording, &stored.etag)
                    .map_err(Error::from)?;
                match self.shared.store.commit(change).await {
                    Ok(_) => return Ok(()),
                    Err(marquee_documents::Error::Conflict | marquee_documents::Error::NotFound { .. }) => {}
                    Err(error) => return Err(Error::from(error).into()),
                }
            } else if self.is_given_up().await? {
                return Err(Stop::Nothing);
            } else {
                self.sleep(Duration::from_millis(200)).await?;
            }
        }
    }

    /// The stream is over and has no recording: nothing was stored of it, or it was deleted.
    async fn is_given_up(&self) -> Result<bool, Stop> {
        let stored = self
            .shared
            .store
            .get::<LiveStream>(&self.stream.live_stream)
            .await;
        let is_over = stored
            .map_err(Error::from)?
            .is_none_or(|stored| stored.value.state == State::Ended);
        // The two are written together: looked at in this order, a recording that is there is seen.
        Ok(is_over && self.recording().await?.is_none())
    }

    async fn recording(&self) -> Result<Option<Recording>, Stop> {
        let stored = self.shared.store.get::<Recording>(&self.stream.live_stream).await;
        Ok(stored.map_err(Error::from)?.map(|stored| (*stored.value).clone()))
    }
}

/// What a player of the objects reads, for whoever gives them out without this service.
fn playlists(journal: &Journal) -> Vec<(&'static str, String)> {
    const MEDIA_PLAYLIST: &str = "media.m3u8";
    let playlist = journal.playlist(Kind::Vod);
    let (Some(media), Some(init)) = (playlist.render(""), journal.inits.last()) else {
        return Vec::new();
    };
    let variant = Variant {
        uri: MEDIA_PLAYLIST.to_owned(),
        init: init.clone(),
        bandwidth: playlist.bandwidth(),
    };
    let multivariant = MultivariantPlaylist {
        variants: vec![variant],
    };
    vec![(MEDIA_PLAYLIST, media), ("index.m3u8", multivariant.render())]
}

/// A file that is not there is none.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
