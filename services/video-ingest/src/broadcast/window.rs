//! The live window of one rendition, in memory: what a live player may ask for, served to all as the same bytes.
//!
//! ```text
//!  Actor ── init, part, segment, interrupt, end ──► Window ── Edge ──► watch ──► thousands of blocked requests
//!                                                     │ playlist text: rendered once per state, by the first who asks
//!                                                     └ media: parts as they came; made one piece by the first who asks
//! ```
//!
//! A request that waits costs a receiver of the one watch channel and no timer: the actor's clock wakes all that wait once a
//! second while nothing comes ([`Window::tick`]), and each then sees for itself how long it has waited.

mod media;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use marquee_hls::{
    Decision, Edge, Init, InitRecord, Journal, LivePlaylist, Part, Query, Report, SegmentRecord, Variant,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use media::{Media, Name};
pub(crate) use text::Text;

use media::Memory;

/// The media playlist of a rendition, relative to its folder.
pub(crate) const MEDIA_PLAYLIST: &str = "media.m3u8";

/// One rendition's playlist and media.
#[derive(Debug)]
pub(crate) struct Window {
    inner: Mutex<Inner>,
    state: watch::Sender<State>,
    /// Since the last tick.
    has_moved: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    shows: Duration,
    keeps: Duration,
    playlist: LivePlaylist,
    init: Option<InitRecord>,
    memory: Memory,
    /// Whole, and as a delta update.
    texts: [Option<Arc<Text>>; 2],
}

/// What those who wait look at.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// None while there is nothing to play.
    edge: Option<Edge>,
    /// Nothing will come any more from this process, although the stream is not over.
    closed: bool,
}

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// There is nothing to play, or no such part.
    NotThere,
    /// It did not come in time.
    NotInTime,
    /// It cannot be asked for.
    Refused(marquee_hls::BadRequest),
}

impl Window {
    /// An empty window whose playlist shows so much, and that keeps so much in memory.
    pub(crate) fn new(shows: Duration, keeps: Duration) -> Self {
        let inner = Inner {
            shows,
            keeps,
            playlist: LivePlaylist::new(shows),
            init: None,
            memory: Memory::default(),
            texts: [None, None],
        };
        Self {
            inner: Mutex::new(inner),
            state: watch::Sender::default(),
            has_moved: AtomicBool::new(false),
        }
    }

    // --- the actor

    /// Takes the place of what is shown with what is stored: the media are on disk.
    pub(crate) fn restore(&self, journal: &Journal) {
        self.change(|inner| {
            inner.playlist = LivePlaylist::of(journal, inner.shows);
            inner.init = journal.inits.last().cloned();
            inner.memory = Memory::default();
        });
    }

    /// A generation begins. Nobody is told before its first part.
    pub(crate) fn init(&self, init: &Init) {
        let mut inner = self.inner.lock();
        inner.playlist.init(&init.record);
        inner.init = Some(init.record.clone());
        inner.memory.init(init.record.generation, init.bytes.clone());
    }

    /// A part is complete, and maybe its segment with it.
    pub(crate) fn part(&self, part: Arc<Part>, segment: Option<SegmentRecord>) {
        self.change(|inner| {
            inner.playlist.part(&part);
            inner.memory.part(part);
            if let Some(record) = segment {
                inner.segment(record);
            }
        });
    }

    /// A segment is complete whose parts were given before.
    pub(crate) fn segment(&self, record: SegmentRecord) {
        self.change(|inner| inner.segment(record));
    }

    /// The encoder is gone.
    pub(crate) fn interrupt(&self) {
        self.change(|inner| inner.playlist.interrupt());
    }

    /// The stream is over.
    pub(crate) fn end(&self) {
        self.change(|inner| inner.playlist.end());
    }

