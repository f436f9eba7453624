//! What a tag is to those who read it.

use marquee_rtmp::flv::{Tag, TagKind};
use marquee_rtmp::media::{Audio, AudioBody, Video, VideoBody};
use marquee_rtmp::metadata::Metadata;

/// What a tag is to those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Needed by whoever begins later. A newer one takes its place.
    Header(Slot),
    /// Who begins may begin here.
    Keyframe,
    /// Anything else.
    Frame,
    /// A sign of life without a body.
    Nothing,
}

/// Which header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) kind: TagKind,
    /// The track; [`EXTRA`] and more for what is no decoder configuration (colours, channel order).
    pub(super) track: u16,
}

const EXTRA: u16 = 256;
/// AMF0: the text "onMetaData".
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// Looks at the first bytes; only messages with several tracks or prefixes are taken apart. `main` is the video track whose
/// keyframes count.
pub(super) fn class(tag: &Tag, main: u16) -> Class {
    if tag.payload.is_empty() {
        return Class::Nothing;
    }
    match tag.kind {
        TagKind::Script if is_metadata(tag) => header(TagKind::Script, 0),
        TagKind::Script => Class::Frame,
        TagKind::Video => video(tag, main),
        TagKind::Audio => audio(tag),
    }
}

/// Whether it is `onMetaData`.
pub(super) fn is_metadata(tag: &Tag) -> bool {
    tag.kind == TagKind::Script && tag.payload.starts_with(ON_META_DATA)
}

/// FLV E.4.3.1; E-RTMP "ExVideoTagHeader".
fn video(tag: &Tag, main: u16) -> Class {
    let head = tag.payload[0];
    let is_key = matches!(head >> 4 & 0x07, 1 | 4);
    let is_command = head >> 4 & 0x07 == 5;
    let frame = if is_key { Class::Keyframe } else { Class::Frame };
    match (head & 0x80 != 0, head & 0x0F) {
        (false, 7 | 12) => match tag.payload.get(1) {
            _ if is_command => Class::Frame,
            Some(0) => header(TagKind::Video, 0),
            Some(1) => frame,
            _ => Class::Frame,
        },
        (false, _) => frame,
        (true, 4) => header(TagKind::Video, EXTRA),
        (true, _) if is_command => Class::Frame,
        (true, 0) => header(TagKind::Video, 0),
        (true, 1 | 3) => frame,
        (true, 6 | 7) => tracks(tag, main),
        (true, _) => Class::Frame,
    }
}

fn tracks(tag: &Tag, main: u16) -> Class {
    let mut class = Class::Frame;
    for video in Video::tracks(&tag.payload).map_while(Result::ok) {
        match video.body {
            VideoBody::SequenceStart { .. } => return header(TagKind::Video, video.track.into()),
            VideoBody::Metadata(_) => return header(TagKind::Video, EXTRA + u16::from(video.track)),
            VideoBody::CodedFrames { .. } if video.is_keyframe() && u16::from(video.track) == main => {
                class = Class::Keyframe;
            }
            _ => {}
        }
    }
    class
}

/// FLV E.4.2.1; E-RTMP "ExAudioTagHeader".
fn audio(tag: &Tag) -> Class {
    let head = tag.payload[0];
    match (head >> 4, head & 0x0F) {
        (10, _) if tag.payload.get(1) == Some(&0) => header(TagKind::Audio, 0),
        (9, 0) => header(TagKind::Audio, 0),
        (9, 4) => header(TagKind::Audio, EXTRA),
        (9, 5 | 7) => {
            let mut tracks = Audio::tracks(&tag.payload).map_while(Result::ok);
            tracks
                .find_map(|audio| match audio.body {
                    AudioBody::SequenceStart { .. } => Some(header(TagKind::Audio, audio.track.into())),
                    AudioBody::Metadata(_) => Some(header(TagKind::Audio, EXTRA + u16::from(audio.track))),
                    _ => None,
                })
                .unwrap_or(Class::Frame)
        }
        _ => Class::Frame,
    }
}

fn header(kind: TagKind, track: u16) -> Class {
    Class::Header(Slot { kind, track })
}

/// Whether metadata announces sound and pictures.
pub(super) fn announced(tag: &Tag) -> (bool, bool) {
    let metadata = Metadata::parse(&tag.payload, marquee_rtmp::Limits::default().amf);
    let metadata = metadata.ok().flatten().unwrap_or_default();
    (metadata.audio_codec.is_some(), metadata.video_codec.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: TagKind, payload: &'static [u8]) -> Class {
        let tag = Tag {
            kind,
            timestamp: 0,
            payload: payload.into(),
        };
        class(&tag, 0)
    }

    #[test]
    fn video_tells_its_headers_and_keyframes_in_all_its_forms() {
        for (payload, expected) in [
            (&b"\x17\x00\x00\x00\x00avcC"[..], header(TagKind::Video, 0)),
            (b"\x17\x01\x00\x00\x00key", Class::Keyframe),
            (b"\x27\x01\x00\x00\x00inter", Class::Frame),
            (b"\x17\x02\x00\x00\x00", Class::Frame),
            (b"\x57\x00", Class::Frame),
            (b"\x90hvc1config", header(TagKind::Video, 0)),
            (b"\x93hvc1key", Class::Keyframe),
            (b"\xa1hvc1\x00\x00\x00inter", Class::Frame),
            (b"\x94hvc1colour", header(TagKind::Video, EXTRA)),
            (b"\xd4hvc1colour", header(TagKind::Video, EXTRA)),
            (b"\x96\x00avc1\x01config", header(TagKind::Video, 1)),
            (b"\x96\x03avc1\x00key", Class::Keyframe),
            (b"\x96\x03avc1\x01key of another track", Class::Frame),
            (b"\x97\x02\x0b\x71\xb0\x03avc1key", Class::Keyframe),
            (b"", Class::Nothing),
        ] {
            assert_eq!(of(TagKind::Video, payload), expected, "{payload:02x?}");
        }
    }

    #[test]
    fn audio_and_data_tell_their_headers() {
        for (kind, payload, expected) in [
            (
                TagKind::Audio,
                &b"\xaf\x00\x11\x90"[..],
                header(TagKind::Audio, 0),
            ),
            (TagKind::Audio, b"\xaf\x01frame", Class::Frame),
            (TagKind::Audio, b"\x2f\xff", Class::Frame),
            (TagKind::Audio, b"\x90OpusOpusHead", header(TagKind::Audio, 0)),
            (TagKind::Audio, b"\x91Opusframe", Class::Frame),
            (
                TagKind::Audio,
                b"\x95\x00Opus\x02OpusHead",
                header(TagKind::Audio, 2),
            ),
            (
                TagKind::Script,
                b"\x02\x00\x0aonMetaData\x03\x00\x00\x09",
                header(TagKind::Script, 0),
            ),
            (TagKind::Script, b"\x02\x00\x0aonTextData", Class::Frame),
        ] {
            assert_eq!(of(kind, payload), expected, "{payload:02x?}");
        }
    }
}
