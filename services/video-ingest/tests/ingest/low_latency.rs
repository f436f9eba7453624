//! Low-latency HLS: blocking reload, parts, and what many readers get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::video_ingest::v1::LiveStream;
use marquee_testkit::{browser, ffmpeg, wait_for};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::clip;
use crate::encoder::Encoder;
use crate::hls::{Answer, get};
use crate::player::{Connection, Player, STEP, edge, value};
use crate::stage::{LIMIT, Stage};
use crate::story::Story;

/// Readers that wait at once.
const READERS: usize = 2_000;

/// An encoder that has sent so much, and its stream.
async fn on_air(stage: &Stage, millis: u32) -> (Encoder, LiveStream) {
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(millis).await.unwrap();
    let started = story.expect("started").await;
    (encoder, started)
}

fn media(stream: &LiveStream) -> String {
    stream.playback_path.replace("index.m3u8", "media.m3u8")
}

/// The playlist once it has so many parts of the segment that is being made.
async fn with_parts(stage: &Stage, stream: &LiveStream, msn: u64, parts: usize) -> Answer {
    let path = media(stream);
    let ask = async || {
        let answer = get(stage.clients.http, &path).await;
        (answer.status == 200 && edge(answer.text()) >= (msn - 1, parts)).then_some(answer)
    };
    wait_for("the parts", LIMIT, ask).await.unwrap()
}

/// A request that waits where only one may, and the answer to another one that is refused for it.
async fn only_one_waits(http: SocketAddr, path: &str) -> (JoinHandle<Answer>, Answer) {
    let is_refused = |answer: &Answer| answer.text().contains("TOO_MANY_WAITING");
    let waits = path.to_owned();
    let waiting = tokio::spawn(async move {
        loop {
            let answer = get(http, &waits).await;
            if !is_refused(&answer) {
                return answer;
            }
        }
    });
    // Until the first has the place, the others have it, each for a moment.
    let refused = wait_for("a place to be taken", LIMIT, async || {
        let asked = timeout(Duration::from_millis(100), get(http, path)).await.ok()?;
        is_refused(&asked).then_some(asked)
    });
    let refused = refused.await.unwrap();
    (waiting, refused)
}

