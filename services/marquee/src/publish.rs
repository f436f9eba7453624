//! `marquee publish`: an FLV file, in real time, over RTMP.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use marquee_rtmp::flv::{Reader, Tag, TagKind};
use marquee_rtmp::media::{Audio, AudioBody, Video, VideoBody};
use marquee_rtmp::{ClientSession, Limits, Url, client};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file: H.264 and AAC in FLV
    file: PathBuf,
    /// Where to: rtmp://host[:port]/live/<stream key>
    url: Url,
    /// Start again at the end of the file, until interrupted
    #[arg(long)]
    r#loop: bool,
}

/// Longest tag that is read from a file, bytes.
const MAX_TAG: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between the last frame of one round and the first of the next, milliseconds.
const LOOP_STEP: u32 = 33;

pub(crate) async fn run(args: Args) -> Result<()> {
    let tags = read(&args.file)?;
    if args.url.tls {
        bail!("rtmps is not offered yet; publish to rtmp://");
    }
    let mut publisher = Publisher::connect(&args.url).await?;
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
                waited = publisher.wait_until(due) => waited?,
                _ = &mut interrupted => return publisher.finish().await,
            }
            publisher.send(tag, offset.wrapping_add(tag.timestamp)).await?;
        }
        round += 1;
        if !args.r#loop {
            return publisher.finish().await;
        }
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

/// A connection that publishes.
struct Publisher {
    socket: TcpStream,
    session: ClientSession,
    began: Instant,
    buffer: Vec<u8>,
}

impl Publisher {
    async fn connect(url: &Url) -> Result<Self> {
        let connect = TcpStream::connect((url.host.as_str(), url.port));
        let address = format!("{}:{}", url.host, url.port);
        let socket = tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .with_context(|| format!("{address} does not answer within {CONNECT_TIMEOUT:?}"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        let session = ClientSession::publish(url, Limits::default(), Duration::ZERO);
        let mut publisher = Self {
            socket,
            session,
            began: Instant::now(),
            buffer: vec![0; 16 << 10],
        };
        while !publisher.session.is_active() {
            publisher.flush().await?;
            publisher.read().await?;
        }
        publisher.flush().await?;
        Ok(publisher)
    }

    /// Waits for the moment of a frame, and meanwhile for what the server has to say.
    async fn wait_until(&mut self, due: Instant) -> Result<()> {
        loop {
            self.flush().await?;
            tokio::select! {
                biased;
                () = sleep_until(due) => return Ok(()),
                read = self.socket.read(&mut self.buffer) => {
                    let length = read.context("the connection broke")?;
                    self.take(length)?;
                }
            }
        }
    }

    async fn send(&mut self, tag: &Tag, timestamp: u32) -> Result<()> {
        match tag.kind {
            TagKind::Audio => self.session.send_audio(timestamp, &tag.payload)?,
            TagKind::Video => self.session.send_video(timestamp, &tag.payload)?,
            TagKind::Script => self.session.send_data(timestamp, &tag.payload)?,
        }
        self.flush().await
    }

    async fn finish(mut self) -> Result<()> {
        self.session.finish()?;
        self.flush().await?;
        self.socket.shutdown().await?;
        eprintln!("done");
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        let deadline = self
            .session
            .deadline()
            .map_or(self.began + CONNECT_TIMEOUT, |at| self.began + at);
        tokio::select! {
            read = self.socket.read(&mut self.buffer) => {
                let length = read.context("the connection broke")?;
                self.take(length)
            }
            () = sleep_until(deadline) => Ok(self.session.tick(self.began.elapsed())?),
        }
    }

    fn take(&mut self, length: usize) -> Result<()> {
        if length == 0 {
            self.session.end_of_input()?;
            bail!("the server closed the connection");
        }
        let mut data = &self.buffer[..length];
        while let Some(event) = self.session.input(&mut data, self.began.elapsed())? {
            if let client::Event::Rejected { code, description } = event {
                bail!("the server refuses: {description} ({code})");
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        while !self.session.output().is_empty() {
            let written = self
                .socket
                .write(self.session.output())
                .await
                .context("the connection broke")?;
            self.session.advance_output(written);
        }
        Ok(())
    }
}
