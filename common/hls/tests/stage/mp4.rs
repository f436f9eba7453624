//! What an Enhanced RTMP encoder would send, out of an MP4 file: Debian's ffmpeg encodes HEVC, AV1, VP9 and Opus, but cannot
//! put them into FLV.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;

/// A coded frame with RTMP's times.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    pub(crate) is_video: bool,
    pub(crate) dts_ms: u32,
    /// What the milliseconds leave out, nanoseconds.
    pub(crate) offset_ns: u32,
    pub(crate) composition_ms: i32,
    pub(crate) keyframe: bool,
    pub(crate) data: Bytes,
}

/// A file's configurations, as sequence headers carry them, and its frames in decoding order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clip {
    /// FourCC and configuration.
    pub(crate) video: Option<([u8; 4], Bytes)>,
    pub(crate) audio: Option<([u8; 4], Bytes)>,
    pub(crate) frames: Vec<Coded>,
}

impl Clip {
    /// Runs ffmpeg with the given inputs and encoders and reads the MP4 it writes.
    pub(crate) fn make(arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin"])
            .args(arguments.split_whitespace())
            .args(["-f", "mp4", "-strict", "-2"])
            .arg(&path)
            .env("SVT_LOG", "0")
            .status()
            .expect("ffmpeg is installed");
        assert!(status.success(), "ffmpeg {arguments}");
        Self::read(&path)
    }

    fn read(path: &Path) -> Self {
        let file = Bytes::from(std::fs::read(path).unwrap());
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json", "-show_entries"])
            .arg("packet=codec_type,pts_time,dts_time,pos,size,flags")
            .arg(path)
            .output()
            .expect("ffprobe is installed");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let packets = json["packets"].as_array().unwrap();
        let seconds =
            |packet: &serde_json::Value, key: &str| -> f64 { packet[key].as_str().unwrap().parse().unwrap() };
        // As FLV writers do, so that nothing is negative.
        let first = packets
            .iter()
            .map(|packet| seconds(packet, "dts_time"))
            .fold(f64::MAX, f64::min);
        let mut clip = Self::default();
        for packet in packets {
            let number = |key: &str| -> usize { packet[key].as_str().unwrap().parse().unwrap() };
            let (pos, size) = (number("pos"), number("size"));
            let millis = |key: &str| (seconds(packet, key) - first) * 1_000.0;
            let (dts, pts) = (millis("dts_time"), millis("pts_time"));
            clip.frames.push(Coded {
                is_video: packet["codec_type"] == "video",
                dts_ms: dts.round() as u32,
                offset_ns: ((dts - dts.floor()) * 1e6) as u32,
                composition_ms: (pts.round() - dts.round()) as i32,
                keyframe: packet["flags"].as_str().unwrap().starts_with('K'),
                data: file.slice(pos..pos + size),
            });
        }
        clip.frames.sort_by_key(|frame| (frame.dts_ms, !frame.is_video));
        for (kind, four_cc) in [
            (b"avcC", *b"avc1"),
            (b"hvcC", *b"hvc1"),
            (b"av1C", *b"av01"),
            (b"vpcC", *b"vp09"),
        ] {
            if let Some(record) = body(&file, kind) {
                clip.video = Some((four_cc, record));
            }
        }
        if let Some(dops) = body(&file, b"dOps") {
            clip.audio = Some((*b"Opus", opus_head(&dops)));
        } else if let Some(esds) = body(&file, b"esds") {
            clip.audio = Some((*b"mp4a", audio_specific_config(&esds)));
        }
        clip
    }

    pub(crate) fn count(&self, is_video: bool) -> usize {
        self.frames
            .iter()
            .filter(|frame| frame.is_video == is_video)
            .count()
    }
}

/// The body of the first box of a kind, wherever it is.
fn body(file: &Bytes, kind: &[u8; 4]) -> Option<Bytes> {
    let moov = file.windows(4).position(|at| at == b"moov")?;
    let at = moov + file[moov..].windows(4).position(|at| at == kind)?;
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    Some(file.slice(at + 4..at - 4 + size))
}

/// `dOps` is big-endian and has no magic; RFC 7845's header is little-endian.
fn opus_head(dops: &[u8]) -> Bytes {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(dops[1]);
    head.extend(dops[2..4].iter().rev());
    head.extend(dops[4..8].iter().rev());
    head.extend(dops[8..10].iter().rev());
    head.extend(&dops[10..]);
    head.into()
}

/// The DecoderSpecificInfo (tag 5) of an elementary stream descriptor.
fn audio_specific_config(esds: &Bytes) -> Bytes {
    let tag = esds
        .windows(5)
        .position(|at| at[..4] == [0x05, 0x80, 0x80, 0x80])
        .unwrap();
    let length = usize::from(esds[tag + 4]);
    esds.slice(tag + 5..tag + 5 + length)
}
