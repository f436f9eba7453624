use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::Error;

fn video(bytes: &[u8]) -> Video {
    Video::parse(&Bytes::copy_from_slice(bytes)).unwrap()
}

fn audio(bytes: &[u8]) -> Audio {
    Audio::parse(&Bytes::copy_from_slice(bytes)).unwrap()
}

fn frames(codec: VideoCodec, composition_time: i32, data: &'static [u8]) -> VideoBody {
    VideoBody::CodedFrames {
        codec,
        composition_time,
        data: Bytes::from_static(data),
    }
}

#[test]
fn legacy_avc() {
    let start = video(&[0x17, 0, 0, 0, 0, 1, 100]);
    let config = Bytes::from_static(&[1, 100]);
    assert_eq!(
        start.body,
        VideoBody::SequenceStart {
            codec: VideoCodec::Avc,
            config
        }
    );
    assert!(!start.is_keyframe(), "a configuration is no frame");

    let key = video(&[0x17, 1, 0, 0, 80, 9]);
    assert_eq!(key.body, frames(VideoCodec::Avc, 80, &[9]));
    assert!(key.is_keyframe());

    let inter = video(&[0x27, 1, 0xFF, 0xFF, 0xD8, 9]);
    assert_eq!(
        (inter.frame_type, inter.body),
        (FrameType::Inter, frames(VideoCodec::Avc, -40, &[9]))
    );
    assert_eq!(video(&[0x17, 2, 0, 0, 0]).body, VideoBody::SequenceEnd);
}

#[test]
fn a_command_frame_is_no_frame() {
    assert_eq!(video(&[0x57, 0]).body, VideoBody::Command);
}

#[test]
fn enhanced_video() {
    let config = Bytes::from_static(&[7]);
    assert_eq!(
        video(b"\x90hvc1\x07").body,
        VideoBody::SequenceStart {
            codec: VideoCodec::Hevc,
            config
        }
    );
    assert_eq!(
        video(b"\x91hvc1\x00\x00\x28x").body,
        frames(VideoCodec::Hevc, 40, b"x")
    );
    assert_eq!(video(b"\x93hvc1x").body, frames(VideoCodec::Hevc, 0, b"x"));
    assert_eq!(video(b"\xA1av01x").body, frames(VideoCodec::Av1, 0, b"x"));
    assert_eq!(video(b"\x91vp09x").body, frames(VideoCodec::Vp9, 0, b"x"));
    assert_eq!(video(b"\x92avc1").body, VideoBody::SequenceEnd);
    assert_eq!(
        video(b"\x94hvc1z").body,
        VideoBody::Metadata(Bytes::from_static(b"z"))
    );
}

#[test]
fn mod_ex_tells_nanoseconds_and_what_else_it_tells_is_passed_over() {
    // Three bytes of nanosecond offset, then type 0 and packet type 1.
    let late = video(b"\x97\x02\x0b\x71\xb0\x01avc1\x00\x00\x00x");
    assert_eq!(
        (late.offset_ns, late.body),
        (750_000, frames(VideoCodec::Avc, 0, b"x"))
    );
    let late = audio(b"\x97\x02\x00\x00\x01\x01Opusx");
    assert_eq!(late.offset_ns, 1);
    // A type of the future, then a nanosecond offset that is no offset, then too few bytes for one.
    for prefix in [
        &b"\x97\x02abc\x11"[..],
        b"\x97\x02\xff\xff\xff\x01",
        b"\x97\x01\x00\x01\x01",
    ] {
        let plain = video(&[prefix, b"avc1\x00\x00\x00x"].concat());
        assert_eq!(
            (plain.offset_ns, plain.body),
            (0, frames(VideoCodec::Avc, 0, b"x"))
        );
    }
    // The long form of the size, and two prefixes.
    let long = [
        &b"\x97\xff\x01\x2c"[..],
        &[0; 301],
        b"\x17\x02\x00\x00\x07\x03hvc1x",
    ]
    .concat();
    let long = video(&long);
    assert_eq!(
        (long.offset_ns, long.body),
        (7, frames(VideoCodec::Hevc, 0, b"x"))
    );
}

fn tracks(bytes: &[u8]) -> Vec<(u8, VideoBody)> {
    let tracks = Video::tracks(&Bytes::copy_from_slice(bytes));
    tracks
        .map(|video| video.map(|video| (video.track, video.body)).unwrap())
        .collect()
}

#[test]
fn every_track_of_a_message_is_read() {
    assert_eq!(
        tracks(b"\x96\x01avc1\x03\x00\x00\x00x"),
        [(3, frames(VideoCodec::Avc, 0, b"x"))]
    );
    assert_eq!(
        tracks(b"\x96\x11av01\x00\x00\x00\x02xy\x01\x00\x00\x01z"),
        [
            (0, frames(VideoCodec::Av1, 0, b"xy")),
            (1, frames(VideoCodec::Av1, 0, b"z"))
        ]
    );
    assert_eq!(
        tracks(b"\x96\x23vp09\x02\x00\x00\x01xhvc1\x00\x00\x00\x02yz"),
        [
            (2, frames(VideoCodec::Vp9, 0, b"x")),
            (0, frames(VideoCodec::Hevc, 0, b"yz"))
        ]
    );
    let sound: Vec<_> = Audio::tracks(&Bytes::from_static(
        b"\x95\x21Opus\x00\x00\x00\x01xmp4a\x01\x00\x00\x01y",
    ))
    .map(|audio| audio.map(|audio| audio.track).unwrap())
    .collect();
    assert_eq!(sound, [0, 1]);
    assert_eq!(tracks(b"\x17\x01\x00\x00\x00x").len(), 1);
}

