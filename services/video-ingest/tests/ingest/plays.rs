//! Players over RTMP and HTTP-FLV: what the encoder sends is what they get.

use std::time::Duration;

use bytes::Bytes;
use marquee_proto::events::v1::Visibility;
use marquee_proto::video_ingest::v1::{GetLiveStreamRequest, LiveStream, RevokePlaybackSessionRequest};
use marquee_rtmp::client::Event;
use marquee_rtmp::flv::{Tag, TagKind};
use marquee_testkit::{ffmpeg, wait_for, wait_until};

use crate::clip::{RATE, clip};
use crate::encoder::Encoder;
use crate::enhanced::{self, Form};
use crate::hls::get;
use crate::logs;
use crate::on_air::OnAir;
use crate::stage::{Clients, LIMIT, OWNER, Stage};
use crate::story::Story;
use crate::viewer::{Viewer, has};

pub(crate) fn sent(kind: TagKind, until: u32) -> Vec<&'static Tag> {
    let frames = clip().frames.iter();
    frames
        .filter(|tag| tag.kind == kind && tag.timestamp < until)
        .collect()
}

fn stream_id(stream: &LiveStream) -> &str {
    stream.name.rsplit('/').next().unwrap()
}

/// Waits until so many watch.
async fn watched(clients: &Clients, stream: &LiveStream, viewers: i32) {
    wait_for("viewers", LIMIT, async || {
        let name = stream.name.clone();
        let found = clients
            .streams()
            .get_live_stream(GetLiveStreamRequest { name })
            .await;
        let figures = found.ok()?.into_inner().live_stream?.figures?;
        (figures.viewers == viewers).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_frame_arrives_with_its_timestamp_over_both_protocols() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    let stream = story.expect("started").await;
    let by_channel = Viewer::rtmp(&format!("rtmp://{}/live/c", clients.rtmp)).await;
    let by_stream = format!("rtmp://{}/live/c/{}", clients.rtmp, stream_id(&stream));
    let by_stream = Viewer::rtmp(&by_stream).await;
    let (head, flv) = Viewer::flv(clients.http, &format!("/live/c/{}.flv", stream_id(&stream))).await;
    let (_, current) = Viewer::flv(clients.http, "/live/c/index.flv").await;
    encoder.send(3_100).await.unwrap();
    clients.arrived(&stream, 3_900).await;
    encoder.finish().await;
    let head = head.to_ascii_lowercase();
    for line in [
        "200 ok",
        "content-type: video/x-flv",
        "cache-control: no-store",
        "x-accel-buffering: no",
    ] {
        assert!(head.contains(line), "{head}");
    }
    for (mut viewer, is_rtmp) in [
        (by_channel.unwrap(), true),
        (by_stream.unwrap(), true),
        (flv, false),
        (current, false),
    ] {
        let said = viewer.until_the_end().await;
        assert_eq!(said, is_rtmp.then_some(Event::PlayFinished));
        let kinds: Vec<TagKind> = viewer.tags.iter().take(2).map(|tag| tag.kind).collect();
        assert_eq!(
            kinds,
            [TagKind::Script, TagKind::Video],
            "metadata, then a header"
        );
        let pictures = viewer.frames(TagKind::Video);
        assert!(
            pictures == sent(TagKind::Video, 4_000),
            "{} pictures",
            pictures.len()
        );
        // What was sent before the first keyframe is of no use.
        let sounds = viewer.frames(TagKind::Audio);
        let all = sent(TagKind::Audio, 4_000);
        assert!(
            all.len() - sounds.len() <= 2 && all.ends_with(&sounds),
            "{} sounds",
            sounds.len()
        );
    }
}

#[tokio::test]
async fn stock_ffprobe_reads_every_timestamp_to_the_tick() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    let stream = story.expect("started").await;
    let urls = [
        format!("rtmp://{}/live/c/{}", clients.rtmp, stream_id(&stream)),
        format!("http://{}/live/c/{}.flv", clients.http, stream_id(&stream)),
    ];
    let probes = urls.map(|url| tokio::spawn(async move { ffmpeg::play(&url, None).await }));
    watched(clients, &stream, 2).await;
    encoder.send(3_100).await.unwrap();
    clients.arrived(&stream, 3_900).await;
    encoder.finish().await;
    let milliseconds = |seconds: &[f64]| -> Vec<i64> {
        let ticks = seconds.iter().map(|seconds| seconds * 1_000.0);
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a short clip")]
        ticks.map(|tick| tick.round() as i64).collect()
    };
    let presented = |tag: &&Tag| {
        let offset = i32::from_be_bytes([tag.payload[2], tag.payload[3], tag.payload[4], 0]) >> 8;
        i64::from(tag.timestamp) + i64::from(offset)
    };
    let pictures: Vec<i64> = sent(TagKind::Video, 4_000).iter().map(presented).collect();
    assert_eq!(pictures.len(), 4 * RATE as usize);
    for probe in probes {
        let played = probe.await.unwrap().unwrap();
        assert_eq!(milliseconds(&played.video), pictures);
        let sounds = milliseconds(&played.audio);
        let all: Vec<i64> = sent(TagKind::Audio, 4_000)
            .iter()
            .map(|tag| i64::from(tag.timestamp))
            .collect();
        assert!(
            all.len() - sounds.len() <= 2 && all.ends_with(&sounds),
            "{sounds:?}"
        );
    }
}

#[tokio::test]
async fn stock_ffmpeg_publishes_and_decodes_over_both_protocols() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let encoder = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), None).unwrap();
    story.expect("started").await;
    for url in [
        format!("rtmp://{}/live/c", clients.rtmp),
        format!("http://{}/live/c/index.flv", clients.http),
    ] {
        let pictures = ffmpeg::decode(&url, Some(3)).await.unwrap();
        assert!(
            pictures >= u64::from(3 * ffmpeg::FRAME_RATE) - 2,
            "{pictures} of {url}"
        );
        assert_eq!(tracks(&url).await, "video\naudio\n", "{url}");
    }
    encoder.stop().await.unwrap();
}

