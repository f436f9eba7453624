//! Streams that are over: their playlists, as long as their media is there.

use std::sync::Arc;
use std::time::Duration;

use marquee_hls::Kind;
use marquee_proto::name::LiveStreamName;
use quick_cache::sync::Cache;

use crate::broadcast::Playlists;
use crate::error::Result;
use crate::media::MediaRoot;

/// Playlists that are kept rendered; each has some kilobytes per hour.
const CACHED: usize = 500;

/// Finds playlists of streams that do not run.
#[derive(Clone)]
pub(crate) struct Archive {
    media: MediaRoot,
    live_window: Duration,
    rendered: Arc<Cache<(LiveStreamName, Extent), Arc<Playlists>>>,
}

/// How much of a stream a playlist shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    /// What the live playlist showed last.
    Window,
    /// From the first to the last segment.
    Whole,
}

impl Archive {
    pub(crate) fn new(media: MediaRoot, live_window: Duration) -> Self {
        Self {
            media,
            live_window,
            rendered: Arc::new(Cache::new(CACHED)),
        }
    }

    /// The playlists of a stream; none when there is no such stream, or nothing of it to play.
    pub(crate) async fn playlists(
        &self,
        stream: &LiveStreamName,
        extent: Extent,
    ) -> Result<Option<Arc<Playlists>>> {
        let key = (stream.clone(), extent);
        if let Some(playlists) = self.rendered.get(&key) {
            return Ok(Some(playlists));
        }
        let Some(journal) = self.media.stream(stream).journal().await? else {
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

    /// Deletes a stream's media; its playlists are gone with it.
    pub(crate) async fn delete(&self, stream: &LiveStreamName) -> Result<()> {
        let deleted = self.media.stream(stream).delete().await;
        for extent in [Extent::Window, Extent::Whole] {
            self.rendered.remove(&(stream.clone(), extent));
        }
        deleted
    }
}
