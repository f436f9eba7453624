//! Chunks as small as RTMP begins with, those of sound and pictures in turn.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use marquee_rtmp::chunk::{Kind, Writer};
use marquee_rtmp::flv::TagKind;
use marquee_testkit::ffmpeg;

use crate::clip::{LENGTH, RATE, clip};
use crate::encoder::Encoder;
use crate::stage::Stage;
use crate::story::Story;

const CHUNK: usize = 128;
/// Of a message in the stream that was created first.
const STREAM: u32 = 1;

/// The chunks of one message: their headers are as long as their types say (RTMP 5.3.1), all chunk stream ids being small.
fn chunks(bytes: &BytesMut, length: usize) -> Vec<Bytes> {
    let (mut rest, mut left, mut chunks) = (bytes.clone().freeze(), length, Vec::new());
    while !rest.is_empty() {
        let header = [12, 8, 4, 1][usize::from(rest[0] >> 6)];
        let body = left.min(CHUNK);
        chunks.push(rest.split_to(header + body));
        left -= body;
    }
    chunks
}

#[tokio::test]
async fn interleaved_chunks_of_128_bytes_lose_nothing() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let mut sent = BytesMut::new();
    // One for each chunk stream, since each remembers its headers.
    let (mut pictures, mut sounds) = (Writer::new(), Writer::new());
    pictures.set_chunk_size(128, &mut sent);
    sounds.set_chunk_size(128, &mut BytesMut::new());
    let (mut video, mut audio) = (VecDeque::new(), VecDeque::new());
    for tag in &clip().frames {
        let (writer, chunk_stream, kind, queue) = match tag.kind {
            TagKind::Video => (&mut pictures, 20, Kind::VIDEO, &mut video),
            _ => (&mut sounds, 21, Kind::AUDIO, &mut audio),
        };
        let mut message = BytesMut::new();
        writer.write(
            chunk_stream,
            tag.timestamp,
            kind,
            STREAM,
            &tag.payload,
            &mut message,
        );
        queue.extend(chunks(&message, tag.payload.len()));
    }
    // Sound is a fifth of the pictures: so that both last to the end, one of its chunks follows several of theirs.
    let ratio = video.len() / audio.len().max(1) + 1;
    while !video.is_empty() || !audio.is_empty() {
        for chunk in video.drain(..ratio.min(video.len())).chain(audio.pop_front()) {
            sent.extend_from_slice(&chunk);
        }
    }
    encoder.send_raw(&sent).await.unwrap();
    encoder.finish().await;

    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    let sounds = clip()
        .frames
        .iter()
        .filter(|tag| tag.kind == TagKind::Audio)
        .count();
    assert_eq!(played.video.len(), (RATE * LENGTH / 1_000) as usize);
    assert_eq!(played.audio.len(), sounds);
    assert_eq!(
        ffmpeg::decode(&url, None).await.unwrap(),
        played.video.len() as u64
    );
}
