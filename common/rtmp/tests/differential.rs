//! Against another implementation (`shiguredo_rtmp`): what it writes we read, and the other way round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails the test"
)]

use std::time::Duration;

use bytes::Bytes;
use marquee_rtmp::media::{Audio, AudioBody, AudioCodec, Video, VideoBody, VideoCodec};
use marquee_rtmp::{ClientSession, Limits, Media, ServerSession, client, server};
use proptest::prelude::*;
use shiguredo_rtmp as other;

const NOW: Duration = Duration::ZERO;

#[derive(Debug, Clone)]
enum Frame {
    Audio {
        timestamp: u32,
        data: Vec<u8>,
    },
    Video {
        timestamp: u32,
        key: bool,
        composition_time: i32,
        data: Vec<u8>,
    },
}

/// Timestamps go up, stand still and cross into the extended range.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        0u32..60,
        any::<bool>(),
        any::<bool>(),
        -100i32..200,
        prop::collection::vec(any::<u8>(), 1..9000),
    );
    let start = prop_oneof![0u32..1000, 0xFF_FF00u32..0xFF_FFFF, Just(u32::MAX - 5000)];
    (start, prop::collection::vec(frame, 1..20)).prop_map(|(mut timestamp, frames)| {
        let place = |(step, audio, key, composition_time, data)| {
            timestamp += step;
            if audio {
                Frame::Audio { timestamp, data }
            } else {
                Frame::Video {
                    timestamp,
                    key,
                    composition_time,
                    data,
                }
            }
        };
        frames.into_iter().map(place).collect()
    })
}

/// The body of our message for a frame.
fn payload(frame: &Frame) -> Bytes {
    match frame {
        Frame::Audio { data, .. } => [&[0xAF, 1][..], data].concat().into(),
        Frame::Video {
            key,
            composition_time,
            data,
            ..
        } => {
            let [_, time @ ..] = composition_time.to_be_bytes();
            [&[if *key { 0x17 } else { 0x27 }, 1][..], &time, data]
                .concat()
                .into()
        }
    }
}

fn other_audio(timestamp: u32, data: &[u8]) -> other::AudioFrame {
    other::AudioFrame {
        timestamp: other::RtmpTimestamp::from_millis(timestamp),
        format: other::AudioFormat::Aac,
        sample_rate: other::AudioFrame::AAC_SAMPLE_RATE,
        is_8bit_sample: false,
        is_stereo: other::AudioFrame::AAC_STEREO,
        is_aac_sequence_header: false,
        data: data.to_vec(),
    }
}

fn other_video(timestamp: u32, key: bool, composition_time: i32, data: &[u8]) -> other::VideoFrame {
    other::VideoFrame {
        timestamp: other::RtmpTimestamp::from_millis(timestamp),
        composition_timestamp_offset: other::RtmpTimestampDelta::from_millis(composition_time),
        frame_type: if key {
            other::VideoFrameType::KeyFrame
        } else {
            other::VideoFrameType::InterFrame
        },
        codec: other::VideoCodec::Avc,
        avc_packet_type: Some(other::AvcPacketType::NalUnit),
        data: data.to_vec(),
    }
}

/// The NetStream id that their clients use, whatever `createStream` answered.
const THEIR_STREAM: u32 = 2;

/// A server of ours that takes whoever comes; what it got.
fn serve(session: &mut ServerSession, mut data: &[u8]) -> Vec<server::Event> {
    let mut media = Vec::new();
    while let Some(event) = session.input(&mut data, NOW).unwrap() {
        match event {
            server::Event::ConnectRequested(request) => session.accept(request.request).unwrap(),
            server::Event::PublishRequested(request) => {
                assert_eq!(request.key.expose(), "key");
                session.accept(request.request).unwrap();
            }
            server::Event::PlayRequested(request) => session.accept(request.request).unwrap(),
            event => media.push(event),
        }
    }
    media
}

/// What their end got, as our messages.
fn received(event: other::RtmpConnectionEvent) -> Option<Frame> {
    match event {
        other::RtmpConnectionEvent::AudioReceived(frame) => Some(Frame::Audio {
            timestamp: frame.timestamp.as_millis(),
            data: frame.data,
        }),
        other::RtmpConnectionEvent::VideoReceived(frame) => Some(Frame::Video {
            timestamp: frame.timestamp.as_millis(),
            key: frame.is_keyframe(),
            composition_time: frame.composition_timestamp_offset.as_millis(),
            data: frame.data,
        }),
        _ => None,
    }
}

