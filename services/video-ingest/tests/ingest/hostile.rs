//! Peers that are broken or mean harm: refused with a reason, closed, and bounded.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use marquee_rtmp::flv::TagKind;
use marquee_testkit::wait_until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clip::clip;
use crate::encoder::Encoder;
use crate::logs;
use crate::stage::{LIMIT, Stage};

/// Whether the server closes the connection in time.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(LIMIT, socket.read_to_end(&mut rest))
        .await
        .is_ok()
}

#[tokio::test]
async fn another_protocol_is_closed_with_a_log_line() {
    let (stage, _folder) = Stage::new().await;
    let mut socket = TcpStream::connect(stage.clients.rtmp).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    socket.shutdown().await.unwrap();
    assert!(is_closed(&mut socket).await);
    wait_until("a log line", LIMIT, async || {
        logs::contain("not RTMP: the first byte is 0x47")
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_handshake_in_drops_is_cut_at_its_deadline() {
    let (stage, _folder) =
        Stage::tuned(|config| config.limits.handshake_timeout = Duration::from_millis(400)).await;
    let mut socket = TcpStream::connect(stage.clients.rtmp).await.unwrap();
    let began = Instant::now();
    let (mut reader, mut writer) = socket.split();
    let drops = async {
        let mut byte = 3;
        while writer.write_all(&[byte]).await.is_ok() {
            byte = 0;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = drops => {}
        _ = reader.read_to_end(&mut rest) => {}
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[tokio::test]
async fn an_oversize_message_is_refused_where_it_is_announced() {
    let (stage, _folder) = Stage::tuned(|config| config.limits.message_size = 50_000).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    let large = Bytes::from(vec![0x17; 60_000]);
    encoder.send_tag(TagKind::Video, 0, &large).await.unwrap();
    let reason = encoder.sent_away().await.description;
    assert!(
        reason.contains("60000 bytes") && reason.contains("at most 50000"),
        "{reason}"
    );
}

#[tokio::test]
async fn pictures_without_a_keyframe_are_refused_after_the_limit() {
    let (stage, _folder) =
        Stage::tuned(|config| config.packager.keyframe_limit = Duration::from_secs(3)).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    let inter = clip()
        .frames
        .iter()
        .find(|tag| tag.kind == TagKind::Video && tag.payload[0] == 0x27)
        .unwrap();
    for step in 0..200 {
        // The server may be gone by then.
        if encoder
            .send_tag(TagKind::Video, 1_000 + step * 40, &inter.payload)
            .await
            .is_err()
        {
            break;
        }
    }
    let reason = encoder.sent_away().await.description;
    assert_eq!(
        reason,
        "no keyframe for 3 s: set the encoder's keyframe interval to 2 s"
    );
}

#[tokio::test]
async fn unsupported_codecs_are_refused_by_name() {
    let (stage, _folder) = Stage::new().await;
    let (_, secret) = stage.clients.key("c").await;
    for (kind, payload, expected) in [
        (TagKind::Video, &b"\x90vvc1\x01\x02\x03\x04"[..], "vvc1"),
        (TagKind::Video, &b"\x90vp08\x81\x02\x03\x04"[..], "vp08"),
        (TagKind::Video, &b"\x12\x00\x00\x00\x00\x00"[..], "H.263"),
        (TagKind::Audio, &b"\x2f\xff\xfb\x90\x64"[..], "MP3"),
        (TagKind::Audio, &b"\x90ac-3"[..], "AC-3"),
    ] {
        let url = format!("rtmp://{}/live/{secret}", stage.clients.rtmp);
        let mut encoder = Encoder::bare(&url).await.unwrap();
        encoder
            .send_tag(kind, 0, &Bytes::from_static(payload))
            .await
            .unwrap();
        let reason = encoder.sent_away().await.description;
        assert!(
            reason.contains(expected) && reason.contains("is not supported; set the encoder to"),
            "{expected}: {reason}"
        );
    }
}

#[tokio::test]
async fn a_broken_sequence_header_is_refused() {
    let (stage, _folder) = Stage::new().await;
    let (_, secret) = stage.clients.key("c").await;
    let url = format!("rtmp://{}/live/{secret}", stage.clients.rtmp);
    let mut encoder = Encoder::bare(&url).await.unwrap();
    let header = Bytes::from_static(b"\x17\x00\x00\x00\x00\x01\x64");
    encoder.send_tag(TagKind::Video, 0, &header).await.unwrap();
    let reason = encoder.sent_away().await.description;
    assert!(reason.contains("malformed avc configuration"), "{reason}");
    for (kind, header, expected) in [
        (
            TagKind::Video,
            &b"\x90hvc1\x01\x02\x03"[..],
            "malformed hevc configuration",
        ),
        (
            TagKind::Video,
            b"\x90av01\x01\x02\x03\x04",
            "malformed av1 configuration",
        ),
        (TagKind::Video, b"\x90vp09\x01", "malformed vp9 configuration"),
        (
            TagKind::Audio,
            b"\x90OpusOpusTags",
            "malformed opus configuration",
        ),
    ] {
        let mut encoder = Encoder::bare(&url).await.unwrap();
        encoder
            .send_tag(kind, 0, &Bytes::from_static(header))
            .await
            .unwrap();
        let reason = encoder.sent_away().await.description;
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_silent_publisher_is_cut_after_the_idle_limit() {
    let (stage, _folder) =
        Stage::tuned(|config| config.limits.idle_timeout = Duration::from_millis(300)).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(3_000).await.unwrap();
    let reason = encoder.sent_away().await.description;
    assert!(reason.contains("no complete message for 300ms"), "{reason}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_places_are_given_back() {
    let (stage, _folder) = Stage::tuned(|config| config.max_connections = 3).await;
    let rtmp: SocketAddr = stage.clients.rtmp;
    let (_, secret) = stage.clients.key("c").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(rtmp).await.unwrap());
    }
    let mut further = TcpStream::connect(rtmp).await.unwrap();
    assert!(is_closed(&mut further).await);
    drop(held);
    wait_until("a place", LIMIT, async || {
        let mut socket = TcpStream::connect(rtmp).await.unwrap();
        let mut byte = [0];
        tokio::time::timeout(Duration::from_millis(100), socket.read(&mut byte))
            .await
            .is_err()
    })
    .await
    .unwrap();
    wait_until("the other place", LIMIT, async || {
        let socket = TcpStream::connect(rtmp).await.unwrap();
        let mut byte = [0];
        tokio::time::timeout(Duration::from_millis(100), socket.peek(&mut byte))
            .await
            .is_err()
    })
    .await
    .unwrap();
    Encoder::publish(rtmp, &secret).await.unwrap();
}
