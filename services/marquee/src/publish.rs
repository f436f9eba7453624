//! `marquee publish`: an FLV file, in real time, over RTMP or RTMPS.

mod publisher;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use marquee_rtmp::Url;
use marquee_rtmp::flv::{Reader, Tag, TagKind};
use marquee_rtmp::media::{Audio, AudioBody, Video, VideoBody};
use tokio::time::{Instant, sleep};

use publisher::Publisher;
use tls::Trust;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file: FLV with H.264, H.265, AV1 or VP9, and AAC or Opus
    file: PathBuf,
    /// Where to: rtmp://host[:port]/live/<stream key>, or rtmps:// for TLS
    url: Url,
    /// Certificates that an rtmps:// server may be signed with, a PEM file; without it, those that browsers trust
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Start again at the end of the file, until interrupted
    #[arg(long)]
    r#loop: bool,
}

/// Longest tag that is read from a file, bytes.
const MAX_TAG: usize = 16 << 20;
/// How long another connection is tried for when the server asked for one.
const RECONNECT_WITHIN: Duration = Duration::from_secs(30);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
/// Between the last frame of one round and the first of the next, milliseconds.
const LOOP_STEP: u32 = 33;

pub(crate) async fn run(args: Args) -> Result<()> {
    let tags = read(&args.file)?;
    let trust = Trust::of(args.certificates.as_deref())?;
    let publisher = Publisher::connect(&args.url, &trust).await?;
    let mut broadcast = Broadcast {
        publisher,
        trust,
        headers: tags.iter().filter(|tag| is_header(tag)).cloned().collect(),
        target: None,
    };
    let length = tags.last().map_or(0, |tag| tag.timestamp) + LOOP_STEP;
    eprintln!(
        "publishing {} ({:.1} s{})",
        args.file.display(),
        f64::from(length) / 1_000.0,
        repeats(args.r#loop)
    );

    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let began = Instant::now();
    let mut round = 0_u32;
    loop {
        let offset = round.wrapping_mul(length);
        for tag in &tags {
            // Metadata and sequence headers are sent once; again, they would say the same.
            if round > 0 && is_header(tag) {
                continue;
            }
            let due = began
                + Duration::from_millis(u64::from(round) * u64::from(length) + u64::from(tag.timestamp));
            tokio::select! {
                waited = broadcast.wait_until(due) => waited?,
                _ = &mut interrupted => return broadcast.finish().await,
            }
            broadcast.send(tag, offset.wrapping_add(tag.timestamp)).await?;
        }
        round += 1;
        if !args.r#loop {
            return broadcast.finish().await;
        }
    }
}

/// A publish that goes on elsewhere when the server asks for that.
struct Broadcast {
    publisher: Publisher,
    trust: Trust,
    /// Metadata and sequence headers, for another connection.
    headers: Vec<Tag>,
    /// Where to go on.
    target: Option<Url>,
}

impl Broadcast {
    async fn wait_until(&mut self, due: Instant) -> Result<()> {
        let waited = self.publisher.wait_until(due).await;
        self.heard(waited)
    }

    /// Sends a frame; a keyframe on the new connection, if there is to be one (E-RTMP "Reconnect Request").
    async fn send(&mut self, tag: &Tag, timestamp: u32) -> Result<()> {
        if let Some(target) = self.target.take_if(|_| is_boundary(tag, &self.headers)) {
            let next = self.connect(&target).await?;
            let before = std::mem::replace(&mut self.publisher, next);
            // The server may have gone already.
            let _ = before.finish().await;
            for header in &self.headers {
                self.publisher.send(header, timestamp).await?;
            }
        }
        let sent = self.publisher.send(tag, timestamp).await;
        self.heard(sent)
    }

    /// What a server says or does after it asked us to go on elsewhere ends nothing.
    fn heard(&mut self, result: Result<()>) -> Result<()> {
        if let Some(target) = self.publisher.asked_to_go_to() {
            eprintln!("the server asks for another connection; going on there at the next keyframe");
            self.target = Some(target);
        }
        match result {
            Err(_) if self.target.is_some() => Ok(()),
            other => other,
        }
    }

    async fn finish(self) -> Result<()> {
        self.publisher.finish().await?;
        eprintln!("done");
        Ok(())
    }

    async fn connect(&self, target: &Url) -> Result<Publisher> {
        let until = Instant::now() + RECONNECT_WITHIN;
        loop {
            match Publisher::connect(target, &self.trust).await {
                Err(_) if Instant::now() < until => sleep(RECONNECT_PAUSE).await,
                connected => return connected,
            }
        }
    }
}

/// Where a stream can go on: at a keyframe, or anywhere if there are no pictures.
fn is_boundary(tag: &Tag, headers: &[Tag]) -> bool {
    match tag.kind {
        TagKind::Video => Video::parse(&tag.payload).is_ok_and(|video| video.is_keyframe()),
        TagKind::Audio => !headers.iter().any(|header| header.kind == TagKind::Video),
        TagKind::Script => false,
    }
}

fn repeats(r#loop: bool) -> &'static str {
    if r#loop {
        ", again and again until interrupted"
    } else {
        ""
    }
}

fn read(path: &std::path::Path) -> Result<Vec<Tag>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = Reader::new(MAX_TAG);
    let mut data = &bytes[..];
    let mut tags = Vec::new();
    let failed = || format!("{} is not an FLV file that can be published", path.display());
    while let Some(tag) = reader.read(&mut data).with_context(failed)? {
        tags.push(tag);
    }
    if !tags.iter().any(|tag| tag.kind != TagKind::Script) {
        bail!(
            "{} holds neither audio nor video; make one with `ffmpeg -i in.mp4 -c:v libx264 -c:a aac out.flv`",
            path.display()
        );
    }
    Ok(tags)
}

fn is_header(tag: &Tag) -> bool {
    match tag.kind {
        TagKind::Script => true,
        TagKind::Video => {
            Video::parse(&tag.payload).is_ok_and(|video| !matches!(video.body, VideoBody::CodedFrames { .. }))
        }
        TagKind::Audio => {
            Audio::parse(&tag.payload).is_ok_and(|audio| !matches!(audio.body, AudioBody::CodedFrames { .. }))
        }
    }
}
