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
fn mod_ex_is_passed_over() {
    // Three bytes of nanosecond offset, then type 0 and packet type 1.
    assert_eq!(
        video(b"\x97\x02abc\x01avc1\x00\x00\x00x").body,
        frames(VideoCodec::Avc, 0, b"x")
    );
}

#[test]
fn multitrack_gives_its_first_track() {
    let one = video(b"\x96\x01avc1\x03\x00\x00\x00x");
    assert_eq!((one.track, one.body), (3, frames(VideoCodec::Avc, 0, b"x")));
    let many = video(b"\x96\x11av01\x00\x00\x00\x02xy\x01\x00\x00\x01z");
    assert_eq!((many.track, many.body), (0, frames(VideoCodec::Av1, 0, b"xy")));
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
        let _ = Video::parse(&bytes);
        let _ = Audio::parse(&bytes);
    }
}