#[tokio::test]
async fn the_first_playlist_is_there_with_the_first_part() {
    let (stage, _folder) = Stage::new().await;
    // The part after it is begun.
    let (_encoder, stream) = on_air(&stage, 400).await;
    let answer = with_parts(&stage, &stream, 7, 1).await;
    let text = answer.text();
    assert!(
        text.contains("#EXT-X-PART:DURATION=0.200000,URI=\"part-0.0.m4s\",INDEPENDENT=YES\n"),
        "{text}"
    );
    assert_eq!(
        (
            text.matches("#EXT-X-GAP").count(),
            text.matches("segment-").count()
        ),
        (7, 0)
    );
    let gap = stream.playback_path.replace("index.m3u8", "gap.m4s");
    let gap = get(stage.clients.http, &gap).await;
    assert_eq!(
        (gap.status, gap.body.len()),
        (200, 0),
        "players that know no gaps pass over it"
    );
    let multivariant = get(stage.clients.http, &stream.playback_path).await;
    let info = value(multivariant.text(), "#EXT-X-STREAM-INF:").unwrap();
    for attribute in [
        "BANDWIDTH=",
        "RESOLUTION=320x180",
        "FRAME-RATE=25.000",
        "CODECS=\"avc1.",
        "mp4a.40.2\"",
    ] {
        assert!(info.contains(attribute), "{info}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_a_reconnect_and_another_resolution_keeps_to_the_rules() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT).await;
    let clients = &stage.clients;
    let (mut encoder, stream) = on_air(&stage, 1_000).await;
    let (_, secret) = clients.key("c").await;
    let path = stream.playback_path.clone();
    with_parts(&stage, &stream, 7, 2).await;
    let mut player = Player::open(clients.http, &path).await;
    let watching = tokio::spawn(async move {
        while player.reload().await {
            player.load().await;
        }
        player
    });
    // Five times as fast as a camera.
    let pace = async |encoder: &mut Encoder, millis: u32| {
        for _ in 0..millis / 100 {
            encoder.send(100).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    pace(&mut encoder, 9_000).await;
    encoder.reset();
    let mut encoder = wait_for("the encoder to be let in", LIMIT, async || {
        Encoder::publish(clients.rtmp, &secret).await.ok()
    })
    .await
    .unwrap();
    pace(&mut encoder, 7_000).await;
    encoder.change(clip::large()).await.unwrap();
    pace(&mut encoder, 9_000).await;
    encoder.finish().await;
    let stop = marquee_proto::video_ingest::v1::StopLiveStreamRequest {
        name: stream.name.clone(),
    };
    let stop = clients.by(crate::stage::OWNER, stop);
    clients.streams().stop_live_stream(stop).await.unwrap();
    let player = timeout(STEP, watching).await.expect("it ends").unwrap();
    player.is_content();
    assert!(player.text.contains("#EXT-X-DISCONTINUITY"), "{}", player.text);
    assert!(player.text.contains("init-2.mp4"), "{}", player.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_readers_wait_for_each_part_and_all_get_it() {
    let (stage, _folder) = Stage::new().await;
    let (mut encoder, stream) = on_air(&stage, 450).await;
    let mut text = with_parts(&stage, &stream, 7, 2).await.text().to_owned();
    let mut connections = Vec::new();
    for _ in 0..READERS {
        connections.push(Connection::open(stage.clients.http).await);
    }
    for _ in 0..6 {
        let (last, parts) = edge(&text);
        let path: Arc<str> = format!("{}?_HLS_msn={}&_HLS_part={parts}", media(&stream), last + 1).into();
        let hint = value(&text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=")
            .unwrap()
            .trim_matches('"');
        let hint: Arc<str> = media(&stream).replace("media.m3u8", hint).into();
        let mut readers = JoinSet::new();
        for (n, mut connection) in connections.drain(..).enumerate() {
            let path = if n % 2 == 0 { path.clone() } else { hint.clone() };
            readers.spawn(async move {
                let answer = connection.get(&path, "").await;
                (connection, n % 2 == 0, answer)
            });
        }
        encoder.send(200).await.unwrap();
        let all = timeout(STEP, readers.join_all()).await.expect("all are answered");
        let (mut playlist, mut part) = (None, None);
        for (connection, is_playlist, answer) in all {
            assert_eq!(answer.status, 200);
            let first = if is_playlist { &mut playlist } else { &mut part };
            let first = first.get_or_insert_with(|| answer.body.clone());
            assert_eq!(*first, answer.body, "all get the same");
            connections.push(connection);
        }
        text = String::from_utf8(playlist.unwrap()).unwrap();
        assert_eq!(edge(&text), (last, parts + 1));
        assert!(part.unwrap().len() > 1_000);
    }
}

#[tokio::test]
async fn what_does_not_come_is_told_after_three_target_durations() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.packager.target_duration = Some(1);
        config.packager.segment_target = Duration::from_secs(1);
        config.reconnect_grace = LIMIT * 10;
        config.max_waiting = 1;
    })
    .await;
    let (encoder, stream) = on_air(&stage, 500).await;
    with_parts(&stage, &stream, 7, 1).await;
    encoder.finish().await;
    let path = media(&stream);
    // The last of what was sent makes a segment.
    let last = wait_for("the end of the segment", LIMIT, async || {
        let answer = get(stage.clients.http, &path).await;
        let (last, parts) = edge(answer.text());
        (parts == 0 && !answer.text().contains("PRELOAD-HINT")).then_some(last)
    })
    .await
    .unwrap();
    let waits = format!("{path}?_HLS_msn={}&_HLS_part=0", last + 1);
    let http = stage.clients.http;
    let (first, refused) = only_one_waits(http, &waits).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    let late = timeout(LIMIT, first).await.unwrap().unwrap();
    assert_eq!((late.status, late.header("cache-control")), (503, "no-store"));
    assert!(late.text().contains("PLAYLIST_NOT_IN_TIME"), "{}", late.text());
    let plain = get(http, &path).await;
    assert_eq!(plain.status, 200, "the playlist is still there");
}

#[tokio::test]
async fn directives_that_make_no_sense_are_refused() {
    let (stage, _folder) = Stage::new().await;
    let (_encoder, stream) = on_air(&stage, 3_000).await;
    with_parts(&stage, &stream, 8, 1).await;
    for query in [
        "_HLS_part=1",
        "_HLS_msn=10",
        "_HLS_msn=x",
        "_HLS_msn=8&_HLS_part=99",
    ] {
        let answer = get(stage.clients.http, &format!("{}?{query}", media(&stream))).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("PLAYLIST_REQUEST"), "{}", answer.text());
    }
    let folder = stream.playback_path.replace("index.m3u8", "");
    for file in [
        "part-0.999.m4s",
        "part-1.0.m4s",
        "segment-9.m4s",
        "720p/media.m3u8",
        "720p/init-0.mp4",
    ] {
        assert_eq!(
            get(stage.clients.http, &format!("{folder}{file}")).await.status,
            404,
            "{file}"
        );
    }
}

#[tokio::test]
async fn answers_suit_caches_and_what_clients_understand() {
    let (stage, _folder) = Stage::new().await;
    let (_encoder, stream) = on_air(&stage, 3_000).await;
    let plain = with_parts(&stage, &stream, 8, 2).await;
    let mut connection = Connection::open(stage.clients.http).await;
    let path = media(&stream);
    assert_eq!(plain.header("cache-control"), "no-cache");
    let named = connection.get(&format!("{path}?_HLS_msn=7"), "").await;
    assert_eq!(named.header("cache-control"), "public, max-age=1");

    let packed = connection.get(&path, "accept-encoding: br, gzip\r\n").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.header("vary").to_lowercase().contains("accept-encoding"));
    assert!(packed.body.len() * 2 < plain.body.len());
    let etag = format!("if-none-match: {}\r\n", packed.header("etag"));
    let known = connection
        .get(&path, &format!("accept-encoding: gzip\r\n{etag}"))
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = connection.get(&path, &etag).await;
    assert_eq!(other.status, 200, "the other form is another entity");

    let folder = path.replace("media.m3u8", "");
    for file in ["segment-0.m4s", "part-0.3.m4s", "init-0.mp4"] {
        let path = format!("{folder}{file}");
        let whole = connection.get(&path, "").await;
        let length = whole.body.len();
        assert!(
            length > 500 && whole.header("cache-control").contains("immutable"),
            "{file}"
        );
        let range = connection.get(&path, "range: bytes=100-299\r\n").await;
        assert_eq!(
            (range.status, &range.body[..]),
            (206, &whole.body[100..300]),
            "{file}"
        );
        assert_eq!(range.header("content-range"), format!("bytes 100-299/{length}"));
        let end = connection.get(&path, "range: bytes=-10\r\n").await;
        assert_eq!(&end.body[..], &whole.body[length - 10..]);
        let beyond = connection
            .get(&path, &format!("range: bytes={length}-\r\n"))
            .await;
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, &format!("bytes */{length}")[..])
        );
        let head = connection.request("HEAD", &path, "").await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, &length.to_string()[..])
        );
    }
}

