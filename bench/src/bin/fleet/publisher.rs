//! An encoder: a clip in real time over RTMP.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use marquee_rtmp::flv::{Reader, Tag, TagKind};
use marquee_rtmp::media::Video;
use marquee_rtmp::{ClientSession, Limits, Url, client};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const MAX_TAG: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);

pub(crate) fn read(clip: &str) -> Result<Vec<Tag>> {
    let bytes = std::fs::read(clip).with_context(|| clip.to_owned())?;
    let (mut reader, mut data, mut tags) = (Reader::new(MAX_TAG), &bytes[..], Vec::new());
    while let Some(tag) = reader.read(&mut data)? {
        tags.push(tag);
    }
    Ok(tags)
}

/// Publishes for so long, then ends the stream. Tells when the first keyframe was handed to the kernel.
pub(crate) async fn publish(
    tags: &[Tag],
    url: &str,
    length: Duration,
    keyframe: oneshot::Sender<Instant>,
) -> Result<()> {
    let url: Url = url.parse()?;
    let mut socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
    socket.set_nodelay(true)?;
    let mut session = ClientSession::publish(&url, Limits::default(), Duration::ZERO);
    let mut buffer = vec![0; 16 << 10];
    let began = Instant::now();
    while !session.is_active() {
        socket.write_all(&session.take_output()).await?;
        let read = tokio::time::timeout(CONNECT, socket.read(&mut buffer)).await;
        take(&mut session, &buffer[..read??], began)?;
    }
    let (mut keyframe, began_to_send) = (Some(keyframe), tokio::time::Instant::now());
    for tag in tags {
        let due = Duration::from_millis(tag.timestamp.into());
        if due > length {
            break;
        }
        let mut wait = std::pin::pin!(tokio::time::sleep_until(began_to_send + due));
        loop {
            tokio::select! {
                biased;
                () = &mut wait => break,
                read = socket.read(&mut buffer) => take(&mut session, &buffer[..read?], began)?,
            }
            socket.write_all(&session.take_output()).await?;
        }
        match tag.kind {
            TagKind::Audio => session.send_audio(tag.timestamp, &tag.payload)?,
            TagKind::Video => session.send_video(tag.timestamp, &tag.payload)?,
            TagKind::Script => session.send_data(tag.timestamp, &tag.payload)?,
        }
        socket.write_all(&session.take_output()).await?;
        let is_keyframe =
            tag.kind == TagKind::Video && Video::parse(&tag.payload).is_ok_and(|video| video.is_keyframe());
        if is_keyframe && let Some(keyframe) = keyframe.take() {
            // Who does not want to know has gone.
            let _ = keyframe.send(Instant::now());
        }
    }
    session.finish()?;
    socket.write_all(&session.take_output()).await?;
    socket.shutdown().await?;
    Ok(())
}

fn take(session: &mut ClientSession, mut data: &[u8], began: Instant) -> Result<()> {
    if data.is_empty() {
        bail!("the server closed the connection");
    }
    while let Some(event) = session.input(&mut data, began.elapsed())? {
        if let client::Event::Rejected { code, description } = event {
            bail!("the server refuses: {description} ({code})");
        }
    }
    Ok(())
}
