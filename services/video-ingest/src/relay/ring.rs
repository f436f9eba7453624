//! The newest tags of a stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::class::{Class, Slot, announced, class, is_metadata};
use super::clock::Clock;
use super::{Reader, RelayConfig, Tag, TagKind};

/// Headers of one stream: metadata, and two for each of a few tracks. More are an encoder's that makes no sense.
const HEADERS: usize = 32;
/// What a tag costs beside its body, so that a flood of empty frames is bounded as well.
const OVERHEAD: usize = 64;
/// How long pictures that the metadata announce are waited for before sound alone is played, milliseconds.
const ANNOUNCED: u32 = 5_000;

/// The newest tags of one stream. Written by its broadcast, read by [`Reader`]s.
#[derive(Debug)]
pub(crate) struct Ring {
    config: RelayConfig,
    state: Mutex<State>,
    pub(super) changed: Notify,
    pub(super) readers: AtomicUsize,
}

/// What a reader that begins has to know first.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers(Vec<(Slot, Tag)>);

#[derive(Debug)]
struct Start {
    at: u64,
    headers: Arc<Headers>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tags: VecDeque<Tag>,
    /// Number of the first of them, counted over the stream's life.
    pub(super) first: u64,
    bytes: usize,
    headers: Arc<Headers>,
    /// Keyframes that are kept, with what was known then.
    starts: VecDeque<Start>,
    clock: Clock,
    /// Until when (of the clock) announced pictures are waited for; none when there are none.
    announced: Option<u32>,
    /// Pictures without the keyframe before them are of no use.
    needs_keyframe: bool,
    /// What comes next is of another encoder.
    is_fresh: bool,
    pub(super) is_over: bool,
}

impl Ring {
    pub(crate) fn new(config: RelayConfig) -> Self {
        let state = State {
            is_fresh: true,
            ..State::default()
        };
        Self {
            config,
            state: Mutex::new(state),
            changed: Notify::new(),
            readers: AtomicUsize::new(0),
        }
    }

    /// A reader that begins with the newest keyframe, or with the next one.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader::new(self.clone())
    }

    /// Takes what the encoder sent.
    pub(crate) fn push(&self, tags: Vec<Tag>) {
        if tags.is_empty() {
            return;
        }
        let is_read = self.readers.load(Ordering::Acquire) > 0;
        {
            let mut state = self.state.lock();
            for tag in tags {
                state.push(tag);
            }
            state.trim(&self.config, is_read);
        }
        if is_read {
            self.changed.notify_waiters();
        }
    }

    /// The encoder is gone; another one may come.
    pub(crate) fn interrupt(&self) {
        self.state.lock().is_fresh = true;
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_waiters();
    }

    /// Nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.tags.len(), state.bytes)
    }
}

impl Headers {
    fn set(&mut self, slot: Slot, tag: Tag) {
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == slot) {
            known.1 = tag;
        } else if self.0.len() < HEADERS {
            self.0.push((slot, tag));
        }
    }

    /// The video track whose keyframes count: the lowest.
    fn main(&self) -> u16 {
        let tracks = self.0.iter().filter(|(slot, _)| slot.kind == TagKind::Video);
        tracks.map(|(slot, _)| slot.track).min().unwrap_or(0)
    }

    pub(super) fn has(&self, kind: TagKind) -> bool {
        self.0.iter().any(|(slot, _)| slot.kind == kind)
    }

    /// Sound and pictures: there are headers of them, or the metadata announce them.
    pub(super) fn tracks(&self) -> (bool, bool) {
        let metadata = self.0.iter().find(|(slot, _)| slot.kind == TagKind::Script);
        let (audio, video) = metadata.map_or((false, false), |(_, tag)| announced(tag));
        (
            audio || self.has(TagKind::Audio),
            video || self.has(TagKind::Video),
        )
    }

    /// Metadata first, as players want it; the others with this timestamp.
    pub(super) fn tags(&self, timestamp: u32) -> impl Iterator<Item = Tag> {
        let of = move |is_script: bool| {
            let fits = move |(slot, _): &&(Slot, Tag)| (slot.kind == TagKind::Script) == is_script;
            self.0.iter().filter(fits)
        };
        let all = of(true).chain(of(false));
        all.map(move |(_, tag)| {
            given_out(Tag {
                timestamp,
                ..tag.clone()
            })
        })
    }
}

