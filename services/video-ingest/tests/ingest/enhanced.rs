//! Enhanced RTMP: HEVC, AV1, VP9 and Opus from real encoders come out of HLS with every frame in its place.

use bytes::Bytes;
use marquee_proto::video_ingest::v1::{LiveStream, Recording};
use marquee_rtmp::amf0::{Value, encode};
use marquee_rtmp::flv::TagKind;
use marquee_testkit::ffmpeg;

use crate::encoder::Encoder;
use crate::hls::get;
use crate::logs;
use crate::mp4::{Clip, Coded};
use crate::stage::Stage;
use crate::story::Story;

const PICTURES: &str = "-f lavfi -i testsrc2=size=320x180:rate=30000/1001";
const TONE: &str = "-f lavfi -i sine=sample_rate=48000";

/// How the messages are made.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Plain,
    /// ModEx nanoseconds before each frame.
    Nanoseconds,
    /// Multitrack messages of two tracks: this one as 0, and another one that is no picture or sound at all.
    ManyTracks,
}

pub(crate) fn metadata(clip: &Clip) -> Bytes {
    let four_cc = |four_cc: [u8; 4]| Value::Number(f64::from(u32::from_be_bytes(four_cc)));
    let mut properties = vec![("framerate".to_owned(), Value::Number(29.97))];
    properties.extend(
        clip.video
            .iter()
            .map(|(id, _)| ("videocodecid".to_owned(), four_cc(*id))),
    );
    properties.extend(
        clip.audio
            .iter()
            .map(|(id, _)| ("audiocodecid".to_owned(), four_cc(*id))),
    );
    let mut bytes = Vec::new();
    encode(&"onMetaData".into(), &mut bytes);
    encode(&Value::EcmaArray(properties), &mut bytes);
    bytes.into()
}

/// A message of one track, or of two.
fn message(head: u8, multitrack: u8, packet_type: u8, four_cc: [u8; 4], body: &[u8], form: Form) -> Bytes {
    if form != Form::ManyTracks {
        return [&[head | packet_type][..], &four_cc, body].concat().into();
    }
    let [_, length @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
    let kind = 1 << 4 | packet_type;
    let other = [7, 0, 0, 3, 1, 2, 3];
    [
        &[head | multitrack, kind][..],
        &four_cc,
        &[0],
        &length,
        body,
        &other,
    ]
    .concat()
    .into()
}

pub(crate) fn header(four_cc: [u8; 4], config: &[u8], is_video: bool, form: Form) -> Bytes {
    message(0x90, if is_video { 6 } else { 5 }, 0, four_cc, config, form)
}

pub(crate) fn frame(four_cc: [u8; 4], frame: &Coded, form: Form) -> Bytes {
    let mut head = match (frame.is_video, frame.keyframe) {
        (false, _) | (true, true) => 0x90,
        (true, false) => 0xa0,
    };
    let reordered = matches!(&four_cc, b"hvc1" | b"avc1");
    // CodedFramesX where the offset is 0.
    let (packet_type, offset) = match (frame.is_video && reordered, frame.composition_ms) {
        (true, 0) => (3, Vec::new()),
        (true, offset) => (1, offset.to_be_bytes()[1..].to_vec()),
        (false, _) => (1, Vec::new()),
    };
    let body = [&offset, &frame.data[..]].concat();
    let mut prefix = Vec::new();
    if form == Form::Nanoseconds {
        let [_, nanos @ ..] = frame.offset_ns.to_be_bytes();
        prefix = [&[head | 7, 2][..], &nanos].concat();
        // The next type shares its byte with the ModEx type, which is 0.
        head = 0;
    }
    let rest = message(
        head,
        if frame.is_video { 6 } else { 5 },
        packet_type,
        four_cc,
        &body,
        form,
    );
    [&prefix, &rest[..]].concat().into()
}

async fn publish(stage: &Stage, clip: &Clip, form: Form) -> (LiveStream, Recording, String) {
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::bare(&format!("rtmp://{}/live/{secret}", clients.rtmp))
        .await
        .unwrap();
    encoder
        .send_tag(TagKind::Script, 0, &metadata(clip))
        .await
        .unwrap();
    if let Some((four_cc, config)) = &clip.video {
        encoder
            .send_tag(TagKind::Video, 0, &header(*four_cc, config, true, form))
            .await
            .unwrap();
    }
    if let Some((four_cc, config)) = &clip.audio {
        encoder
            .send_tag(TagKind::Audio, 0, &header(*four_cc, config, false, form))
            .await
            .unwrap();
    }
    for coded in &clip.frames {
        let (kind, configuration) = match coded.is_video {
            true => (TagKind::Video, &clip.video),
            false => (TagKind::Audio, &clip.audio),
        };
        let four_cc = configuration.as_ref().unwrap().0;
        // With nanoseconds, the milliseconds are those before.
        let early = u32::from(form == Form::Nanoseconds && coded.offset_ns >= 500_000);
        encoder
            .send_tag(kind, coded.dts_ms - early, &frame(four_cc, coded, form))
            .await
            .unwrap();
    }
    let started = story.expect("started").await;
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    let multivariant = get(clients.http, &started.playback_path).await.text().to_owned();
    encoder.finish().await;
    (started, recordings.expect_recording().await, multivariant)
}

/// What came out: all of it, evenly spaced to the microsecond, and no further apart than it was sent.
async fn assert_whole(stage: &Stage, recording: &Recording, clip: &Clip) {
    let url = format!("http://{}{}", stage.clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), clip.count(true));
    assert_eq!(played.audio.len(), clip.count(false));
    let mut pictures = played.video.clone();
    pictures.sort_by(f64::total_cmp);
    let step = 1_001.0 / 30_000.0;
    let uneven: Vec<f64> = pictures
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|found| (found - step).abs() > 2e-6)
        .collect();
    assert!(uneven.is_empty(), "{uneven:?}: pictures are {step} s apart");
    let first = |is_video: bool| {
        let mut own = clip.frames.iter().filter(|frame| frame.is_video == is_video);
        let frame = own.next().unwrap();
        (f64::from(frame.dts_ms) + f64::from(frame.composition_ms)) / 1_000.0
    };
    let (sent, found) = (first(true) - first(false), pictures[0] - played.audio[0]);
    assert!(
        (sent - found).abs() < 0.002,
        "the sound is off by {found} s, sent {sent} s"
    );
    let decoded = ffmpeg::decode(&url, None).await.unwrap();
    assert_eq!(decoded, clip.count(true) as u64);
}

