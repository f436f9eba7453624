//! A stream on the air, with made-up frames: what the packager gives out is listed at once.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use marquee_hls::{
    AudioConfig, Config, Frame, Journal, LivePlaylist, MediaConfig, Output, Packager, Part, Segment,
    UtcMicros, VideoConfig,
};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000_000;
/// High 3.1, 1280x720, 30000/1001 frames per second.
const AVC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
    0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x75, 0x30, 0x07, 0x8c, 0x18,
    0xcb, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

/// A stream, its playlist, and everything that was given out.
pub(crate) struct Air {
    pub(crate) packager: Packager,
    pub(crate) playlist: LivePlaylist,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) journal: String,
    pub(crate) now: UtcMicros,
    next_ms: u32,
    next_sound: u32,
}

impl Air {
    /// With a window of so many seconds.
    pub(crate) fn new(window: u64) -> Self {
        let config = Config {
            target_duration: Some(2),
            ..Config::default()
        };
        Self::tuned(window, config)
    }

    pub(crate) fn tuned(window: u64, config: Config) -> Self {
        Self {
            packager: Packager::new(config),
            playlist: LivePlaylist::new(Duration::from_secs(window)),
            parts: Vec::new(),
            segments: Vec::new(),
            journal: String::new(),
            now: UtcMicros(NEW_YEAR),
            next_ms: 0,
            next_sound: 0,
        }
    }

    /// An encoder connects.
    pub(crate) fn connect(&mut self) {
        let video = VideoConfig::avc(Bytes::from_static(AVC)).unwrap();
        let audio = AudioConfig::aac(Bytes::from_static(&[0x11, 0x90])).unwrap();
        self.packager.push_config(MediaConfig::Video(video));
        self.packager.push_config(MediaConfig::Audio(audio));
        (self.next_ms, self.next_sound) = (0, 0);
    }

    /// Pictures at `rate` per second with a keyframe at each multiple of `interval`, and sound, for so long. `seen` looks at
    /// the playlist after each change.
    pub(crate) fn send(
        &mut self,
        millis: u32,
        rate: u32,
        interval: u32,
        mut seen: impl FnMut(&LivePlaylist),
    ) {
        let until = self.next_ms + millis;
        let first = (self.next_ms * rate).div_ceil(1_000);
        for k in (first..).take_while(|k| k * 1_000 / rate < until) {
            let dts = k * 1_000 / rate;
            let is_key = dts.is_multiple_of(interval);
            self.now = self.now.plus(1_000_000 / i64::from(rate));
            // Like a camera's, keyframes are larger.
            let size = if is_key { 2_000 } else { 200 };
            let picture = Frame::video(dts, 0, is_key, Bytes::from(vec![dts as u8; size]));
            self.push(picture, &mut seen);
            while self.next_sound * 64 / 3 < dts + 1_000 / rate {
                let sound = Frame::audio(self.next_sound * 64 / 3, Bytes::from_static(&[0x21; 80]));
                self.push(sound, &mut seen);
                self.next_sound += 1;
            }
        }
        self.next_ms = until;
    }

    fn push(&mut self, frame: Frame, seen: &mut impl FnMut(&LivePlaylist)) {
        let outputs = self.packager.push_frame(frame, self.now).unwrap();
        self.take(outputs, seen);
    }

    /// The encoder goes away, for so long.
    pub(crate) fn interrupt(&mut self, away_ms: i64, mut seen: impl FnMut(&LivePlaylist)) {
        let outputs = self.packager.interrupt();
        self.take(outputs, &mut seen);
        self.playlist.interrupt();
        seen(&self.playlist);
        self.now = self.now.plus(away_ms * 1_000);
    }

    /// The process is killed and comes back.
    pub(crate) fn restart(&mut self, window: u64) {
        let journal = Journal::replay(self.journal.as_bytes()).unwrap();
        let config = Config {
            target_duration: Some(2),
            ..Config::default()
        };
        self.packager = Packager::resume(config, journal.state());
        self.playlist = LivePlaylist::of(&journal, Duration::from_secs(window));
    }

    fn take(&mut self, outputs: Vec<Output>, seen: &mut impl FnMut(&LivePlaylist)) {
        for output in outputs {
            self.journal
                .extend(output.record().map(|record| record.to_line()));
            match output {
                Output::Init(init) => self.playlist.init(&init.record),
                Output::Part(part) => {
                    self.playlist.part(&part);
                    self.parts.push(part);
                    seen(&self.playlist);
                }
                Output::Segment(segment) => {
                    self.playlist.segment(segment.record.clone());
                    self.segments.push(segment);
                    seen(&self.playlist);
                }
                Output::Warning(_) => {}
            }
        }
    }
}
