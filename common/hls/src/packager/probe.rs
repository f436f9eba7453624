//! The start of a publish: which tracks there are, and where media time begins.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Config, Expected};
use crate::timeline::Placed;
use crate::{Frame, Track, UtcMicros};

/// Audio that is kept while the first keyframe is waited for.
const MAX_FRAMES: usize = 1_024;
/// How many times longer pictures are waited for that were announced, but of which none has come.
const ANNOUNCED_WAITS: u32 = 5;

/// A frame with its place on the continuous clock and the time it came in.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) placed: Placed,
    pub(super) frame: Frame,
    pub(super) now: UtcMicros,
}

/// Holds frames back until it is known which tracks there are, for a bounded time.
#[derive(Debug, Default)]
pub(super) struct Probe {
    queue: VecDeque<Arrived>,
    bytes: u64,
    first_ms: Option<i64>,
    newest_ms: i64,
    began: Option<UtcMicros>,
    newest: UtcMicros,
    key_ms: Option<i64>,
    has_video: bool,
    has_audio: bool,
}

/// What the probe found.
#[derive(Debug)]
pub(super) struct Found {
    /// Frames in the order they came, from the first keyframe on.
    pub(super) frames: VecDeque<Arrived>,
    /// Where media time begins on the clock.
    pub(super) origin_ms: i64,
    pub(super) video: bool,
    pub(super) audio: bool,
}

impl Probe {
    /// Takes a frame. Returns false if it is left out since no keyframe came before it.
    pub(super) fn push(&mut self, arrived: Arrived, max_bytes: u64) -> bool {
        let ms = arrived.placed.ms;
        let first_ms = *self.first_ms.get_or_insert(ms);
        self.newest_ms = self.newest_ms.max(ms).max(first_ms);
        self.began.get_or_insert(arrived.now);
        self.newest = arrived.now;
        match arrived.frame.track {
            Track::Audio => self.has_audio = true,
            Track::Video => {
                self.has_video = true;
                if self.key_ms.is_none() {
                    if !arrived.frame.keyframe {
                        return false;
                    }
                    self.key_ms = Some(ms);
                }
            }
        }
        self.bytes += arrived.frame.data.len() as u64;
        self.queue.push_back(arrived);
        // Only sound is in the queue before the first keyframe: what is older than the wait will not be used.
        while self.key_ms.is_none()
            && (self.queue.len() > MAX_FRAMES || self.bytes > max_bytes)
            && let Some(oldest) = self.queue.pop_front()
        {
            self.bytes -= oldest.frame.data.len() as u64;
        }
        true
    }

    /// Media time or wall time since the first frame, whichever is longer.
    pub(super) fn waited(&self) -> Duration {
        let media = self.newest_ms - self.first_ms.unwrap_or(self.newest_ms);
        let wall = self.newest.0 - self.began.unwrap_or(self.newest).0;
        let millis = media.max(wall / 1_000).max(0);
        Duration::from_millis(millis.unsigned_abs())
    }

    /// Whether it is known enough to begin. `video_announced`: there is a sequence header for pictures.
    pub(super) fn is_decided(
        &self,
        config: &Config,
        expected: Option<Expected>,
        video_announced: bool,
    ) -> bool {
        let has_key = self.key_ms.is_some();
        if has_key && self.has_audio {
            return true;
        }
        match expected {
            Some(expected) if has_key && !expected.audio => return true,
            Some(expected) if self.has_audio && !expected.video && !video_announced => return true,
            _ => {}
        }
        let wait = config.missing_track_wait;
        if has_key {
            return self.waited() >= wait
                || self.bytes > config.max_segment_bytes
                || self.queue.len() > MAX_FRAMES;
        }
        // Pictures that do come are waited for until the keyframe limit refuses the stream.
        let waits = if video_announced { ANNOUNCED_WAITS } else { 1 };
        self.has_audio && !self.has_video && self.waited() >= wait.saturating_mul(waits)
    }

    /// Whether pictures are coming without a keyframe.
    pub(super) fn lacks_keyframe(&self) -> bool {
        self.has_video && self.key_ms.is_none()
    }

    /// Begins with what there is; `None` if nothing can be played. `audio_frame_ms` is the length of an audio frame.
    pub(super) fn finish(mut self, audio_frame_ms: i64) -> Option<Found> {
        let video = self.key_ms.is_some();
        if let Some(key_ms) = self.key_ms {
            // Sound that a player would have to play without a picture.
            let earliest = key_ms - audio_frame_ms;
            self.queue.retain(|arrived| arrived.placed.ms >= earliest);
        } else if self.has_video {
            return None;
        }
        let origin_ms = self.queue.iter().map(|arrived| arrived.placed.ms).min()?;
        let audio = self
            .queue
            .iter()
            .any(|arrived| arrived.frame.track == Track::Audio);
        Some(Found {
            frames: self.queue,
            origin_ms,
            video,
            audio,
        })
    }
}
