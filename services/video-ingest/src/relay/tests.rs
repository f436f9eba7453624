use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Reader, RelayConfig, Ring, Tag, TagKind, Taken};

const VIDEO_HEADER: &[u8] = b"\x17\x00\x00\x00\x00avcC";
const AUDIO_HEADER: &[u8] = b"\xaf\x00\x11\x90";

fn tag(kind: TagKind, timestamp: u32, payload: impl Into<Bytes>) -> Tag {
    Tag {
        kind,
        timestamp,
        payload: payload.into(),
    }
}

/// `onMetaData` of an encoder that sends both.
fn metadata() -> Tag {
    let body = b"\x02\x00\x0aonMetaData\x03\x00\x0cvideocodecid\x00\x40\x1c\0\0\0\0\0\0\x00\x0caudiocodecid\x00\x40\x24\0\0\0\0\0\0\x00\x00\x09";
    tag(TagKind::Script, 0, &body[..])
}

fn headers() -> Vec<Tag> {
    vec![
        tag(TagKind::Video, 0, VIDEO_HEADER),
        metadata(),
        tag(TagKind::Audio, 0, AUDIO_HEADER),
    ]
}

fn picture(timestamp: u32, is_key: bool) -> Tag {
    let head = if is_key { 0x17 } else { 0x27 };
    tag(TagKind::Video, timestamp, vec![head, 1, 0, 0, 0, 9])
}

fn sound(timestamp: u32) -> Tag {
    tag(TagKind::Audio, timestamp, &b"\xaf\x01s"[..])
}

/// A group of 25 pictures, from a keyframe on.
fn group(from: u32) -> Vec<Tag> {
    (0..25).map(|n| picture(from + n * 40, n == 0)).collect()
}

fn ring() -> Arc<Ring> {
    Arc::new(Ring::new(RelayConfig::default()))
}

fn all(reader: &mut Reader) -> Vec<Tag> {
    let mut tags = Vec::new();
    while let Some(Taken::Tags { .. }) = reader.look(usize::MAX, &mut tags) {}
    tags
}

fn times(tags: &[Tag]) -> Vec<u32> {
    tags.iter().map(|tag| tag.timestamp).collect()
}

#[test]
fn a_reader_begins_with_the_headers_and_the_newest_keyframe() {
    let ring = ring();
    ring.push(headers());
    ring.push(group(0));
    ring.push(group(1_000));
    let tags = all(&mut ring.reader());
    let kinds: Vec<TagKind> = tags.iter().take(4).map(|tag| tag.kind).collect();
    assert_eq!(
        kinds,
        [TagKind::Script, TagKind::Video, TagKind::Audio, TagKind::Video]
    );
    assert_eq!(times(&tags[..5]), [0, 1_000, 1_000, 1_000, 1_040]);
    assert_eq!(tags.len(), 3 + 25);
}

#[test]
fn bodies_are_shared_and_not_copied() {
    let ring = ring();
    let sent = picture(0, true);
    ring.push(headers());
    ring.push(vec![sent.clone()]);
    let (mut one, mut other) = (ring.reader(), ring.reader());
    for reader in [&mut one, &mut other] {
        let tags = all(reader);
        assert_eq!(tags[3].payload.as_ptr(), sent.payload.as_ptr());
    }
}

#[test]
fn a_reader_before_the_first_keyframe_waits_for_it_and_gets_all_that_follows() {
    let ring = ring();
    let mut reader = ring.reader();
    ring.push(headers());
    ring.push(vec![sound(0), picture(0, false)]);
    assert_eq!(reader.look(usize::MAX, &mut Vec::new()), None);
    ring.push(group(40));
    let tags = all(&mut reader);
    assert_eq!(times(&tags)[3..5], [40, 80]);
    ring.push(vec![sound(1_045)]);
    assert_eq!(times(&all(&mut reader)), [1_045]);
}

#[test]
fn sound_alone_begins_where_it_is_and_is_not_kept() {
    let ring = ring();
    ring.push(vec![tag(TagKind::Audio, 0, AUDIO_HEADER), sound(0), sound(21)]);
    let mut reader = ring.reader();
    assert_eq!(times(&all(&mut reader)), [21]);
    assert_eq!(reader.tracks(), (true, false));
    ring.push(vec![sound(42)]);
    assert_eq!(times(&all(&mut reader)), [42]);
    drop(reader);
    ring.push(vec![sound(63)]);
    assert_eq!(ring.held(), (0, 0));
}

#[test]
fn announced_pictures_are_waited_for_but_not_for_ever() {
    let ring = ring();
    ring.push(vec![metadata(), tag(TagKind::Audio, 0, AUDIO_HEADER), sound(0)]);
    let mut reader = ring.reader();
    assert_eq!(reader.look(usize::MAX, &mut Vec::new()), None);
    ring.push(vec![sound(5_001)]);
    assert_eq!(all(&mut reader).len(), 2);
}