#[tokio::test]
async fn a_segment_that_left_memory_comes_from_disk() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.live_window = Duration::from_secs(60);
        config.memory_window = Duration::ZERO;
    })
    .await;
    let (_encoder, stream) = on_air(&stage, 30_000).await;
    with_parts(&stage, &stream, 21, 5).await;
    let folder = stream.playback_path.replace("index.m3u8", "");
    // Six target durations of two seconds stay.
    for file in ["segment-0.m4s", "segment-13.m4s"] {
        let found = get(stage.clients.http, &format!("{folder}{file}")).await;
        assert_eq!(found.status, 200, "{file}");
    }
    let on_disk = std::fs::read(stage.media(&stream).join("segment-13.m4s")).unwrap();
    let in_memory = get(stage.clients.http, &format!("{folder}segment-13.m4s")).await;
    assert_eq!(in_memory.body, on_disk);
    std::fs::remove_file(stage.media(&stream).join("segment-0.m4s")).unwrap();
    std::fs::remove_file(stage.media(&stream).join("segment-13.m4s")).unwrap();
    let gone = get(stage.clients.http, &format!("{folder}segment-0.m4s")).await;
    assert_eq!(gone.status, 404);
    let kept = get(stage.clients.http, &format!("{folder}segment-13.m4s")).await;
    assert_eq!(kept.status, 200);
}