pub(crate) fn hevc() -> Clip {
    Clip::make(&format!(
        "{PICTURES} {TONE} -t 7 -c:v libx265 -preset ultrafast -tag:v hvc1 \
         -x265-params log-level=error:bframes=3:keyint=60:min-keyint=60:scenecut=0:open-gop=0 -c:a aac -ac 2"
    ))
}

#[tokio::test]
async fn hevc_with_b_frames_and_aac() {
    let (stage, _folder) = Stage::new().await;
    let clip = hevc();
    let (_, recording, multivariant) = publish(&stage, &clip, Form::Plain).await;
    assert!(
        multivariant.contains("CODECS=\"hvc1.1.6.L60.90,mp4a.40.2\""),
        "{multivariant}"
    );
    assert!(
        multivariant.contains("RESOLUTION=320x180,FRAME-RATE=29.970"),
        "{multivariant}"
    );
    assert_whole(&stage, &recording, &clip).await;
}

#[tokio::test]
async fn av1_and_opus_with_nanoseconds() {
    let (stage, _folder) = Stage::new().await;
    let clip = Clip::make(&format!(
        "{PICTURES} {TONE} -t 7 -c:v libaom-av1 -cpu-used 8 -usage realtime -g 60 -keyint_min 60 -c:a libopus -ac 2"
    ));
    let (_, recording, multivariant) = publish(&stage, &clip, Form::Nanoseconds).await;
    assert!(
        multivariant.contains("CODECS=\"av01.0.00M.08,Opus\""),
        "{multivariant}"
    );
    // AV1 does not tell its rate: the metadata does.
    assert!(
        multivariant.contains("RESOLUTION=320x180,FRAME-RATE=29.970"),
        "{multivariant}"
    );
    assert_whole(&stage, &recording, &clip).await;
}

#[tokio::test]
async fn vp9_and_opus_as_the_first_of_two_tracks_each() {
    let (stage, _folder) = Stage::new().await;
    let clip = Clip::make(&format!(
        "{PICTURES} {TONE} -t 7 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60 -c:a libopus -ac 2"
    ));
    let (_, recording, multivariant) = publish(&stage, &clip, Form::ManyTracks).await;
    assert!(multivariant.contains("CODECS=\"vp09.00.11.08"), "{multivariant}");
    assert!(
        multivariant.contains("RESOLUTION=320x180,FRAME-RATE=29.970"),
        "{multivariant}"
    );
    assert_whole(&stage, &recording, &clip).await;
    assert!(logs::contain(
        "an encoder sends several tracks of a kind; this one is left out"
    ));
}

#[tokio::test]
async fn opus_alone_is_a_stream() {
    let (stage, _folder) = Stage::new().await;
    let clip = Clip::make(&format!("{TONE} -t 8 -c:a libopus -ac 2"));
    let (_, recording, multivariant) = publish(&stage, &clip, Form::Plain).await;
    assert!(multivariant.contains("CODECS=\"Opus\""), "{multivariant}");
    assert!(!multivariant.contains("RESOLUTION"), "{multivariant}");
    let url = format!("http://{}{}", stage.clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.audio.len(), clip.count(false));
    assert!(
        played
            .audio
            .windows(2)
            .all(|pair| (pair[1] - pair[0] - 0.02).abs() < 1e-5)
    );
}