#[test]
fn without_readers_only_the_newest_group_is_kept() {
    let ring = ring();
    ring.push(headers());
    for second in 0..10 {
        ring.push(group(second * 1_000));
    }
    assert_eq!(ring.held().0, 25);
}

#[test]
fn a_group_that_is_too_long_is_not_kept_but_for_those_who_read() {
    let config = RelayConfig {
        max_group: Duration::ZERO,
        ..RelayConfig::default()
    };
    let unread = Ring::new(config.clone());
    unread.push(headers());
    unread.push(group(0));
    assert!(unread.held().0 <= 1);
    let ring = Arc::new(Ring::new(config));
    ring.push(headers());
    let mut reader = ring.reader();
    assert_eq!(reader.look(usize::MAX, &mut Vec::new()), None);
    ring.push(group(1_000));
    assert_eq!(times(&all(&mut reader))[3..5], [1_000, 1_040]);
}

#[test]
fn a_slow_reader_goes_on_at_the_newest_keyframe() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    ring.push(group(0));
    let mut tags = Vec::new();
    reader.look(1, &mut tags);
    assert_eq!(times(&tags[3..]), [0]);
    for second in 1..20 {
        ring.push(group(second * 1_000));
    }
    tags.clear();
    // Of 500 pictures one was read, and 25 are left; those that were kept for it are gone with its place.
    let Some(Taken::Tags { lost }) = reader.look(1, &mut tags) else {
        panic!("nothing")
    };
    assert!((300..=474).contains(&lost), "{lost}");
    let expected = [0, 19_000, 19_000, 19_000];
    assert_eq!(times(&tags), expected, "headers again, and a keyframe");
    assert_eq!(all(&mut reader).len(), 24);
}

#[test]
fn a_reader_within_the_lag_loses_nothing() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    for second in 0..5 {
        ring.push(group(second * 1_000));
    }
    let first = all(&mut reader).len();
    for second in 5..9 {
        ring.push(group(second * 1_000));
    }
    assert_eq!(all(&mut reader).len(), 100);
    // It came when there was nothing, so that it begins with the newest keyframe of its first look.
    assert_eq!(first, 3 + 25);
}

#[test]
fn what_is_kept_is_bounded_whatever_the_encoder_sends() {
    let ring = Arc::new(Ring::new(RelayConfig {
        max_bytes: 10_000,
        ..RelayConfig::default()
    }));
    let mut reader = ring.reader();
    ring.push(headers());
    ring.push(vec![picture(0, true)]);
    for n in 0..1_000 {
        ring.push(vec![tag(TagKind::Video, n, vec![0x27, 1, 0, 0, 0, 1])]);
        assert!(ring.held().1 <= 10_000);
    }
    // Its keyframe is gone: who begins waits for the next one.
    assert_eq!(reader.look(usize::MAX, &mut Vec::new()), None);
    ring.push(vec![picture(1_000, true)]);
    assert_eq!(all(&mut reader).len(), 4);
}

#[test]
fn another_encoder_goes_on_where_the_one_before_it_stopped() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    ring.push(group(0));
    all(&mut reader);
    ring.interrupt();
    ring.push(headers());
    ring.push(vec![
        picture(70_000, false),
        picture(70_040, true),
        picture(70_080, false),
    ]);
    let tags = all(&mut reader);
    assert_eq!(times(&tags), [960, 0, 960, 1_000, 1_040]);
    // The next encoder's headers alone: what the one before it knew is forgotten.
    ring.interrupt();
    ring.push(vec![tag(TagKind::Video, 0, VIDEO_HEADER), picture(0, true)]);
    assert_eq!(all(&mut ring.reader()).len(), 2);
}

#[test]
fn new_headers_reach_those_who_read_and_those_who_come() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    ring.push(group(0));
    all(&mut reader);
    let other: &[u8] = b"\x17\x00\x00\x00\x00other";
    ring.push(vec![tag(TagKind::Video, 1_000, other), picture(1_000, true)]);
    assert_eq!(all(&mut reader)[0].payload, other);
    assert!(all(&mut ring.reader()).iter().any(|tag| tag.payload == other));
}