#[tokio::test]
async fn a_stop_of_the_service_sends_away_who_waits_and_leaves_a_playlist_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::stage::config(folder.path());
    config.reconnect_grace = LIMIT;
    config.max_waiting = 1;
    let stage = Stage::start(folder.path(), config.clone()).await;
    let (_encoder, stream) = on_air(&stage, 5_000).await;
    let before = with_parts(&stage, &stream, 9, 3).await;
    let (last, parts) = edge(before.text());
    let path = media(&stream);
    let http = stage.clients.http;
    let waits = format!("{path}?_HLS_msn={}&_HLS_part={}", last + 1, parts + 5);
    let (waiting, _) = only_one_waits(http, &waits).await;
    timeout(LIMIT, stage.stop()).await.expect("nobody holds it up");
    // What came in before is a segment now; the part after it will not come.
    let answer = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(matches!(answer.status, 503), "{}", answer.status);

    let stage = Stage::start(folder.path(), config).await;
    let after = get(stage.clients.http, &path).await;
    let (now, _) = edge(after.text());
    assert!(now > last, "{now} {last}");
    for line in before.text().lines().filter(|line| line.starts_with("segment-")) {
        assert!(after.text().contains(line), "{line}");
    }
    let first = |answer: &Answer| value(answer.text(), "#EXT-X-MEDIA-SEQUENCE:").unwrap().to_owned();
    assert_eq!(first(&after), first(&before));
}

#[tokio::test]
async fn stock_ffmpeg_plays_from_the_first_part_on() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let encoder = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), Some(10)).unwrap();
    let stream = story.expect("started").await;
    with_parts(&stage, &stream, 8, 1).await;
    let live = format!("http://{}{}", clients.http, stream.playback_path);
    // Gaps and parts are nothing to it; it says nothing about them either.
    let pictures = ffmpeg::decode(&live, Some(5)).await.unwrap();
    assert!(pictures >= u64::from(5 * ffmpeg::FRAME_RATE) - 2, "{pictures}");
    drop(encoder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium"]
async fn hls_js_plays_through_a_reconnect_close_to_live() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let url = format!("rtmp://{}/live/{secret}", clients.rtmp);
    let first = ffmpeg::publish(&url, None).unwrap();
    let stream = story.expect("started").await;
    with_parts(&stage, &stream, 8, 1).await;
    let live = format!("http://{}{}", clients.http, stream.playback_path);
    let watching = tokio::spawn(async move { browser::run("hls.mjs", &[&live, "12", "--live"]).await });
    tokio::time::sleep(Duration::from_secs(9)).await;
    first.kill().await.unwrap();
    story.expect("interrupted").await;
    let _second = ffmpeg::publish(&url, None).unwrap();
    let seen = watching.await.unwrap().unwrap();
    assert_eq!(seen["fatalErrors"], serde_json::json!([]), "{seen}");
    assert_eq!(seen["wentBack"], false, "{seen}");
    assert_eq!(seen["discontinuities"], 1, "{seen}");
    let latency = seen["latency"].as_f64().unwrap();
    assert!(latency < 2.0, "{seen}");
}