fn assert_same(ours: &[Frame], theirs: &[Frame]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn their_publisher_to_our_server(frames in frames()) {
        let url = other::RtmpUrl::parse("rtmp://localhost/live/key").unwrap();
        let mut publisher = other::RtmpPublishClientConnection::new(url);
        let mut session = ServerSession::new(Limits::default(), NOW);
        while publisher.state() != other::RtmpConnectionState::Publishing {
            let sent = publisher.send_buf().to_vec();
            publisher.advance_send_buf(sent.len());
            assert!(serve(&mut session, &sent).is_empty());
            publisher.feed_recv_buf(&session.take_output()).unwrap();
        }
        for frame in &frames {
            match frame {
                Frame::Audio { timestamp, data } => publisher.send_audio(other_audio(*timestamp, data)).unwrap(),
                Frame::Video { timestamp, key, composition_time, data } => publisher
                    .send_video(other_video(*timestamp, *key, *composition_time, data))
                    .unwrap(),
            }
        }
        let sent = publisher.send_buf().to_vec();
        let events = serve(&mut session, &sent);
        let read: Vec<Frame> = events.into_iter().map(|event| match event {
            server::Event::Audio(Media { timestamp, payload, .. }) => match Audio::parse(&payload).unwrap().body {
                AudioBody::CodedFrames { codec: AudioCodec::Aac, data } => {
                    Frame::Audio { timestamp, data: data.to_vec() }
                }
                other => panic!("{other:?}"),
            },
            server::Event::Video(Media { timestamp, payload, .. }) => {
                let video = Video::parse(&payload).unwrap();
                let key = video.is_keyframe();
                match video.body {
                    VideoBody::CodedFrames { codec: VideoCodec::Avc, composition_time, data } => {
                        Frame::Video { timestamp, key, composition_time, data: data.to_vec() }
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }).collect();
        assert_same(&read, &frames);
    }

    #[test]
    fn our_publisher_to_their_server(frames in frames()) {
        let url = "rtmp://localhost/live/key".parse().unwrap();
        let mut publisher = ClientSession::publish(&url, Limits::default(), NOW);
        let mut server = other::RtmpServerConnection::new();
        while !publisher.is_active() {
            server.feed_recv_buf(&publisher.take_output()).unwrap();
            if server.state() == other::RtmpConnectionState::PublishPending {
                server.accept().unwrap();
            }
            let sent = server.send_buf().to_vec();
            server.advance_send_buf(sent.len());
            let mut data = &sent[..];
            while let Some(event) = publisher.input(&mut data, NOW).unwrap() {
                assert_eq!(event, client::Event::PublishStarted);
            }
        }
        for frame in &frames {
            match frame {
                Frame::Audio { timestamp, .. } => publisher.send_audio(*timestamp, &payload(frame)).unwrap(),
                Frame::Video { timestamp, .. } => publisher.send_video(*timestamp, &payload(frame)).unwrap(),
            }
        }
        server.feed_recv_buf(&publisher.take_output()).unwrap();
        let read: Vec<Frame> = std::iter::from_fn(|| server.next_event()).filter_map(received).collect();
        assert_same(&read, &frames);
    }

    #[test]
    fn our_server_to_their_player(frames in frames()) {
        let url = other::RtmpUrl::parse("rtmp://localhost/live/key").unwrap();
        let mut player = other::RtmpPlayClientConnection::new(url);
        let mut session = ServerSession::new(Limits::default(), NOW);
        while player.state() != other::RtmpConnectionState::Playing {
            let sent = player.send_buf().to_vec();
            player.advance_send_buf(sent.len());
            serve(&mut session, &sent);
            player.feed_recv_buf(&session.take_output()).unwrap();
        }
        for frame in &frames {
            match frame {
                Frame::Audio { timestamp, .. } => session.send_audio(THEIR_STREAM, *timestamp, &payload(frame)).unwrap(),
                Frame::Video { timestamp, .. } => session.send_video(THEIR_STREAM, *timestamp, &payload(frame)).unwrap(),
            }
        }
        player.feed_recv_buf(&session.take_output()).unwrap();
        let read: Vec<Frame> = std::iter::from_fn(|| player.next_event()).filter_map(received).collect();
        assert_same(&read, &frames);
    }
}
