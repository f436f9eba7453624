//! Stock ffmpeg publishes to and plays from a server session, over loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails the test"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use marquee_rtmp::media::{Audio, AudioBody, AudioCodec, Video, VideoBody, VideoCodec};
use marquee_rtmp::server::{Event, Rejection};
use marquee_rtmp::{Limits, Media, ServerSession, flv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(60);

/// What came out of one connection.
#[derive(Default)]
struct Seen {
    audio: Vec<Media>,
    video: Vec<Media>,
    data: Vec<Media>,
    finished: bool,
}

/// Serves one connection to its end. A player gets `program` and then the end of the stream.
async fn serve(mut socket: TcpStream, key: &str, program: &[flv::Tag]) -> Seen {
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
        // A player closes with bytes unread, which resets the connection.
        let Ok(read) = socket.read(&mut buffer).await else {
            return seen;
        };
        if read == 0 {
            session.end_of_input().unwrap();
            return seen;
        }
        let mut data = &buffer[..read];
        while let Some(event) = session.input(&mut data, start.elapsed()).unwrap() {
            match event {
                Event::ConnectRequested(connect) => session.accept(connect.request).unwrap(),
                Event::PublishRequested(publish) if publish.key.expose() == key => {
                    session.accept(publish.request).unwrap();
                }
                Event::PublishRequested(publish) => {
                    let why = Rejection::denied("this stream key is not known");
                    session.reject(publish.request, &why).unwrap();
                }
                Event::PlayRequested(play) => {
                    session.accept(play.request).unwrap();
                    for tag in program {
                        match tag.kind {
                            flv::TagKind::Audio => {
                                session.send_audio(play.stream, tag.timestamp, &tag.payload)
                            }
                            flv::TagKind::Video => {
                                session.send_video(play.stream, tag.timestamp, &tag.payload)
                            }
                            flv::TagKind::Script => {
                                session.send_data(play.stream, tag.timestamp, &tag.payload)
                            }
                        }
                        .unwrap();
                    }
                    session.finish_play(play.stream).unwrap();
                }
                Event::Audio(media) => seen.audio.push(media),
                Event::Video(media) => seen.video.push(media),
                Event::Data(media) => seen.data.push(media),
                Event::PublishFinished { .. } => seen.finished = true,
                _ => {}
            }
        }
    }
}