#[test]
fn a_reader_that_skips_never_goes_back() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    ring.push(group(0));
    all(&mut reader);
    reader.skip();
    ring.push(vec![picture(1_000, false)]);
    assert_eq!(reader.look(usize::MAX, &mut Vec::new()), None);
    ring.push(vec![picture(1_040, true)]);
    assert_eq!(times(&all(&mut reader)), [0, 1_040, 1_040, 1_040]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_media_and_by_the_end() {
    let ring = ring();
    ring.push(headers());
    let mut reader = ring.reader();
    let writing = ring.clone();
    let write = async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        writing.push(vec![picture(0, true)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        writing.end();
    };
    let read = async {
        let mut tags = Vec::new();
        let first = reader.take(usize::MAX, &mut tags).await;
        (first, reader.take(usize::MAX, &mut tags).await, tags.len())
    };
    let ((), read) = tokio::join!(write, read);
    assert_eq!(read, (Taken::Tags { lost: 0 }, Taken::End, 4));
}

#[test]
fn what_was_there_at_the_end_is_read_to_the_end() {
    let ring = ring();
    ring.push(headers());
    ring.push(group(0));
    let mut reader = ring.reader();
    ring.end();
    let mut tags = Vec::new();
    assert_eq!(reader.look(usize::MAX, &mut tags), Some(Taken::Tags { lost: 0 }));
    assert_eq!((tags.len(), reader.look(1, &mut tags)), (28, Some(Taken::End)));
}

/// What an encoder and readers do.
#[derive(Debug, Clone)]
enum Step {
    /// Pictures; the first is a keyframe or not.
    Pictures(bool, u8),
    Sound,
    Headers,
    Interrupt,
    Read {
        reader: usize,
        bytes: usize,
    },
    Join(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 1u8..30).prop_map(|(is_key, count)| Step::Pictures(is_key, count)),
        2 => Just(Step::Sound),
        1 => Just(Step::Headers),
        1 => Just(Step::Interrupt),
        4 => (0usize..3, 1usize..2_000).prop_map(|(reader, bytes)| Step::Read { reader, bytes }),
        1 => (0usize..3).prop_map(Step::Join),
    ];
    prop::collection::vec(step, 0..120)
}

/// A frame with its number behind its head.
fn numbered(kind: TagKind, is_key: bool, timestamp: u32, number: u32) -> Tag {
    let head: &[u8] = match (kind, is_key) {
        (TagKind::Video, true) => &[0x17, 1, 0, 0, 0],
        (TagKind::Video, false) => &[0x27, 1, 0, 0, 0],
        _ => &[0xaf, 1],
    };
    tag(kind, timestamp, [head, &number.to_be_bytes()].concat())
}

fn number(tag: &Tag) -> Option<u32> {
    let digits = match tag.kind {
        TagKind::Video => tag.payload.get(5..9),
        _ => tag.payload.get(2..6),
    };
    let is_frame = tag.kind != TagKind::Script && tag.payload.get(1) == Some(&1);
    let digits: Option<[u8; 4]> = digits.and_then(|digits| digits.try_into().ok());
    digits.filter(|_| is_frame).map(u32::from_be_bytes)
}

proptest! {
    /// Whatever comes and whoever reads: nothing comes twice or out of order, what is missing is told, and pictures begin with
    /// a keyframe after every gap.
    #[test]
    fn readers_get_everything_in_order_or_are_told(steps in steps()) {
        let config = RelayConfig { max_bytes: 8_000, max_lag: Duration::from_secs(2), ..RelayConfig::default() };
        let ring = Arc::new(Ring::new(config));
        // For each reader: itself, the last number it got, and whether a picture has to be a keyframe.
        let mut readers: Vec<(Reader, Option<u32>, bool)> =
            (0..3).map(|_| (ring.reader(), None, true)).collect();
        // The numbers that are of use: pictures of a new encoder before its first keyframe are not.
        let (mut accepted, mut needs_keyframe) = (Vec::new(), true);
        let (mut next, mut now) = (0_u32, 0_u32);
        for step in steps {
            match step {
                Step::Pictures(is_key, count) => {
                    let mut pictures = Vec::new();
                    for n in 0..count {
                        let is_key = is_key && n == 0;
                        needs_keyframe &= !is_key;
                        if !needs_keyframe {
                            accepted.push(next);
                        }
                        pictures.push(numbered(TagKind::Video, is_key, now, next));
                        (next, now) = (next + 1, now + 40);
                    }
                    ring.push(pictures);
                }
                Step::Sound => {
                    accepted.push(next);
                    ring.push(vec![numbered(TagKind::Audio, false, now, next)]);
                    next += 1;
                }
                Step::Headers => ring.push(headers()),
                Step::Interrupt => {
                    ring.interrupt();
                    // The next frame is another encoder's, whose clock began anew.
                    (needs_keyframe, now) = (true, 0);
                }
                Step::Join(reader) => readers[reader] = (ring.reader(), None, true),
                Step::Read { reader, bytes } => {
                    let (reader, last, needs_keyframe) = &mut readers[reader];
                    let mut tags = Vec::new();
                    let Some(Taken::Tags { lost }) = reader.look(bytes, &mut tags) else { continue };
                    if lost > 0 {
                        (*last, *needs_keyframe) = (None, true);
                    }
                    for tag in &tags {
                        let Some(number) = number(tag) else { continue };
                        if let Some(last) = *last {
                            let following = accepted.iter().find(|accepted| **accepted > last);
                            prop_assert_eq!(following, Some(&number));
                        }
                        if tag.kind == TagKind::Video {
                            prop_assert!(!*needs_keyframe || tag.payload[0] == 0x17);
                            *needs_keyframe = false;
                        }
                        *last = Some(number);
                    }
                }
            }
            prop_assert!(ring.held().1 <= 8_000);
        }
    }
}
