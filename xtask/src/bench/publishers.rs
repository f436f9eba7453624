//! Many encoders: stock ffmpeg, one process each, sending one clip again and again without encoding it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::folder::cache;
use crate::run::check;

/// Of the clip, with FLV's own.
pub(super) const MBIT_PER_SECOND: f64 = 2.67;
const CLIP_SECONDS: &str = "60";
/// Between two starts, so that they neither connect nor send their keyframes together.
const APART: Duration = Duration::from_millis(70);

/// Publishers that go on until they are dropped, or `limit` is over.
pub(super) struct Publishers(Vec<Child>);

impl Publishers {
    pub(super) fn start(clip: &Path, urls: &[String], limit: Duration) -> Result<Self> {
        let mut publishers = Self(Vec::new());
        for url in urls {
            let child = Command::new("ffmpeg")
                .args([
                    "-nostdin",
                    "-loglevel",
                    "error",
                    "-re",
                    "-stream_loop",
                    "-1",
                    "-i",
                ])
                .arg(clip)
                .args(["-c", "copy", "-t", &limit.as_secs().to_string(), "-f", "flv", url])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot start ffmpeg")?;
            publishers.0.push(child);
            std::thread::sleep(APART);
        }
        Ok(publishers)
    }

    /// Fails when one has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        for (number, child) in self.0.iter_mut().enumerate() {
            if let Some(status) = child.try_wait()? {
                bail!("publisher {number} ended ({status})");
            }
        }
        Ok(())
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// 720p30, H.264 with a keyframe every 2 s and AAC, 2.67 Mbit/s in all; made once.
pub(super) fn clip() -> Result<PathBuf> {
    let clip = cache()?.join("720p30-2670k.flv");
    if clip.exists() {
        return Ok(clip);
    }
    let new = clip.with_extension("new.flv");
    // Noise, since a test picture alone is too easy to reach the bit rate.
    let picture = "testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            picture,
        ])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args([
            "-t",
            CLIP_SECONDS,
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-profile:v",
            "high",
            "-pix_fmt",
            "yuv420p",
        ])
        .args([
            "-b:v", "2520k", "-minrate", "2520k", "-maxrate", "2520k", "-bufsize", "2520k",
        ])
        .args([
            "-g",
            "60",
            "-keyint_min",
            "60",
            "-sc_threshold",
            "0",
            "-x264-params",
            "nal-hrd=cbr:force-cfr=1",
        ])
        .args(["-c:a", "aac", "-ac", "2", "-b:a", "128k", "-f", "flv"])
        .arg(&new);
    check(&mut ffmpeg)?;
    std::fs::rename(&new, &clip)?;
    Ok(clip)
}
