//! What the tests stand on: clips made by ffmpeg, an FLV reader, a publisher, and ffprobe's view of what came out.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod mp4;

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use marquee_hls::{
    AudioConfig, Config, Error, Frame, Init, Journal, Kind, MediaConfig, Output, Packager, Segment, Track,
    UtcMicros, VideoConfig, Warning, init_name, segment_name,
};
use tempfile::TempDir;

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: i64 = 1_767_225_600_000_000;

/// What an RTMP publisher sends, in order.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Config(MediaConfig),
    Frame(Frame),
}

impl Message {
    pub(crate) fn is(&self, track: Track) -> bool {
        match self {
            Self::Config(MediaConfig::Video(_)) => track == Track::Video,
            Self::Config(MediaConfig::Audio(_)) => track == Track::Audio,
            Self::Frame(frame) => frame.track == track,
        }
    }
}

/// Shifts the timestamps of the messages chosen.
pub(crate) fn shifted(messages: &[Message], by_ms: i64, which: impl Fn(&Frame) -> bool) -> Vec<Message> {
    let shift = |message: &Message| match message {
        Message::Frame(frame) if which(frame) => {
            let mut frame = frame.clone();
            frame.dts_ms = frame.dts_ms.wrapping_add(by_ms as u32);
            Message::Frame(frame)
        }
        other => other.clone(),
    };
    messages.iter().map(shift).collect()
}

pub(crate) fn frames(messages: &[Message], track: Track) -> usize {
    let is_frame = |m: &&Message| matches!(m, Message::Frame(f) if f.track == track);
    messages.iter().filter(is_frame).count()
}

/// Runs ffmpeg with the given inputs and encoders and reads the FLV it writes.
pub(crate) fn clip(arguments: &str) -> Vec<Message> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("clip.flv");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1"])
        .args(arguments.split_whitespace())
        .args(["-f", "flv"])
        .arg(&path)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg {arguments}");
    read_flv(&std::fs::read(path).unwrap().into())
}

/// B-frames, 30000/1001 frames per second, a keyframe each 60 frames, and AAC at 44.1 kHz.
pub(crate) fn ntsc_clip(seconds: u32) -> Vec<Message> {
    clip(&format!(
        "-f lavfi -i testsrc2=size=320x180:rate=30000/1001 -f lavfi -i sine=frequency=440:sample_rate=44100 -t {seconds} \
         -c:v libx264 -preset veryfast -bf 3 -g 60 -sc_threshold 0 -c:a aac -ac 2"
    ))
}

/// FLV tags (Adobe FLV 10.1 annex E) of AVC and AAC.
fn read_flv(file: &Bytes) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut at = 9 + 4;
    while at + 11 <= file.len() {
        let head = &file[at..at + 11];
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let dts_ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let body = file.slice(at + 11..at + 11 + size);
        at += 11 + size + 4;
        match (head[0], body.get(1).copied()) {
            (9, Some(0)) => {
                let config = VideoConfig::avc(body.slice(5..)).unwrap();
                messages.push(Message::Config(MediaConfig::Video(config)));
            }
            (9, Some(1)) => {
                let composition_ms = i32::from_be_bytes([body[2], body[3], body[4], 0]) >> 8;
                let keyframe = body[0] >> 4 == 1;
                messages.push(Message::Frame(Frame::video(
                    dts_ms,
                    composition_ms,
                    keyframe,
                    body.slice(5..),
                )));
            }
            (8, Some(0)) => {
                let config = AudioConfig::aac(body.slice(2..)).unwrap();
                messages.push(Message::Config(MediaConfig::Audio(config)));
            }
            (8, Some(1)) => messages.push(Message::Frame(Frame::audio(dts_ms, body.slice(2..)))),
            _ => {}
        }
    }
    messages
}

