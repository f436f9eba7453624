//! RTMP over TLS.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use marquee_testkit::ffmpeg;
use marquee_video_ingest::{Certificate, Rtmps};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::logs;
use crate::stage::{LIMIT, Stage};
use crate::story::Story;

fn certificate(folder: &Path) -> Certificate {
    let files = Certificate {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"])
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    files
}

async fn stage(tls: &Path) -> (Stage, tempfile::TempDir) {
    let certificate = certificate(tls);
    Stage::tuned(|config| {
        config.rtmps = Some(Rtmps {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate,
        });
        config.limits.handshake_timeout = Duration::from_secs(2);
        config.trusted_proxies = "127.0.0.1/32".parse().unwrap();
    })
    .await
}

#[tokio::test]
async fn ffmpeg_publishes_over_tls_and_the_recording_is_whole() {
    let tls = tempfile::tempdir().unwrap();
    let (stage, _folder) = stage(tls.path()).await;
    let clients = &stage.clients;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let url = format!("rtmps://{}/live/{secret}", stage.rtmps.unwrap());
    let encoder = ffmpeg::publish(&url, Some(6)).unwrap();
    let (succeeded, said) = encoder.finish().await.unwrap();
    assert!(succeeded, "{said}");
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), 6 * ffmpeg::FRAME_RATE as usize);
    assert!(!logs::contain(&secret));
}

#[tokio::test]
async fn a_wrong_key_is_refused_over_tls_as_it_is_without() {
    let tls = tempfile::tempdir().unwrap();
    let (stage, _folder) = stage(tls.path()).await;
    let url = format!("rtmps://{}/live/mq_overtlsnotakey", stage.rtmps.unwrap());
    let (succeeded, said) = ffmpeg::publish(&url, Some(2)).unwrap().finish().await.unwrap();
    assert!(
        !succeeded && said.contains("the stream key is not known or revoked"),
        "{said}"
    );
}

#[tokio::test]
async fn plain_rtmp_and_silence_on_the_tls_port_are_closed() {
    let tls = tempfile::tempdir().unwrap();
    let (stage, _folder) = stage(tls.path()).await;
    for sent in [&[3; 1_537][..], b""] {
        let mut socket = TcpStream::connect(stage.rtmps.unwrap()).await.unwrap();
        socket.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end, too.
        let closed = tokio::time::timeout(LIMIT, socket.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{} bytes sent", sent.len());
    }
}

#[tokio::test]
async fn a_proxys_header_comes_before_tls() {
    let tls = tempfile::tempdir().unwrap();
    let (stage, _folder) = stage(tls.path()).await;
    let mut socket = TcpStream::connect(stage.rtmps.unwrap()).await.unwrap();
    socket
        .write_all(b"PROXY TCP4 192.0.2.77 198.51.100.1 56324 1935\r\n\x16\x03\x01\x00\x01\x00")
        .await
        .unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(LIMIT, socket.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    // Answered by TLS (an alert), not by the reader of the header.
    assert!(rest.is_empty() || rest[0] == 0x15, "{rest:?}");
    assert!(!logs::contain("a proxy sent a malformed header"));
}
