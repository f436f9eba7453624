//! What is deleted when, without anybody asking: to make room, and because it is kept somewhere else by now.
//!
//! In this order, and of each the oldest first:
//!
//! 1. media of streams that are over and were not recorded;
//! 2. the disk's copy of a recording that is in the object store;
//! 3. recordings, when a quota is reached: those of the disk for the disk's, those of the object store for its own.
//!
//! Never what a player may still ask for: a stream that runs (its writer trims what has left the DVR window, see
//! `media/writer.rs`), one that ended within its window, a recording that was played within the last minutes. What waits to
//! be uploaded is in no copy anywhere else, and stays too: when nothing else can go, recording pauses.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{Query, Store};
use marquee_proto::name::LiveStreamName;
use marquee_proto::video_ingest::v1::DeletionReason;
use metrics::gauge;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::config::Storage;
use crate::deletions::Deletions;
use crate::domain::{LiveStream, Recording, RecordingStorage, State};
use crate::error::{Result, chain};
use crate::hub::Hub;
use crate::media::MediaRoot;
use crate::quota::{self, Candidate, Excess};

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// When nothing could be deleted, it is tried again so much later: looking costs more than the disk gains by it.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// Recordings read at once.
const PAGE: usize = 200;
/// A folder of which nothing is known is left alone for so long: its stream may be about to start.
const UNKNOWN: Duration = Duration::from_secs(60);

/// Keeps what is kept within its limits.
pub(crate) struct Retention {
    pub(crate) store: Store,
    pub(crate) media: MediaRoot,
    pub(crate) archive: Archive,
    pub(crate) deletions: Deletions,
    pub(crate) hub: Hub,
    pub(crate) storage: Storage,
    /// How long a stream that is over can be played as if it were live.
    pub(crate) linger: Duration,
    pub(crate) began: Instant,
}