/// As readers get it. Metadata are of all time: ffmpeg takes those with another timestamp than 0 for a track of text.
pub(super) fn given_out(mut tag: Tag) -> Tag {
    if is_metadata(&tag) {
        tag.timestamp = 0;
    }
    tag
}

impl State {
    fn push(&mut self, tag: Tag) {
        if std::mem::take(&mut self.is_fresh) {
            self.clock.restart();
            self.headers = Arc::default();
            self.needs_keyframe = true;
            self.announced = None;
        }
        let is_video = tag.kind == TagKind::Video;
        let timestamp = match class(&tag, self.headers.main()) {
            Class::Nothing => return,
            Class::Header(slot) => {
                if slot.kind == TagKind::Script && announced(&tag).1 {
                    self.announced = Some(self.clock.newest().wrapping_add(ANNOUNCED));
                }
                Arc::make_mut(&mut self.headers).set(slot, tag.clone());
                self.clock.header(tag.timestamp)
            }
            Class::Frame if is_video && self.needs_keyframe => return,
            Class::Frame => self.clock.frame(tag.timestamp, is_video),
            Class::Keyframe => {
                self.needs_keyframe = false;
                let timestamp = self.clock.frame(tag.timestamp, true);
                self.starts.push_back(Start {
                    at: self.end(),
                    headers: self.headers.clone(),
                });
                timestamp
            }
        };
        self.bytes += OVERHEAD + tag.payload.len();
        self.tags.push_back(Tag { timestamp, ..tag });
    }

    /// Lets go of what nobody may still want: what is older than the newest group of pictures goes at once while nobody
    /// reads.
    fn trim(&mut self, config: &RelayConfig, is_read: bool) {
        let millis = |duration: std::time::Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let lag = if is_read { millis(config.max_lag) } else { 0 };
        let group = millis(config.max_group);
        let newest = self.starts.back().map_or_else(|| self.end(), |start| start.at);
        while let Some(oldest) = self.tags.front() {
            let age = self.clock.age(oldest.timestamp);
            // Who waits for a keyframe has to find it, however little is kept for those who come.
            let is_wanted = match self.first < newest {
                true => is_read && age <= lag,
                false => age <= group.max(lag),
            };
            if is_wanted && self.bytes <= config.max_bytes {
                break;
            }
            self.bytes -= OVERHEAD + oldest.payload.len();
            self.tags.pop_front();
            self.first += 1;
        }
        while self.starts.front().is_some_and(|start| start.at < self.first) {
            self.starts.pop_front();
        }
    }

    /// The number of the next tag.
    pub(super) fn end(&self) -> u64 {
        self.first + self.tags.len() as u64
    }

    /// Where a reader begins now, and with what; none when it has to wait.
    pub(super) fn start(&self) -> Option<(u64, u32, Arc<Headers>)> {
        if let Some(start) = self.starts.back() {
            let index = usize::try_from(start.at - self.first).ok()?;
            let timestamp = self.tags.get(index)?.timestamp;
            return Some((start.at, timestamp, start.headers.clone()));
        }
        // Sound alone can be begun anywhere.
        let now = self.clock.newest();
        let is_waited_for = self
            .announced
            .is_some_and(|until| until.wrapping_sub(now) <= ANNOUNCED);
        let is_sound =
            !is_waited_for && !self.headers.has(TagKind::Video) && self.headers.has(TagKind::Audio);
        is_sound.then(|| (self.end(), now, self.headers.clone()))
    }
}