/// What stock ffprobe finds in a live stream.
async fn tracks(url: &str) -> String {
    let probe = tokio::process::Command::new("ffprobe")
        .args(["-hide_banner", "-loglevel", "error", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_type", url])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, probe)
        .await
        .expect("in time")
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_player_may_come_before_the_encoder() {
    let (stage, _folder) = Stage::tuned(|config| config.plays.wait = LIMIT).await;
    let clients = &stage.clients;
    let (rtmp, http) = (clients.rtmp, clients.http);
    for protocol in ["rtmp", "flv"] {
        let channel = format!("early-{protocol}");
        let (_, secret) = clients.key(&channel).await;
        let asked = channel.clone();
        let viewer = tokio::spawn(async move {
            match protocol {
                "rtmp" => Viewer::rtmp(&format!("rtmp://{rtmp}/live/{asked}"))
                    .await
                    .unwrap(),
                _ => Viewer::flv(http, &format!("/live/{asked}/index.flv")).await.1,
            }
        });
        let name = if protocol == "rtmp" { "rtmp" } else { "http-flv" };
        let waits = format!("a player waits for its channel protocol=\"{name}\"");
        wait_until("the player", LIMIT, async || logs::contain(&waits))
            .await
            .unwrap();
        let mut encoder = Encoder::publish(rtmp, &secret).await.unwrap();
        encoder.send(1_000).await.unwrap();
        let mut viewer = viewer.await.unwrap();
        viewer.until("the first second", has(TagKind::Video, 900)).await;
        assert_eq!(viewer.frames(TagKind::Video)[0], sent(TagKind::Video, 1_000)[0]);
    }
}

#[tokio::test]
async fn what_is_not_on_the_air_is_not_found() {
    let (stage, _folder) = Stage::tuned(|config| config.plays.wait = Duration::ZERO).await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    for name in ["c", "c/none", &secret, "", "c/none/more", "../c"] {
        let url = format!("rtmp://{}/live/{name}", clients.rtmp);
        let Err(refused) = Viewer::rtmp(&url).await else {
            panic!("{name:?} plays")
        };
        assert_eq!(refused.code, "NetStream.Play.StreamNotFound", "{name}");
    }
    for path in ["/live/c/index.flv", "/live/c/none.flv"] {
        let answer = get(clients.http, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("NOT_LIVE"), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert!(!logs::contain(&secret));
}

#[tokio::test]
async fn players_go_on_with_the_encoder_that_comes_back() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut first = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    first.send(900).await.unwrap();
    let stream = story.expect("started").await;
    let rtmp = Viewer::rtmp(&format!("rtmp://{}/live/c", clients.rtmp))
        .await
        .unwrap();
    let (_, flv) = Viewer::flv(clients.http, "/live/c/index.flv").await;
    first.send(1_100).await.unwrap();
    clients.arrived(&stream, 1_900).await;
    first.reset();
    story.expect("interrupted").await;
    let mut second = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    second.send(2_000).await.unwrap();
    story.expect("resumed").await;
    for mut viewer in [rtmp, flv] {
        viewer
            .until("the second encoder", has(TagKind::Video, 3_900))
            .await;
        let times: Vec<u32> = viewer
            .frames(TagKind::Video)
            .iter()
            .map(|tag| tag.timestamp)
            .collect();
        let steps: Vec<u32> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (before, after) = (&steps[..49], &steps[50..]);
        assert!(before.iter().chain(after).all(|step| *step == 40), "{times:?}");
        assert!(
            (30..=60).contains(&steps[49]),
            "and no gap between the two: {times:?}"
        );
        let headers = viewer
            .tags
            .iter()
            .filter(|tag| tag.kind == TagKind::Video && tag.payload.get(1) == Some(&0));
        assert_eq!(headers.count(), 2, "the second encoder's header as well");
    }
}

#[tokio::test]
async fn sound_alone_is_played() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut encoder = Encoder::bare(&format!("rtmp://{}/live/{secret}", clients.rtmp))
        .await
        .unwrap();
    let header = clip()
        .headers
        .iter()
        .find(|tag| tag.kind == TagKind::Audio)
        .unwrap();
    encoder
        .send_tag(TagKind::Audio, 0, &header.payload)
        .await
        .unwrap();
    let sounds = sent(TagKind::Audio, 10_000);
    let (first, rest) = sounds.split_at(sounds.len() * 9 / 10);
    for tag in first {
        encoder
            .send_tag(TagKind::Audio, tag.timestamp, &tag.payload)
            .await
            .unwrap();
    }
    story.expect("started").await;
    let rtmp = Viewer::rtmp(&format!("rtmp://{}/live/c", clients.rtmp))
        .await
        .unwrap();
    let (_, flv) = Viewer::flv(clients.http, "/live/c/index.flv").await;
    for tag in rest {
        encoder
            .send_tag(TagKind::Audio, tag.timestamp, &tag.payload)
            .await
            .unwrap();
    }
    let last = rest.last().unwrap().timestamp;
    for mut viewer in [rtmp, flv] {
        viewer.until("the last sound", has(TagKind::Audio, last)).await;
        let got = viewer.frames(TagKind::Audio);
        assert!(
            sounds.ends_with(&got) && got.len() >= rest.len(),
            "{} sounds",
            got.len()
        );
    }
}

#[tokio::test]
async fn messages_of_enhanced_rtmp_are_passed_on_as_they_are() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let url = format!("rtmp://{}/live", clients.rtmp);
    let mut encoder = Encoder::bare(&format!("{url}/{secret}")).await.unwrap();
    let clip = enhanced::hevc();
    let script = enhanced::metadata(&clip);
    encoder.send_tag(TagKind::Script, 0, &script).await.unwrap();
    let mut headers = Vec::new();
    for (kind, configuration) in [(TagKind::Video, &clip.video), (TagKind::Audio, &clip.audio)] {
        let (four_cc, config) = configuration.as_ref().unwrap();
        let header = enhanced::header(*four_cc, config, kind == TagKind::Video, Form::Plain);
        encoder.send_tag(kind, 0, &header).await.unwrap();
        headers.push(header);
    }
    let mut expected = Vec::new();
    let mut viewer = None;
    for (n, coded) in clip.frames.iter().enumerate() {
        let (kind, configuration) = match coded.is_video {
            true => (TagKind::Video, &clip.video),
            false => (TagKind::Audio, &clip.audio),
        };
        let body = enhanced::frame(configuration.as_ref().unwrap().0, coded, Form::Nanoseconds);
        encoder.send_tag(kind, coded.dts_ms, &body).await.unwrap();
        if coded.is_video {
            expected.push((coded.dts_ms, body));
        }
        if n == 60 {
            story.expect("started").await;
            viewer = Some(Viewer::rtmp(&format!("{url}/c")).await.unwrap());
        }
        // No faster than it is read.
        if let Some(viewer) = viewer.as_mut().filter(|_| coded.is_video) {
            let (time, body) = expected.last().unwrap().clone();
            let is_there = |tags: &[Tag]| {
                tags.iter()
                    .any(|tag| tag.timestamp == time && tag.payload == body)
            };
            viewer.until("what was sent", is_there).await;
        }
    }
    let viewer = viewer.unwrap();
    let bodies: Vec<&Bytes> = viewer.tags.iter().take(3).map(|tag| &tag.payload).collect();
    assert_eq!(bodies, [&script, &headers[0], &headers[1]]);
    let pictures = viewer
        .tags
        .iter()
        .skip(3)
        .filter(|tag| tag.kind == TagKind::Video);
    let pictures: Vec<(u32, Bytes)> = pictures.map(|tag| (tag.timestamp, tag.payload.clone())).collect();
    assert!(
        expected == pictures,
        "{} of {} pictures",
        pictures.len(),
        expected.len()
    );
}

#[tokio::test]
async fn what_is_for_members_needs_a_token_and_a_session_that_is_not_revoked() {
    let mut on_air = OnAir::new("members", Visibility::Members).await;
    let (rtmp, http) = (on_air.stage.clients.rtmp, on_air.stage.clients.http);
    let Err(refused) = Viewer::rtmp(&format!("rtmp://{rtmp}/live/c")).await else {
        panic!("it plays without a token")
    };
    assert_eq!(refused.code, "NetStream.Play.Failed");
    let id = stream_id(&on_air.stream).to_owned();
    assert_eq!(get(http, &format!("/live/c/{id}.flv")).await.status, 401);
    assert_eq!(get(http, "/live/c/index.flv").await.status, 401);

    let session = on_air.open(OWNER).await;
    let token = &session.token;
    let mut by_query = Viewer::rtmp(&format!("rtmp://{rtmp}/live/c?token={token}"))
        .await
        .unwrap();
    let (head, mut by_path) = Viewer::flv(http, &format!("/play/{token}/live/c/{id}.flv")).await;
    assert!(head.contains("200 OK"), "{head}");
    on_air.encoder.send(1_000).await.unwrap();
    by_query.until("media", has(TagKind::Video, 9_000)).await;
    by_path.until("media", has(TagKind::Video, 9_000)).await;

    let name = session.playback_session.unwrap().name;
    let request = on_air
        .stage
        .clients
        .by(OWNER, RevokePlaybackSessionRequest { name });
    let mut playback = on_air.stage.clients.playback();
    playback.revoke_playback_session(request).await.unwrap();
    let said = by_query.until_the_end().await;
    let Some(Event::Rejected { description, .. }) = said else {
        panic!("{said:?} instead of a reason")
    };
    assert!(description.contains("session is over"), "{description}");
    by_path.until_the_end().await;
    assert!(!logs::contain(token));
}

#[tokio::test]
async fn players_are_told_when_the_service_stops() {
    let (stage, _folder) = Stage::new().await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    story.expect("started").await;
    let mut rtmp = Viewer::rtmp(&format!("rtmp://{}/live/c", stage.clients.rtmp))
        .await
        .unwrap();
    let (_, mut flv) = Viewer::flv(stage.clients.http, "/live/c/index.flv").await;
    flv.until("media", has(TagKind::Video, 800)).await;
    tokio::join!(stage.stop(), rtmp.until_the_end(), flv.until_the_end());
}