#[test]
fn a_track_that_reaches_beyond_its_message_is_an_error_and_the_last() {
    let payload = Bytes::from_static(b"\x96\x11av01\x00\x00\x00\x01x\x01\x00\x00\x09z");
    let all: Vec<bool> = Video::tracks(&payload).map(|video| video.is_ok()).collect();
    assert_eq!(all, [true, false]);
    for nested in [&b"\x96\x16avc1"[..], b"\x96\x31avc1\x00\x00\x00\x01x"] {
        assert!(Video::parse(&Bytes::copy_from_slice(nested)).is_err());
    }
}

#[test]
fn unsupported_codecs_are_named() {
    for (bytes, name) in [
        (&b"\x14x"[..], "VP6"),
        (b"\x91vvc1x", "vvc1"),
        (b"\x12x", "Sorenson H.263"),
    ] {
        assert_eq!(video(bytes).body, VideoBody::Unsupported { codec: name.into() });
    }
    for (bytes, name) in [
        (&b"\xB2x"[..], "Speex"),
        (b"\x91\x01\x02\x03\x04", "\\x01\\x02\\x03\\x04"),
    ] {
        assert_eq!(audio(bytes).body, AudioBody::Unsupported { codec: name.into() });
    }
}

#[test]
fn legacy_and_enhanced_audio() {
    let config = Bytes::from_static(&[0x12, 0x10]);
    assert_eq!(
        audio(&[0xAF, 0, 0x12, 0x10]).body,
        AudioBody::SequenceStart {
            codec: AudioCodec::Aac,
            config: config.clone()
        }
    );
    let data = Bytes::from_static(b"x");
    assert_eq!(
        audio(b"\xAF\x01x").body,
        AudioBody::CodedFrames {
            codec: AudioCodec::Aac,
            data: data.clone()
        }
    );
    assert_eq!(
        audio(b"\x2Fx").body,
        AudioBody::CodedFrames {
            codec: AudioCodec::Mp3,
            data: data.clone()
        }
    );
    assert_eq!(
        audio(b"\x91Opusx").body,
        AudioBody::CodedFrames {
            codec: AudioCodec::Opus,
            data
        }
    );
    assert_eq!(
        audio(b"\x90mp4a\x12\x10").body,
        AudioBody::SequenceStart {
            codec: AudioCodec::Aac,
            config
        }
    );
}

#[test]
fn too_short_is_an_error() {
    let error = Video::parse(&Bytes::from_static(&[0x17, 1])).unwrap_err();
    assert_eq!(
        error,
        Error::MalformedMedia {
            what: "video message",
            length: 2
        }
    );
    assert!(Video::parse(&Bytes::new()).is_err());
    assert!(Audio::parse(&Bytes::from_static(b"\x90Op")).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let bytes = Bytes::from(bytes);
        prop_assert!(Video::tracks(&bytes).count() <= 256);
        prop_assert!(Audio::tracks(&bytes).count() <= 256);
        prop_assert!(Video::tracks(&bytes).all(|video| video.is_err() || video.is_ok_and(|v| v.offset_ns < 1_000_000)));
    }
}

/// A message of several tracks as E-RTMP writes it, behind prefixes of any type and length.
fn packed(
    head: u8,
    multitrack: u8,
    prefixes: &[(u8, Vec<u8>)],
    tracks: &[(u8, [u8; 4], Vec<u8>)],
) -> Vec<u8> {
    const CODED_FRAMES: u8 = 1;
    let mut bytes = vec![head | if prefixes.is_empty() { multitrack } else { 7 }];
    for (index, (kind, data)) in prefixes.iter().enumerate() {
        match u8::try_from(data.len() - 1) {
            Ok(size) if size < 255 => bytes.push(size),
            _ => {
                bytes.push(255);
                bytes.extend(u16::try_from(data.len() - 1).unwrap().to_be_bytes());
            }
        }
        bytes.extend(data);
        let next = if index + 1 < prefixes.len() { 7 } else { multitrack };
        bytes.push(kind << 4 | next);
    }
    bytes.push(2 << 4 | CODED_FRAMES);
    for (track, four_cc, body) in tracks {
        bytes.extend(four_cc);
        bytes.push(*track);
        bytes.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend(body);
    }
    bytes
}

proptest! {
    #[test]
    fn tracks_and_prefixes_of_every_kind_read_back(
        prefixes in prop::collection::vec((0u8..16, prop::collection::vec(any::<u8>(), 1..600)), 0..4),
        tracks in prop::collection::vec(
            (any::<u8>(), prop_oneof![Just(*b"av01"), Just(*b"vp09"), Just(*b"zzzz")], prop::collection::vec(any::<u8>(), 0..40)),
            1..6,
        ),
    ) {
        let bytes = Bytes::from(packed(0x90, 6, &prefixes, &tracks));
        let read: Vec<_> = Video::tracks(&bytes).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), tracks.len());
        let last = prefixes.iter().rev().find(|(kind, data)| *kind == 0 && data.len() >= 3);
        let nanos = last.map_or(0, |(_, data)| u32::from_be_bytes([0, data[0], data[1], data[2]]));
        let expected_ns = if nanos < 1_000_000 { nanos } else { 0 };
        for (video, (track, four_cc, data)) in read.into_iter().zip(&tracks) {
            prop_assert_eq!((video.track, video.offset_ns), (*track, expected_ns));
            match video.body {
                VideoBody::CodedFrames { data: found, .. } => prop_assert_eq!(&found[..], &data[..]),
                other => prop_assert!(four_cc == b"zzzz", "{:?}", other),
            }
        }
    }
}