fn ffmpeg(arguments: &[&str]) -> Child {
    Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

/// Runs ffmpeg to the end; its output and what it wrote to standard error.
async fn finish(child: Child) -> (Vec<u8>, String) {
    let output = tokio::time::timeout(LIMIT, child.wait_with_output())
        .await
        .expect("ends in time")
        .unwrap();
    (
        output.stdout,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
    (listener, address)
}

/// `seconds` of 25 fps H.264 with B-frames and 44.1 kHz AAC, sent as fast as it can be made.
fn programme(seconds: &str) -> Vec<&str> {
    let mut arguments = vec![
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=160x120:rate=25",
        "-f",
        "lavfi",
        "-i",
    ];
    arguments.extend([
        "sine=sample_rate=44100",
        "-t",
        seconds,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
    ]);
    arguments.extend(["-g", "50", "-bf", "2", "-c:a", "aac", "-f", "flv"]);
    arguments
}

/// Publishes with ffmpeg; what arrived.
async fn published(arguments: &[&str]) -> (Seen, String) {
    let (listener, address) = listen().await;
    let child = ffmpeg(&[arguments, &[address.as_str()]].concat());
    let (socket, _) = tokio::time::timeout(LIMIT, listener.accept())
        .await
        .expect("ffmpeg connects")
        .unwrap();
    let seen = tokio::time::timeout(LIMIT, serve(socket, "key", &[]))
        .await
        .expect("ffmpeg ends");
    (seen, finish(child).await.1)
}

fn coded_frames(video: &[Media]) -> Vec<(u32, bool)> {
    let parsed = video
        .iter()
        .map(|media| (media.timestamp, Video::parse(&media.payload).unwrap()));
    let frames = parsed.filter(|(_, video)| {
        matches!(
            video.body,
            VideoBody::CodedFrames {
                codec: VideoCodec::Avc,
                ..
            }
        )
    });
    frames
        .map(|(timestamp, video)| (timestamp, video.is_keyframe()))
        .collect()
}

#[tokio::test]
async fn ffmpeg_publishes_every_frame() {
    let (seen, errors) = published(&programme("4")).await;
    assert!(!errors.contains("rror"), "{errors}");
    assert!(seen.finished, "the end was told");

    let frames = coded_frames(&seen.video);
    assert_eq!(frames.len(), 100, "4 s at 25 fps");
    assert_eq!(
        frames.iter().filter(|(_, key)| *key).count(),
        2,
        "a keyframe every 50"
    );
    assert!(frames.is_sorted_by_key(|(timestamp, _)| *timestamp));
    let first = Video::parse(&seen.video[0].payload).unwrap();
    assert!(matches!(
        first.body,
        VideoBody::SequenceStart {
            codec: VideoCodec::Avc,
            ..
        }
    ));

    let raw = seen.audio.iter().filter(|media| {
        let audio = Audio::parse(&media.payload).unwrap();
        matches!(
            audio.body,
            AudioBody::CodedFrames {
                codec: AudioCodec::Aac,
                ..
            }
        )
    });
    // 4 s of 1024 samples at 44.1 kHz, plus the encoder's priming frame.
    assert!((172..=175).contains(&raw.count()));

    let metadata = marquee_rtmp::metadata::Metadata::parse(&seen.data[0].payload, Limits::default().amf);
    let metadata = metadata.unwrap().expect("onMetaData comes first");
    assert_eq!(
        (metadata.width, metadata.height, metadata.frame_rate),
        (Some(160), Some(120), Some(25.0))
    );
}

#[tokio::test]
async fn silent_audio_does_not_drift_in_ten_minutes() {
    // Silence makes frames of equal size, which ffmpeg sends with headers of type 3.
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        "anullsrc=sample_rate=44100",
        "-t",
        "600",
        "-c:a",
        "aac",
        "-f",
        "flv",
    ];
    let (seen, _) = published(&arguments).await;
    let count = seen.audio.len();
    assert!(count > 25_000, "{count}");
    for (index, media) in seen.audio.iter().skip(1).enumerate() {
        let expected = f64::from(u32::try_from(index).unwrap()) * 1024.0 / 44.1;
        let drift = (f64::from(media.timestamp) - expected).abs();
        assert!(
            drift < 23.3,
            "frame {index} is at {} ms, expected about {expected:.0}",
            media.timestamp
        );
    }
}

#[tokio::test]
async fn ffmpeg_shows_why_it_is_refused() {
    let (listener, _) = listen().await;
    let address = format!("rtmp://{}/live/wrong", listener.local_addr().unwrap());
    let arguments = programme("4");
    let child = ffmpeg(&[&arguments[..], &[address.as_str()]].concat());
    let (socket, _) = tokio::time::timeout(LIMIT, listener.accept())
        .await
        .expect("ffmpeg connects")
        .unwrap();
    let seen = tokio::time::timeout(LIMIT, serve(socket, "key", &[]))
        .await
        .expect("ffmpeg leaves");
    assert!(seen.video.is_empty());
    let (_, errors) = finish(child).await;
    assert!(errors.contains("this stream key is not known"), "{errors}");
}

#[tokio::test]
async fn ffmpeg_plays_every_frame() {
    // The programme goes through a file, so that the FLV reader meets ffmpeg's writing, too.
    let arguments = programme("3");
    let (file, _) = finish(ffmpeg(&[&arguments[..], &["pipe:1"]].concat())).await;
    let (mut reader, mut data, mut program) = (flv::Reader::new(1 << 20), &file[..], Vec::new());
    while let Some(tag) = reader.read(&mut data).unwrap() {
        program.push(tag);
    }
    let sent: Vec<Bytes> = program
        .iter()
        .filter(|tag| tag.kind == flv::TagKind::Video)
        .map(|tag| tag.payload.clone())
        .collect();

    let (listener, address) = listen().await;
    let player = ffmpeg(&["-i", &address, "-map", "0", "-c", "copy", "-f", "flv", "pipe:1"]);
    let (socket, _) = tokio::time::timeout(LIMIT, listener.accept())
        .await
        .expect("ffmpeg connects")
        .unwrap();
    tokio::time::timeout(LIMIT, serve(socket, "key", &program))
        .await
        .expect("ffmpeg leaves");
    let (played, errors) = finish(player).await;

    let (mut reader, mut data, mut received) = (flv::Reader::new(1 << 20), &played[..], Vec::new());
    while let Some(tag) = reader.read(&mut data).unwrap() {
        if tag.kind == flv::TagKind::Video {
            received.push(tag.payload);
        }
    }
    let frames = |payloads: &[Bytes]| {
        let parsed = payloads
            .iter()
            .filter_map(|payload| match Video::parse(payload).unwrap().body {
                VideoBody::CodedFrames { data, .. } => Some(data),
                _ => None,
            });
        parsed.collect::<Vec<_>>()
    };
    assert_eq!(frames(&sent).len(), 75, "3 s at 25 fps");
    assert_eq!(frames(&received), frames(&sent), "{errors}");
}
