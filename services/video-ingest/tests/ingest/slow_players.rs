//! Players that are too slow, or too many.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use marquee_rtmp::flv::{Tag, TagKind};
use marquee_testkit::wait_for;

use crate::clip::clip;
use crate::encoder::Encoder;
use crate::hls::get;
use crate::plays::sent;
use crate::stage::{LIMIT, Stage};
use crate::story::Story;
use crate::viewer::{Viewer, has};

#[tokio::test]
async fn a_slow_player_loses_whole_groups_and_holds_nobody_up() {
    let (stage, _folder) = Stage::tuned(|config| config.relay.max_lag = Duration::from_secs(1)).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    story.expect("started").await;
    let url = format!("rtmp://{}/live/c", clients.rtmp);
    let mut slow = Viewer::rtmp(&url).await.unwrap();
    let mut quick = Viewer::rtmp(&url).await.unwrap();
    // 24 MB, which no buffer between holds.
    let filler = picture_of(80_000).split_off(sent(TagKind::Video, 40)[0].payload.len());
    let pictures = clip().frames.iter().filter(|tag| tag.kind == TagKind::Video);
    for (n, tag) in pictures.take(300).enumerate() {
        let body = [&tag.payload[..], &filler].concat().into();
        let timestamp = 1_000 + u32::try_from(n).unwrap() * 40;
        encoder.send_tag(TagKind::Video, timestamp, &body).await.unwrap();
        if n % 10 == 9 {
            quick.until("what was sent", has(TagKind::Video, timestamp)).await;
        }
    }
    let of_interest = |tag: &&Tag| tag.timestamp >= 1_000;
    let all = quick.frames(TagKind::Video).into_iter().filter(of_interest);
    assert_eq!(all.count(), 300, "who reads loses nothing");
    slow.until("the last picture", has(TagKind::Video, 12_960)).await;
    let pictures = slow.frames(TagKind::Video);
    assert!(pictures.len() < 300, "{} pictures", pictures.len());
    let mut gaps = 0;
    for pair in pictures.windows(2) {
        let is_gap = pair[1].timestamp > pair[0].timestamp + 100;
        gaps += usize::from(is_gap);
        assert!(
            !is_gap || pair[1].payload[0] == 0x17,
            "a gap ends with a keyframe"
        );
    }
    assert!(gaps > 0);
}

#[tokio::test]
async fn there_are_as_many_players_as_may_be() {
    let (stage, _folder) = Stage::tuned(|config| config.plays.max_players = 1).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    story.expect("started").await;
    let url = format!("rtmp://{}/live/c", clients.rtmp);
    let first = Viewer::rtmp(&url).await.unwrap();
    let Err(refused) = Viewer::rtmp(&url).await else {
        panic!("a second player")
    };
    assert!(refused.description.contains("too many players"), "{refused:?}");
    let answer = get(clients.http, "/live/c/index.flv").await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.text().contains("TOO_MANY_PLAYERS"));
    drop(first);
    wait_for("the place", LIMIT, async || Viewer::rtmp(&url).await.ok())
        .await
        .unwrap();
    assert!(encoder.is_wanted().await);
}

#[tokio::test]
async fn a_player_that_takes_nothing_gives_its_place_back() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.plays.max_players = 1;
        config.plays.stall = Duration::from_millis(300);
    })
    .await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    story.expect("started").await;
    let url = format!("rtmp://{}/live/c", clients.rtmp);
    let mut timestamp = 1_000;
    for is_rtmp in [true, false] {
        // The place of the one before is free a moment later.
        let stuck = wait_for("a place", LIMIT, async || {
            if is_rtmp {
                return Viewer::rtmp(&url).await.ok();
            }
            let (head, viewer) = Viewer::flv(clients.http, "/live/c/index.flv").await;
            head.contains("200 OK").then_some(viewer)
        })
        .await
        .unwrap();
        // More than any buffer between holds, until the place is free.
        let picture = picture_of(200_000);
        let next = async {
            loop {
                encoder
                    .send_tag(TagKind::Video, timestamp, &picture)
                    .await
                    .unwrap();
                timestamp += 40;
                if timestamp % 800 == 0
                    && let Ok(next) = Viewer::rtmp(&url).await
                {
                    return next;
                }
            }
        };
        let next = tokio::time::timeout(LIMIT, next).await.expect("the place");
        drop((next, stuck));
    }
}

/// A keyframe of the clip with so many bytes more, in an NAL unit of type 12, which is filler.
fn picture_of(bytes: u32) -> Bytes {
    let mut picture = BytesMut::from(&sent(TagKind::Video, 40)[0].payload[..]);
    picture.put_u32(bytes);
    picture.put_u8(12);
    picture.put_bytes(0xFF, bytes as usize - 1);
    picture.freeze()
}
