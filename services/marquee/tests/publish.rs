//! `marquee publish` against a server of ours that asks it to go elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails where it cannot go on"
)]

use std::process::{Command as Blocking, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use marquee_rtmp::media::{Video, VideoBody};
use marquee_rtmp::server::Event;
use marquee_rtmp::{Limits, ServerSession};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const LIMIT: Duration = Duration::from_secs(60);

/// Six seconds, a keyframe each second.
fn file(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("clip.flv");
    let made = Blocking::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x90:rate=10",
        ])
        .args(["-t", "6", "-c:v", "libx264", "-g", "10", "-bf", "0"])
        .arg(&path)
        .status()
        .expect("ffmpeg is installed");
    assert!(made.success());
    path
}

/// A connection as the server sees it.
struct Seen {
    /// Bodies in the order they came: a configuration, a keyframe, another frame.
    video: Vec<(u32, char)>,
    finished: bool,
}

/// Serves one connection to its end, and asks it to go to `elsewhere` after so many frames; when `leaves`, the server then
/// closes the connection itself.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    ask_after: usize,
    elsewhere: Option<String>,
    leaves: bool,
) -> Seen {
    let start = Instant::now();
    let mut session = ServerSession::new(Limits::default(), Duration::ZERO);
    let (mut seen, mut buffer, mut asked) = (
        Seen {
            video: Vec::new(),
            finished: false,
        },
        vec![0; 16 << 10],
        false,
    );
    loop {
        while !session.output().is_empty() {
            let Ok(written) = socket.write(session.output()).await else {
                return seen;
            };
            session.advance_output(written);
        }
        if asked && leaves {
            return seen;
        }
        let read = socket.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return seen;
        }
        let mut data = &buffer[..read];
        while let Some(event) = session.input(&mut data, start.elapsed()).unwrap() {
            match event {
                Event::ConnectRequested(connect) => session.accept(connect.request).unwrap(),
                Event::PublishRequested(publish) => session.accept(publish.request).unwrap(),
                Event::Video(media) => {
                    let video = Video::parse(&media.payload).unwrap();
                    let kind = match video.body {
                        VideoBody::SequenceStart { .. } => 'c',
                        VideoBody::CodedFrames { .. } if video.is_keyframe() => 'k',
                        VideoBody::CodedFrames { .. } => 'f',
                        _ => continue,
                    };
                    seen.video.push((media.timestamp, kind));
                }
                Event::PublishFinished { .. } => seen.finished = true,
                _ => {}
            }
        }
        if !asked && seen.video.len() > ask_after {
            asked = true;
            if elsewhere.is_some() {
                assert!(
                    session
                        .request_reconnect(elsewhere.as_deref(), "an update")
                        .unwrap()
                );
            }
        }
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("rtmp://{address}/live"))
}

fn publish(file: &std::path::Path, url: &str, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_marquee"))
        .arg("publish")
        .arg(file)
        .arg(format!("{url}/key"))
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn goes_on_elsewhere(leaves: bool) -> (Seen, Seen) {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let ((first, url), (second, elsewhere)) = (listen().await, listen().await);
    let child = publish(&file, &url, &[]);
    let before = async {
        let (socket, _) = first.accept().await.unwrap();
        serve(socket, 15, Some(elsewhere), leaves).await
    };
    let after = async {
        let (socket, _) = second.accept().await.unwrap();
        serve(socket, usize::MAX, None, false).await
    };
    let both = timeout(LIMIT, async { tokio::join!(before, after) }).await;
    let both = both.expect("it goes on elsewhere");
    let output = timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    both
}

#[tokio::test]
async fn goes_on_at_the_next_keyframe_and_loses_nothing() {
    let (before, after) = goes_on_elsewhere(false).await;
    assert!(before.finished && after.finished);
    // Asked after 15 frames: it goes at the keyframe of second 2.
    assert_eq!(before.video.last().unwrap().0, 1_900);
    assert_eq!(after.video[..2], [(2_000, 'c'), (2_000, 'k')]);
    let frames = |seen: &Seen| seen.video.iter().filter(|(_, kind)| *kind != 'c').count();
    assert_eq!(frames(&before) + frames(&after), 60);
}

#[tokio::test]
async fn goes_on_when_the_server_does_not_wait_for_it() {
    let (_, after) = goes_on_elsewhere(true).await;
    assert_eq!(after.video[..2], [(2_000, 'c'), (2_000, 'k')]);
    assert_eq!(after.video.len(), 1 + 40);
    assert!(after.finished);
}

/// A certificate for 127.0.0.1 that nobody signed but itself, and a server that shows it.
fn tls(folder: &std::path::Path) -> TlsAcceptor {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let made = Blocking::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:false", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn publishes_over_tls_to_a_server_that_it_was_told_to_trust_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let acceptor = tls(folder.path());
    let (listener, url) = listen().await;
    let url = url.replace("rtmp://", "rtmps://");

    let stranger = publish(&file, &url, &[]);
    let (socket, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    assert!(acceptor.accept(socket).await.is_err(), "the client goes away");
    let output = timeout(LIMIT, stranger.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("certificate"), "{said}");

    let trusted = folder.path().join("certificate.pem");
    let child = publish(&file, &url, &["--certificates", trusted.to_str().unwrap()]);
    let (socket, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    let socket = acceptor.accept(socket).await.unwrap();
    let seen = timeout(LIMIT, serve(socket, usize::MAX, None, false))
        .await
        .unwrap();
    assert!(seen.finished);
    assert_eq!(seen.video.len(), 1 + 60);
    let output = timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