    /// The process stops: whoever waits is sent away. The playlist stays as it is, since the stream is not over.
    pub(crate) fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    /// Wakes those who wait, so that they see whether they have waited too long.
    pub(crate) fn tick(&self) {
        let has_moved = self.has_moved.swap(false, Ordering::Relaxed);
        if !has_moved && self.state.receiver_count() > 0 {
            self.state.send_modify(|_| {});
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let edge = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            inner.texts = [None, None];
            inner.playlist.edge()
        };
        self.has_moved.store(true, Ordering::Relaxed);
        self.state.send_modify(|state| state.edge = edge);
    }

    // --- readers

    /// Where the playlist stands; none while there is nothing to play.
    pub(crate) fn edge(&self) -> Option<Edge> {
        self.state.borrow().edge
    }

    /// What a multivariant playlist says of it; none while there is nothing to play.
    pub(crate) fn variant(&self, uri: String) -> Option<Variant> {
        self.edge()?;
        let inner = self.inner.lock();
        Some(Variant {
            uri,
            init: inner.init.clone()?,
            bandwidth: inner.playlist.bandwidth(),
        })
    }

    /// The playlist as it is now.
    pub(crate) fn playlist(&self, skip: bool, reports: impl FnOnce() -> Vec<Report>) -> Option<Arc<Text>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let place = &mut inner.texts[usize::from(skip)];
        if place.is_none() {
            *place = Some(Arc::new(Text::new(inner.playlist.render(skip, &reports())?)));
        }
        place.clone()
    }

    /// Waits until the playlist has what is asked for, as the rules say.
    pub(crate) async fn reached(&self, query: &Query) -> Result<(), Missing> {
        self.wait(|state| match state.edge {
            None => Some(Err(Missing::NotThere)),
            Some(edge) => match edge.decide(query) {
                Decision::Serve => Some(Ok(())),
                Decision::Refuse(reason) => Some(Err(Missing::Refused(reason))),
                Decision::Wait => None,
            },
        })
        .await
    }

    /// Whether a request would have to wait.
    pub(crate) fn would_wait(&self, query: &Query) -> bool {
        self.edge()
            .is_some_and(|edge| edge.decide(query) == Decision::Wait)
    }

    /// Media that is in memory.
    pub(crate) fn media(&self, name: Name) -> Option<Media> {
        self.inner.lock().memory.get(name)
    }

    /// Whether this is the part that will come next.
    pub(crate) fn is_hinted(&self, run: u32, number: u64) -> bool {
        let hint = self.edge().and_then(|edge| edge.hint);
        hint == Some((run, number))
    }

    /// Waits for the part that is hinted (RFC 8216bis 6.2.6).
    pub(crate) async fn hinted(&self, run: u32, number: u64) -> Result<Bytes, Missing> {
        let arrived = |state: &State| match state.edge?.hint {
            Some(hint) if hint == (run, number) => None,
            _ => Some(Ok(())),
        };
        self.wait(arrived).await?;
        match self.media(Name::Part { run, number }) {
            Some(media) => Ok(media.into_bytes()),
            None => Err(Missing::NotThere),
        }
    }

    async fn wait(&self, answer: impl Fn(&State) -> Option<Result<(), Missing>>) -> Result<(), Missing> {
        let mut states = self.state.subscribe();
        let began = Instant::now();
        loop {
            let patience = {
                let state = states.borrow_and_update();
                if let Some(answer) = answer(&state) {
                    return answer;
                }
                if state.closed {
                    return Err(Missing::NotInTime);
                }
                state.edge.map_or(Duration::ZERO, |edge| edge.patience())
            };
            if began.elapsed() > patience || states.changed().await.is_err() {
                return Err(Missing::NotInTime);
            }
        }
    }
}

impl Inner {
    fn segment(&mut self, record: SegmentRecord) {
        self.memory.segment(&record);
        // Parts are of use for three target durations after their tags are gone, which stay as long (RFC 8216bis 6.2.2).
        let parts = Duration::from_secs(6 * u64::from(record.target_duration));
        self.playlist.segment(record);
        self.memory.forget(self.keeps.max(parts));
    }
}

#[cfg(test)]
mod tests;
