//! Somebody who follows a stream.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ring::given_out;
use super::{Ring, Tag};

/// What came of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There are tags.
    Tags {
        /// The reader was too slow: so many were left out before them.
        lost: u64,
    },
    /// The stream is over, and all of it was read.
    End,
}

/// Follows one stream, from the headers and the newest keyframe on.
#[derive(Debug)]
pub(crate) struct Reader {
    ring: Arc<Ring>,
    /// The number of the next tag; none while there is no keyframe to begin with.
    next: Option<u64>,
    /// The number after the last one that was read: it never goes back.
    seen: u64,
    lost: u64,
    tracks: (bool, bool),
}

impl Reader {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        ring.readers.fetch_add(1, Ordering::AcqRel);
        Self {
            ring,
            next: None,
            seen: 0,
            lost: 0,
            tracks: (false, false),
        }
    }

    /// Whether there is sound, and are pictures: known once something was read.
    pub(crate) fn tracks(&self) -> (bool, bool) {
        self.tracks
    }

    /// Passes over what comes until the next keyframe that it has not read.
    pub(crate) fn skip(&mut self) {
        self.next = None;
    }

    /// Waits for more and puts it into `tags`: one at least, and no further one once there are `bytes`.
    pub(crate) async fn take(&mut self, bytes: usize, tags: &mut Vec<Tag>) -> Taken {
        loop {
            let ring = self.ring.clone();
            let mut changed = pin!(ring.changed.notified());
            // From now on, so that what comes between the look and the wait is not missed.
            changed.as_mut().enable();
            if let Some(taken) = self.look(bytes, tags) {
                return taken;
            }
            changed.await;
        }
    }

    /// What there is now.
    pub(super) fn look(&mut self, mut bytes: usize, tags: &mut Vec<Tag>) -> Option<Taken> {
        let state = self.ring.lock();
        if let Some(next) = self.next
            && next < state.first
        {
            self.lost += state.first - next;
            self.next = None;
        }
        let before = tags.len();
        let mut next = match self.next {
            Some(next) => next,
            None => match state.start().filter(|(at, ..)| *at >= self.seen) {
                Some((at, timestamp, headers)) => {
                    self.tracks = headers.tracks();
                    tags.extend(headers.tags(timestamp));
                    at
                }
                None if state.is_over => return Some(Taken::End),
                None => return None,
            },
        };
        let index = usize::try_from(next - state.first).unwrap_or(usize::MAX);
        for tag in state.tags.iter().skip(index) {
            tags.push(given_out(tag.clone()));
            next += 1;
            bytes = bytes.saturating_sub(tag.payload.len());
            if bytes == 0 {
                break;
            }
        }
        self.next = Some(next);
        self.seen = next;
        match (tags.len() > before, state.is_over) {
            (true, _) => Some(Taken::Tags {
                lost: std::mem::take(&mut self.lost),
            }),
            (false, true) => Some(Taken::End),
            (false, false) => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ring.readers.fetch_sub(1, Ordering::AcqRel);
    }
}
