//! Stock ffmpeg and ffprobe as encoder and player.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

/// Frames per second of what [`publish`] sends.
pub const FRAME_RATE: u32 = 25;

/// How long reading something with ffmpeg may take.
const READ: Duration = Duration::from_secs(90);

/// A running ffmpeg that publishes test pictures and a tone. It is killed when dropped.
pub struct Encoder {
    child: Child,
}

/// Publishes in real time: 640x360 H.264 with a keyframe a second, AAC. `seconds` of `None` is until it is killed.
///
/// # Errors
/// When ffmpeg cannot be started.
pub fn publish(url: &str, seconds: Option<u32>) -> Result<Encoder> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        &format!("testsrc2=size=640x360:rate={FRAME_RATE}"),
    ]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "25",
        "-bf",
        "2",
    ]);
    command.args(["-b:v", "800k", "-c:a", "aac", "-b:a", "96k"]);
    if let Some(seconds) = seconds {
        command.args(["-t", &seconds.to_string()]);
    }
    command.args(["-f", "flv", url]);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    Ok(Encoder {
        child: child.context("cannot start ffmpeg")?,
    })
}

impl Encoder {
    /// Kills it as `kill -9` does: the connection breaks without a goodbye.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end and returns whether it succeeded, and what it said.
    ///
    /// # Errors
    /// When it does not end within 90 seconds.
    pub async fn finish(self) -> Result<(bool, String)> {
        let output = tokio::time::timeout(READ, self.child.wait_with_output()).await??;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// Ends it as Ctrl-C does: the stream is finished properly.
    ///
    /// # Errors
    /// When it does not end within 90 seconds.
    pub async fn stop(self) -> Result<(bool, String)> {
        let pid = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(pid.context("ffmpeg is gone")?, rustix::process::Signal::INT)?;
        self.finish().await
    }
}

/// What a player saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Presentation times of the pictures in seconds, as they were read.
    pub video: Vec<f64>,
    /// Of the audio frames.
    pub audio: Vec<f64>,
}

impl Played {
    /// Seconds from the first to the last picture.
    pub fn video_seconds(&self) -> f64 {
        match (self.video.first(), self.video.last()) {
            (Some(first), Some(last)) => last - first,
            _ => 0.0,
        }
    }
}

/// Reads a finished playlist, or `seconds` of a live one, and returns what was in it.
///
/// # Errors
/// When ffprobe fails, with what it says.
pub async fn play(url: &str, seconds: Option<u32>) -> Result<Played> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-hide_banner",
        "-loglevel",
        "error",
        "-of",
        "json",
        "-show_entries",
        "packet=codec_type,pts_time",
    ]);
    if let Some(seconds) = seconds {
        command.args(["-read_intervals", &format!("%+{seconds}")]);
    }
    command.arg(url).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(READ, command.output())
        .await
        .with_context(|| format!("reading {url}"))??;
    if !output.status.success() {
        bail!(
            "ffprobe cannot read {url}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let times = |kind: &str| {
        let packets = answer["packets"].as_array().into_iter().flatten();
        packets
            .filter(|packet| packet["codec_type"] == kind)
            .filter_map(|packet| packet["pts_time"].as_str()?.parse().ok())
            .collect()
    };
    Ok(Played {
        video: times("video"),
        audio: times("audio"),
    })
}

/// Decodes all of it, or `seconds` of a live playlist, and returns how many pictures came out.
///
/// # Errors
/// When ffmpeg reports an error.
pub async fn decode(url: &str, seconds: Option<u32>) -> Result<u64> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i", url]);
    if let Some(seconds) = seconds {
        command.args(["-t", &seconds.to_string()]);
    }
    command
        .args(["-map", "0:v", "-f", "null", "-progress", "pipe:1", "-"])
        .kill_on_drop(true);
    let output = tokio::time::timeout(READ, command.output())
        .await
        .with_context(|| format!("decoding {url}"))??;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.trim().is_empty() {
        bail!("ffmpeg cannot decode {url}: {said}");
    }
    let progress = String::from_utf8_lossy(&output.stdout).into_owned();
    let frames = progress
        .lines()
        .filter_map(|line| line.strip_prefix("frame="))
        .next_back();
    frames
        .and_then(|frames| frames.trim().parse().ok())
        .context("ffmpeg did not count frames")
}
