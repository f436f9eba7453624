//! GStreamer publishes to a server session over loopback with `rtmp2sink`, which has its own RTMP, and with `rtmpsink`, which
//! is librtmp as OBS has it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails the test"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use marquee_rtmp::media::{Audio, AudioBody, Video, VideoBody};
use marquee_rtmp::server::Event;
use marquee_rtmp::{Limits, Media, ServerSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

/// What came out of one connection.
#[derive(Default)]
struct Seen {
    client: String,
    audio: Vec<Media>,
    video: Vec<Media>,
    finished: bool,
}

async fn serve(mut socket: TcpStream) -> Seen {
    let start = Instant::now();
    let mut session = ServerSession::new(Limits::default(), Duration::ZERO);
    let (mut seen, mut buffer) = (Seen::default(), vec![0; 64 << 10]);
    loop {
        while !session.output().is_empty() {
            let Ok(written) = socket.write(session.output()).await else {
                return seen;
            };
            session.advance_output(written);
        }
        let read = socket.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return seen;
        }
        let mut data = &buffer[..read];
        while let Some(event) = session.input(&mut data, start.elapsed()).unwrap() {
            match event {
                Event::ConnectRequested(connect) => {
                    seen.client.clone_from(&connect.flash_version);
                    session.accept(connect.request).unwrap();
                }
                Event::PublishRequested(publish) => {
                    assert_eq!((publish.app.as_str(), publish.key.expose()), ("live", "key"));
                    session.accept(publish.request).unwrap();
                }
                Event::Audio(media) => seen.audio.push(media),
                Event::Video(media) => seen.video.push(media),
                Event::PublishFinished { .. } => seen.finished = true,
                _ => {}
            }
        }
    }
}

/// Four seconds at 25 pictures a second, with B-frames, sent as fast as they are made.
async fn published(sink: &str) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pipeline = format!(
        "flvmux name=mux streamable=true ! {sink} location=rtmp://{address}/live/key \
         videotestsrc num-buffers=100 ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! x264enc key-int-max=50 bframes=2 speed-preset=veryfast ! h264parse ! mux. \
         audiotestsrc num-buffers=172 ! audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse ! mux."
    );
    let child = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("gst-launch-1.0 is installed");
    let accepted = tokio::time::timeout(LIMIT, listener.accept()).await;
    let (socket, _) = accepted.expect("it connects").unwrap();
    let seen = tokio::time::timeout(LIMIT, serve(socket)).await.expect("it ends");
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = output.expect("it ends in time").unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    seen
}

fn check(seen: &Seen) {
    let pictures: Vec<(u32, bool)> = seen
        .video
        .iter()
        .map(|media| (media.timestamp, Video::parse(&media.payload).unwrap()))
        .filter(|(_, video)| matches!(video.body, VideoBody::CodedFrames { .. }))
        .map(|(timestamp, video)| (timestamp, video.is_keyframe()))
        .collect();
    assert_eq!(pictures.len(), 100, "{} said", seen.client);
    assert!(pictures[0].1, "the first is a keyframe");
    assert!(pictures.is_sorted_by_key(|(timestamp, _)| *timestamp));
    let sounds = seen.audio.iter().filter(|media| {
        let audio = Audio::parse(&media.payload).unwrap();
        matches!(audio.body, AudioBody::CodedFrames { .. })
    });
    assert!((170..=175).contains(&sounds.count()));
}

#[tokio::test]
#[ignore = "needs gst-launch-1.0 with the plugins good, bad, ugly and libav"]
async fn rtmp2sink_publishes_every_frame() {
    let seen = published("rtmp2sink").await;
    check(&seen);
}

#[tokio::test]
#[ignore = "needs gst-launch-1.0 with the plugins good, bad, ugly and libav"]
async fn rtmpsink_publishes_every_frame() {
    let seen = published("rtmpsink").await;
    check(&seen);
}