/// A stream on its way from a publisher to a folder.
pub(crate) struct Stage {
    pub(crate) packager: Packager,
    pub(crate) dir: TempDir,
    pub(crate) inits: Vec<Init>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) journal: String,
    pub(crate) now: UtcMicros,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Stage {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            packager: Packager::new(config),
            dir: TempDir::new().unwrap(),
            inits: Vec::new(),
            segments: Vec::new(),
            warnings: Vec::new(),
            journal: String::new(),
            now: UtcMicros(NEW_YEAR),
        }
    }

    /// Sends all messages at the pace of their arrival: each frame takes the time since the one before of its track.
    pub(crate) fn publish(&mut self, messages: &[Message]) -> Result<(), Error> {
        let mut last: [Option<u32>; 2] = [None; 2];
        for message in messages {
            match message {
                Message::Config(config) => self.packager.push_config(config.clone()),
                Message::Frame(frame) => {
                    let own = &mut last[usize::from(frame.track == Track::Audio)];
                    let step = own.map_or(0, |last| frame.dts_ms.wrapping_sub(last).min(100));
                    *own = Some(frame.dts_ms);
                    self.now = self.now.plus(i64::from(step) * 500);
                    let outputs = self.packager.push_frame(frame.clone(), self.now)?;
                    self.store(outputs);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn interrupt(&mut self) {
        let outputs = self.packager.interrupt();
        self.store(outputs);
    }

    fn store(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if let Some(record) = output.record() {
                self.journal.push_str(&record.to_line());
            }
            match output {
                Output::Init(init) => {
                    let name = init_name(init.record.generation);
                    std::fs::write(self.dir.path().join(name), &init.bytes).unwrap();
                    self.inits.push(init);
                }
                Output::Segment(segment) => {
                    let bytes: Vec<u8> = segment.chunks().flatten().copied().collect();
                    assert_eq!(bytes.len() as u64, segment.record.bytes);
                    let name = segment_name(segment.record.msn);
                    std::fs::write(self.dir.path().join(name), bytes).unwrap();
                    self.segments.push(segment);
                }
                Output::Part(_) => {}
                Output::Warning(warning) => self.warnings.push(warning),
            }
        }
    }

    /// One MP4 file of a generation: the initialization segment and all its segments.
    pub(crate) fn generation(&self, generation: u32) -> PathBuf {
        let mut bytes = std::fs::read(self.dir.path().join(init_name(generation))).unwrap();
        for segment in &self.segments {
            if segment.record.generation == generation {
                bytes.extend(segment.chunks().flatten());
            }
        }
        let path = self.dir.path().join(format!("generation-{generation}.mp4"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The recording's playlist.
    pub(crate) fn vod(&self) -> PathBuf {
        let journal = Journal::replay(self.journal.as_bytes()).unwrap();
        let text = journal.playlist(Kind::Vod).render("").unwrap();
        let path = self.dir.path().join("vod.m3u8");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn durations_us(&self) -> Vec<i64> {
        self.segments.iter().map(|s| s.record.duration_us).collect()
    }

    pub(crate) fn discontinuities(&self) -> Vec<u64> {
        let marked = self.segments.iter().filter(|s| s.record.discontinuity);
        marked.map(|s| s.record.msn).collect()
    }
}

/// A packet as ffprobe sees it, in the units of its track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) seconds: f64,
    pub(crate) duration: i64,
}

/// The packets of one track of a file or playlist.
pub(crate) fn packets(path: &Path, track: Track) -> Vec<Packet> {
    let select = match track {
        Track::Video => "v:0",
        Track::Audio => "a:0",
    };
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", select])
        .args(["-show_packets", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = json["packets"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|packet| Packet {
            pts: packet["pts"].as_i64().unwrap(),
            dts: packet["dts"].as_i64().unwrap(),
            seconds: packet["pts_time"].as_str().unwrap().parse().unwrap(),
            duration: packet["duration"].as_i64().unwrap_or(0),
        })
        .collect()
}

/// The distances between presentation times.
pub(crate) fn steps(packets: &[Packet]) -> Vec<i64> {
    let mut times: Vec<i64> = packets.iter().map(|packet| packet.pts).collect();
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Decodes everything and returns what ffmpeg complains about.
pub(crate) fn decode_errors(path: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-nostdin", "-threads", "1", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