impl Retention {
    /// Works until the service stops.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let mut next_sweep = Instant::now();
        let mut next_try = next_sweep;
        loop {
            if let Err(error) = self.make_room(&mut next_try).await {
                tracing::warn!(error = %chain(&error), "no room can be made on the disk now");
            }
            if next_sweep <= Instant::now() {
                if let Err(error) = self.sweep().await {
                    tracing::warn!(error = %chain(&error), "what is not needed cannot be deleted now");
                }
                next_sweep = Instant::now() + self.storage.sweep_every;
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// Looks at the disk, deletes what has to go, and lets writers go on.
    async fn make_room(&self, next_try: &mut Instant) -> Result<()> {
        let room = self.media.room();
        let mut free = self.media.available().await?;
        let excess = room.excess(free);
        let mut freed = Ok(());
        if !excess.is_none() && *next_try <= Instant::now() {
            let before = room.total();
            *next_try = Instant::now() + TRY_EVERY;
            freed = self.free_disk(excess).await;
            if room.total() < before {
                *next_try = Instant::now();
            }
            free = self.media.available().await?;
        }
        room.measured(free);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let show = |name: &'static str, bytes: u64| gauge!(name).set(bytes as f64);
        show("video_ingest_media_bytes", room.total());
        show("video_ingest_media_free_bytes", free);
        show("video_ingest_upload_backlog_bytes", room.waiting());
        freed
    }

    async fn free_disk(&self, mut excess: Excess) -> Result<()> {
        let before = self.media.room().total();
        self.sweep_disk().await?;
        let freed = before.saturating_sub(self.media.room().total());
        excess.total = excess.total.saturating_sub(freed);
        if excess.is_none() {
            return Ok(());
        }
        let mut candidates = Vec::new();
        for recording in self.recordings().await? {
            let stream = recording.live_stream();
            let bytes = self.media.room().of(&stream);
            if bytes == 0 || !self.may_go(&recording).await? {
                continue;
            }
            // One that still has to be uploaded would be lost.
            if recording.stored != RecordingStorage::Objects && self.storage.objects.is_some() {
                continue;
            }
            candidates.push(Candidate {
                channel: recording.channel.clone(),
                bytes,
                what: recording,
            });
        }
        for Candidate { what, bytes, .. } in quota::order(candidates, excess) {
            if what.stored == RecordingStorage::Objects {
                self.media.stream(&what.live_stream()).delete().await?;
            } else {
                tracing::info!(recording = %what.name(), bytes, "the recording is deleted to make room on the disk");
                self.deletions.delete(&what, DeletionReason::Quota).await?;
            }
        }
        Ok(())
    }

    /// What nobody needs any more, and what the object store's quota does not allow.
    async fn sweep(&self) -> Result<()> {
        self.deletions.go_on().await?;
        self.sweep_disk().await?;
        self.free_objects().await
    }

    /// Media of streams that are over, and that are either not kept at all or kept in the object store.
    async fn sweep_disk(&self) -> Result<()> {
        for stream in self.media.streams().await? {
            if self.hub.find(&stream).is_some() || self.media.running(&stream).is_some() {
                continue;
            }
            let live_stream = self.store.get::<LiveStream>(&stream.live_stream).await?;
            let is_over = match &live_stream {
                Some(stored) => self.has_lingered(&stored.value),
                None => self.began.elapsed() >= UNKNOWN,
            };
            if !is_over {
                continue;
            }
            let recording = self.store.get::<Recording>(&stream.live_stream).await?;
            let is_needed = match &recording {
                None => false,
                Some(stored) => stored.value.stored != RecordingStorage::Objects || self.was_played(&stream),
            };
            if !is_needed {
                tracing::debug!(%stream, "the disk's copy is deleted");
                self.media.stream(&stream).delete().await?;
            }
        }
        Ok(())
    }

    async fn free_objects(&self) -> Result<()> {
        let limits = self.storage.quota.objects;
        if self.storage.objects.is_none() || (limits.total.is_none() && limits.per_channel.is_none()) {
            return Ok(());
        }
        let recordings = self.recordings().await?;
        let mut channels: HashMap<String, u64> = HashMap::new();
        for recording in &recordings {
            *channels.entry(recording.channel.clone()).or_default() += recording.size_bytes;
        }
        // What is being recorded will be there soon.
        for stream in self.media.streams().await? {
            if self.media.running(&stream).is_some() {
                *channels.entry(stream.channel.clone()).or_default() += self.media.room().of(&stream);
            }
        }
        let mut candidates = Vec::new();
        for recording in recordings {
            if self.may_go(&recording).await? && !self.was_played(&recording.live_stream()) {
                candidates.push(Candidate {
                    channel: recording.channel.clone(),
                    bytes: recording.size_bytes,
                    what: recording,
                });
            }
        }
        for Candidate { what, bytes, channel } in quota::order(candidates, quota::excess(limits, &channels)) {
            tracing::info!(recording = %what.name(), bytes, "the recording is deleted to make room in the object store");
            self.deletions.delete(&what, DeletionReason::Quota).await?;
            if let Some(left) = channels.get_mut(&channel) {
                *left = left.saturating_sub(bytes);
            }
        }
        self.media
            .room()
            .objects_measured(&quota::excess(limits, &channels));
        Ok(())
    }

    /// All of them, oldest first.
    async fn recordings(&self) -> Result<Vec<Recording>> {
        let mut found = Vec::new();
        let mut query = Query::by("by_start").limit(PAGE);
        loop {
            let page = self.store.query::<Recording>(query.clone()).await?;
            found.extend(page.items.iter().map(|stored| (*stored.value).clone()));
            match page.next_page_token {
                Some(token) => query = query.after(&token),
                None => return Ok(found),
            }
        }
    }

    /// Nobody may be watching it any more.
    async fn may_go(&self, recording: &Recording) -> Result<bool> {
        let stream = recording.live_stream();
        if self.hub.find(&stream).is_some() || self.was_played(&stream) {
            return Ok(false);
        }
        let live_stream = self.store.get::<LiveStream>(&stream.live_stream).await?;
        Ok(live_stream.is_none_or(|stored| self.has_lingered(&stored.value)))
    }

    fn was_played(&self, stream: &LiveStreamName) -> bool {
        let within = self.storage.quota.played_within;
        self.archive
            .last_played(stream)
            .is_some_and(|at| at.elapsed() < within)
    }

    fn has_lingered(&self, stream: &LiveStream) -> bool {
        let Some(end) = stream.end_time.filter(|_| stream.state == State::Ended) else {
            return false;
        };
        Timestamp::now().duration_since(end).unsigned_abs() >= self.linger
    }
}
