//! FLV over HTTP: the stream as it comes, for mpegts.js and the like.
//!
//! ```text
//! /live/{channel}/{stream}.flv     one broadcast
//! /live/{channel}/index.flv        what the channel has on the air
//! ```

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use futures::stream;
use marquee_rtmp::flv;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::answer::problem;
use super::gate;
use crate::error::{Error, Result};
use crate::playback::Visitor;
use crate::plays::{Play, Plays, RECHECK, Wanted};
use crate::relay::{Tag, Taken};

/// Bytes of tags that are sent at once; a single tag may be longer.
const BATCH: usize = 64 << 10;
/// Shorter bodies are copied between the headers of tags: a piece of its own costs more.
const SMALL: usize = 1_024;
/// What the name of a broadcast ends with.
const SUFFIX: &str = ".flv";
/// Instead of a broadcast's name.
const CURRENT: &str = "index";

/// The routes of FLV.
pub(crate) fn flv(plays: Plays) -> Router {
    Router::new()
        .route("/live/{channel}/{stream}", get(live))
        .with_state(plays)
}

/// The broadcast that a file's name is about: none for the current one; an error for what is no FLV.
pub(super) fn stream(file: &str) -> Option<Option<&str>> {
    let stream = file.strip_suffix(SUFFIX)?;
    Some((stream != CURRENT).then_some(stream))
}

async fn live(
    State(plays): State<Plays>,
    Path((channel, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (address, player, token) = gate::visiting(&request);
    // A body may not be shared between tasks, and is not needed.
    drop(request);
    let asked = Asked {
        channel: &channel,
        file: &file,
        address,
        player: &player,
        token: token.as_deref(),
    };
    open(plays, asked).await.unwrap_or_else(|error| problem(&error))
}

struct Asked<'a> {
    channel: &'a str,
    file: &'a str,
    address: IpAddr,
    player: &'a str,
    token: Option<&'a str>,
}

async fn open(plays: Plays, asked: Asked<'_>) -> Result<Response> {
    let stream = stream(asked.file).ok_or_else(|| Error::not_found("PATH_NOT_FOUND", "this path"))?;
    let wanted = Wanted {
        channel: asked.channel,
        stream,
        token: asked.token,
        visitor: Visitor {
            address: asked.address,
            player: asked.player,
        },
        protocol: "http-flv",
    };
    let play = plays.open(&wanted).await?;
    let (sender, receiver) = mpsc::channel(1);
    let (shutdown, stall) = (plays.shutdown.clone(), plays.config.stall);
    plays.tasks.spawn(async move {
        let sending = send(play, sender, stall);
        shutdown.run_until_cancelled(sending).await;
    });
    let mut response = Response::new(body(receiver));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/x-flv"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // NGINX, and those who do as it does: every piece goes on at once.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

/// Sends a player what it plays until the stream is over, or the player is gone, takes nothing for `stall`, or may not go on.
async fn send(mut play: Play, sender: mpsc::Sender<Vec<Bytes>>, stall: Duration) {
    let mut rechecks = interval(RECHECK);
    rechecks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rechecks.reset();
    let mut writer = Writer::default();
    let mut tags = Vec::new();
    loop {
        tokio::select! {
            taken = play.reader.take(BATCH, &mut tags) => {
                if taken == Taken::End {
                    return;
                }
                if let Taken::Tags { lost } = taken && lost > 0 {
                    metrics::counter!("video_ingest_relay_lost_tags_total").increment(lost);
                }
                let pieces = writer.write(play.reader.tracks(), &mut tags);
                play.sent(pieces.iter().map(Bytes::len).sum());
                match timeout(stall, sender.send(pieces)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        metrics::counter!("video_ingest_players_stalled_total").increment(1);
                        tracing::info!(stream = %play.stream(), "a player takes nothing any more");
                        return;
                    }
                }
            }
            _ = rechecks.tick() => {
                if let Err(error) = play.recheck().await {
                    tracing::info!(stream = %play.stream(), %error, "a player may not go on");
                    return;
                }
            }
            () = sender.closed() => return,
        }
    }
}

/// Tags as the bytes of an FLV stream.
#[derive(Default)]
struct Writer {
    has_begun: bool,
}

impl Writer {
    /// Large bodies are pieces of their own, and not copied.
    fn write(&mut self, (audio, video): (bool, bool), tags: &mut Vec<Tag>) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut between = BytesMut::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            flv::write_header(audio, video, &mut between);
        }
        for tag in tags.drain(..) {
            let length = tag.payload.len();
            if length > flv::LONGEST_PAYLOAD {
                continue;
            }
            if length <= SMALL {
                flv::write_tag(tag.kind, tag.timestamp, &tag.payload, &mut between);
                continue;
            }
            flv::write_tag_head(tag.kind, tag.timestamp, length, &mut between);
            pieces.push(between.split().freeze());
            pieces.push(tag.payload);
            flv::write_tag_tail(length, &mut between);
        }
        if !between.is_empty() {
            pieces.push(between.freeze());
        }
        pieces
    }
}

fn body(receiver: mpsc::Receiver<Vec<Bytes>>) -> Body {
    let state = (receiver, VecDeque::new());
    Body::from_stream(stream::unfold(state, |(mut receiver, mut pieces)| async move {
        loop {
            if let Some(piece) = pieces.pop_front() {
                return Some((Ok::<Bytes, Infallible>(piece), (receiver, pieces)));
            }
            pieces = receiver.recv().await?.into();
        }
    }))
}

#[cfg(test)]
mod tests {
    use marquee_rtmp::flv::{Reader, TagKind};

    use super::*;

    #[test]
    fn what_is_written_reads_back_and_large_bodies_are_not_copied() {
        let tag = |kind, timestamp, length: usize| Tag {
            kind,
            timestamp,
            payload: vec![7; length].into(),
        };
        let sent = vec![
            tag(TagKind::Script, 0, 300),
            tag(TagKind::Video, 40, 5_000),
            tag(TagKind::Audio, 42, 200),
            tag(TagKind::Video, u32::MAX, 2_000),
        ];
        let mut writer = Writer::default();
        let first = writer.write((true, true), &mut sent[..3].to_vec());
        let second = writer.write((true, true), &mut sent[3..].to_vec());
        assert_eq!(first[1].as_ptr(), sent[1].payload.as_ptr());
        let bytes = [first, second].concat().concat();
        assert_eq!(bytes[..5], *b"FLV\x01\x05");
        let mut reader = Reader::new(1 << 20);
        let mut data = &bytes[..];
        let mut read = Vec::new();
        while let Some(tag) = reader.read(&mut data).unwrap() {
            read.push(tag);
        }
        assert_eq!(read, sent);
    }

    #[test]
    fn the_name_says_which_broadcast() {
        assert_eq!(stream("s1.flv"), Some(Some("s1")));
        assert_eq!(stream("index.flv"), Some(None));
        assert_eq!(stream("s1.mp4"), None);
    }
}
