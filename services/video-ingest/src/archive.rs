//! Streams that are over: their playlists and media, from the disk while it has them, and from the object store.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use marquee_hls::{Journal, Kind};
use marquee_objects::Objects;
use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::broadcast::Playlists;
use crate::error::Result;
use crate::media::{JOURNAL, MediaRoot, is_media_name};
use crate::uploads;

/// Playlists that are kept rendered; each has some kilobytes per hour.
const CACHED: usize = 500;
/// Recordings whose last play is remembered; beyond that the oldest plays are forgotten first.
const PLAYED: usize = 10_000;

/// Finds playlists and media of streams that do not run.
#[derive(Clone)]
pub(crate) struct Archive {
    media: MediaRoot,
    objects: Option<Objects>,
    live_window: Duration,
    rendered: Arc<Cache<(LiveStreamName, Extent), Arc<Playlists>>>,
    played: Arc<Mutex<HashMap<LiveStreamName, Instant>>>,
}

/// How much of a stream a playlist shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    /// What the live playlist showed last.
    Window,
    /// From the first to the last segment.
    Whole,
}

/// A file of a recording, or a part of it.
pub(crate) struct Content {
    /// Bytes of the whole file.
    pub(crate) size: u64,
    /// Which of them are in the body.
    pub(crate) range: Range<u64>,
    /// They come as they are read.
    pub(crate) body: BoxStream<'static, marquee_objects::Result<Bytes>>,
}

impl Archive {
    pub(crate) fn new(media: MediaRoot, objects: Option<Objects>, live_window: Duration) -> Self {
        Self {
            media,
            objects,
            live_window,
            rendered: Arc::new(Cache::new(CACHED)),
            played: Arc::default(),
        }
    }

    /// The playlists of a stream; none when there is no such stream, or nothing of it to play.
    pub(crate) async fn playlists(
        &self,
        stream: &LiveStreamName,
        extent: Extent,
    ) -> Result<Option<Arc<Playlists>>> {
        if extent == Extent::Whole {
            self.note_played(stream);
        }
        let key = (stream.clone(), extent);
        if let Some(playlists) = self.rendered.get(&key) {
            return Ok(Some(playlists));
        }
        let Some(journal) = self.journal(stream).await? else {
            return Ok(None);
        };
        let kind = match extent {
            Extent::Whole => Kind::Vod,
            Extent::Window => Kind::Live {
                window: self.live_window,
            },
        };
        let playlists = Playlists::of(&journal, kind).map(Arc::new);
        if let Some(playlists) = &playlists
            && journal.ended
        {
            self.rendered.insert(key, playlists.clone());
        }
        Ok(playlists)
    }

    async fn journal(&self, stream: &LiveStreamName) -> Result<Option<Journal>> {
        if let Some(journal) = self.media.stream(stream).journal().await? {
            return Ok(Some(journal));
        }
        let Some(objects) = &self.objects else {
            return Ok(None);
        };
        match objects.get(&uploads::key(stream, JOURNAL), None).await? {
            Some(object) => Ok(Some(Journal::replay(&object.bytes().await?)?)),
            None => Ok(None),
        }
    }

    /// A media file, or the part of it that is in `range`; none when there is no such file.
    pub(crate) async fn media(
        &self,
        stream: &LiveStreamName,
        file: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Content>> {
        if !is_media_name(file) {
            return Ok(None);
        }
        self.note_played(stream);
        if let Some(bytes) = self.media.stream(stream).read(file).await? {
            return Content::of(bytes, range).map(Some);
        }
        let Some(objects) = &self.objects else {
            return Ok(None);
        };
        let found = objects.get(&uploads::key(stream, file), range).await?;
        Ok(found.map(|object| Content {
            size: object.size,
            range: object.range,
            body: object.body,
        }))
    }

    /// Bytes of a media file.
    pub(crate) async fn size(&self, stream: &LiveStreamName, file: &str) -> Result<Option<u64>> {
        Ok(self.media(stream, file, None).await?.map(|content| content.size))
    }

    /// When a recording was last played here.
    pub(crate) fn last_played(&self, stream: &LiveStreamName) -> Option<Instant> {
        self.played.lock().get(stream).copied()
    }

    fn note_played(&self, stream: &LiveStreamName) {
        let now = Instant::now();
        let mut played = self.played.lock();
        if let Some(last) = played.get_mut(stream) {
            *last = now;
            return;
        }
        if played.len() >= PLAYED
            && let Some(oldest) = played
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(name, _)| name.clone())
        {
            played.remove(&oldest);
        }
        played.insert(stream.clone(), now);
    }

    /// A stream's playlists are not to be shown any more.
    pub(crate) fn forget(&self, stream: &LiveStreamName) {
        for extent in [Extent::Window, Extent::Whole] {
            self.rendered.remove(&(stream.clone(), extent));
        }
        self.played.lock().remove(stream);
    }
}

impl Content {
    fn of(bytes: Bytes, range: Option<Range<u64>>) -> Result<Self> {
        let size = bytes.len() as u64;
        let range = match range {
            None => 0..size,
            Some(range) if range.start < range.end.min(size) => range.start..range.end.min(size),
            Some(_) => return Err(marquee_objects::Error::Range { size }.into()),
        };
        // A file in memory has less than 2^64 bytes.
        let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let part = bytes.slice(index(range.start)..index(range.end));
        Ok(Self {
            size,
            range,
            body: stream::iter([Ok(part)]).boxed(),
        })
    }
}
