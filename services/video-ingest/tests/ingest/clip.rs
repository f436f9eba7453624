//! Media to publish, made once by ffmpeg: 25 pictures a second, a keyframe each second, AAC at 48 kHz.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use marquee_rtmp::flv::{Reader, Tag, TagKind};

/// Pictures per second.
pub(crate) const RATE: u32 = 25;
/// Milliseconds of one round of the clip.
pub(crate) const LENGTH: u32 = 20_000;

/// Tags of an FLV file.
pub(crate) struct Clip {
    /// Metadata and sequence headers.
    pub(crate) headers: Vec<Tag>,
    /// Frames by their time.
    pub(crate) frames: Vec<Tag>,
}

const CODECS: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "25",
    "-keyint_min",
    "25",
    "-sc_threshold",
    "0",
    "-bf",
    "2",
    "-b:v",
    "300k",
    "-c:a",
    "aac",
    "-b:a",
    "64k",
];

/// The clip that most tests publish.
pub(crate) fn clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| make(CODECS))
}

/// The same, four times as large.
pub(crate) fn large() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| make_sized("640x360", CODECS))
}

fn make(codecs: &[&str]) -> Clip {
    make_sized("320x180", codecs)
}

fn make_sized(size: &str, codecs: &[&str]) -> Clip {
    let seconds = (LENGTH / 1_000).to_string();
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(["-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate={RATE}")])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(codecs)
        .args([
            "-t",
            &seconds,
            "-f",
            "flv",
            "-flvflags",
            "no_duration_filesize",
            "pipe:1",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut reader = Reader::new(8 << 20);
    let mut data = &output.stdout[..];
    let mut clip = Clip {
        headers: Vec::new(),
        frames: Vec::new(),
    };
    while let Some(tag) = reader.read(&mut data).unwrap() {
        // A sequence header has packet type 0.
        let is_header = tag.kind == TagKind::Script || tag.payload.get(1) == Some(&0);
        if is_header {
            clip.headers.push(tag);
        } else if tag.payload.len() > 5 {
            clip.frames.push(tag);
        }
    }
    clip
}
