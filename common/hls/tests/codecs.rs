//! HEVC, AV1, VP9 and Opus out of ffmpeg's encoders, packaged, as stock ffmpeg sees them again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod stage;

use marquee_hls::{AudioConfig, Frame, FrameRate, MediaConfig, Track, VideoConfig, VideoRange};
use stage::mp4::Clip;
use stage::{Message, Stage, decode_errors, frames, packets, steps};

const PICTURES: &str = "-f lavfi -i testsrc2=size=320x180:rate=30000/1001";

fn messages(clip: &Clip) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some((four_cc, record)) = clip.video.clone() {
        let config = match &four_cc {
            b"hvc1" => VideoConfig::hevc(record),
            b"av01" => VideoConfig::av1(record),
            b"vp09" => VideoConfig::vp9(record),
            _ => VideoConfig::avc(record),
        };
        // What an encoder's metadata says.
        let config = config.unwrap().or_frame_rate(FrameRate::from_decimal(29.97));
        messages.push(Message::Config(MediaConfig::Video(config)));
    }
    if let Some((four_cc, config)) = &clip.audio {
        let config = match four_cc {
            b"Opus" => AudioConfig::opus(config),
            _ => AudioConfig::aac(config.clone()),
        };
        messages.push(Message::Config(MediaConfig::Audio(config.unwrap())));
    }
    messages.extend(clip.frames.iter().map(|frame| {
        Message::Frame(match frame.is_video {
            true => Frame::video(
                frame.dts_ms,
                frame.composition_ms,
                frame.keyframe,
                frame.data.clone(),
            ),
            false => Frame::audio(frame.dts_ms, frame.data.clone()),
        })
    }));
    messages
}

fn published(clip: &Clip) -> Stage {
    let mut stage = Stage::default();
    stage.publish(&messages(clip)).unwrap();
    stage.interrupt();
    assert_eq!(stage.warnings, []);
    stage
}

/// Parts are as long as PART-TARGET allows and at least 85 % of it (RFC 8216bis 4.4.4.9), whatever the frames' length.
fn assert_parts(stage: &Stage) {
    let target = stage.inits[0].record.part_target_us.unwrap();
    for segment in &stage.segments {
        for part in &segment.parts[..segment.parts.len() - 1] {
            let duration = part.duration_us;
            assert!(duration <= target, "{duration} of {target}");
            assert!(duration * 100 >= target * 85, "{duration} of {target}");
        }
    }
}

/// Every picture is there, each 1001/30000 s after the other, the sound touches, and both decode.
fn assert_whole(clip: &Clip, stage: &Stage, samples: i64) {
    let file = stage.generation(0);
    let video = packets(&file, Track::Video);
    assert_eq!(video.len(), clip.count(true));
    assert!(
        steps(&video).iter().all(|step| *step == 3_003),
        "{:?}",
        steps(&video)
    );
    let audio = packets(&file, Track::Audio);
    assert_eq!(audio.len(), clip.count(false));
    assert!(
        steps(&audio).iter().all(|step| *step == samples),
        "{:?}",
        steps(&audio)
    );
    let first = |is_video: bool| {
        let frame = clip
            .frames
            .iter()
            .find(|frame| frame.is_video == is_video)
            .unwrap();
        f64::from(frame.dts_ms) / 1_000.0 + f64::from(frame.composition_ms) / 1_000.0
    };
    let sent = first(true) - first(false);
    let offset = video[0].seconds - audio[0].seconds;
    assert!(
        (offset - sent).abs() < 0.002,
        "sound is {offset} s off, sent {sent}"
    );
    assert_eq!(decode_errors(&stage.vod()), "");
    assert_parts(stage);
}

#[test]
fn hevc_with_b_frames_and_aac() {
    let clip = Clip::make(&format!(
        "{PICTURES} -f lavfi -i sine=sample_rate=44100 -t 7 -c:v libx265 -preset ultrafast -tag:v hvc1 \
         -x265-params log-level=error:bframes=3:keyint=60:min-keyint=60:scenecut=0:open-gop=0 -c:a aac -ac 2"
    ));
    assert!(
        clip.frames.iter().any(|frame| frame.composition_ms > 60),
        "there are b-frames"
    );
    let stage = published(&clip);
    assert_whole(&clip, &stage, 1_024);
    let record = &stage.inits[0].record;
    assert!(record.codecs.starts_with("hvc1.1.6.L60."), "{}", record.codecs);
    assert_eq!(record.resolution, Some((320, 180)));
    assert_eq!(record.frame_rate, FrameRate::new(30_000, 1_001));
    assert_eq!(stage.durations_us()[..3], [2_002_000; 3]);
}

#[test]
fn high_dynamic_range_is_told_by_every_codec() {
    let pictures = "-f lavfi -i testsrc2=size=320x180:rate=25 -t 2";
    let hevc = "-c:v libx265 -preset ultrafast -tag:v hvc1 -pix_fmt yuv420p10le -x265-params \
                log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    let avc =
        "-c:v libx264 -preset ultrafast -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc";
    let av1 = "-c:v libaom-av1 -cpu-used 8 -usage realtime -color_primaries bt2020 -color_trc smpte2084 \
               -colorspace bt2020nc";
    let sdr = "-c:v libx264 -preset ultrafast -color_primaries bt709 -color_trc bt709 -colorspace bt709";
    for (codec, name, range) in [
        (hevc, "hvc1.2.4.L", Some(VideoRange::Pq)),
        (avc, "avc1.", Some(VideoRange::Hlg)),
        (av1, "av01.0.00M.08.0.110.09.16.09.0", Some(VideoRange::Pq)),
        (sdr, "avc1.", None),
    ] {
        let stage = published(&Clip::make(&format!("{pictures} {codec}")));
        let record = &stage.inits[0].record;
        assert!(record.codecs.starts_with(name), "{}", record.codecs);
        assert_eq!(record.range, range, "{name}");
        assert_eq!(decode_errors(&stage.vod()), "");
    }
}

#[test]
fn av1_and_opus() {
    let clip = Clip::make(&format!(
        "{PICTURES} -f lavfi -i sine=sample_rate=48000 -t 5 -c:v libaom-av1 -cpu-used 8 -usage realtime -g 60 \
         -keyint_min 60 -c:a libopus -ac 2"
    ));
    let stage = published(&clip);
    assert_whole(&clip, &stage, 960);
    let record = &stage.inits[0].record;
    assert_eq!(record.codecs, "av01.0.00M.08,Opus");
    assert_eq!(record.resolution, Some((320, 180)));
    assert_eq!(record.frame_rate, FrameRate::new(30_000, 1_001));
}

#[test]
fn av1_of_another_encoder_with_hidden_frames() {
    let clip = Clip::make(&format!(
        "{PICTURES} -f lavfi -i sine=sample_rate=48000 -t 5 -c:v libsvtav1 -preset 12 -g 60 -c:a aac -ac 2"
    ));
    assert_whole(&clip, &published(&clip), 1_024);
}

#[test]
fn vp9_and_opus() {
    let clip = Clip::make(&format!(
        "{PICTURES} -f lavfi -i sine=sample_rate=48000 -t 5 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60 \
         -c:a libopus -ac 2"
    ));
    let stage = published(&clip);
    assert_whole(&clip, &stage, 960);
    let record = &stage.inits[0].record;
    assert!(record.codecs.starts_with("vp09.00.11.08"), "{}", record.codecs);
    assert_eq!(record.resolution, Some((320, 180)));
}

#[test]
fn opus_packets_of_every_length_touch() {
    for (length, samples) in [("2.5", 120), ("10", 480), ("60", 2_880)] {
        let clip = Clip::make(&format!(
            "-f lavfi -i sine=sample_rate=48000 -t 5 -c:a libopus -ac 2 -frame_duration {length}"
        ));
        let stage = published(&clip);
        let audio = packets(&stage.generation(0), Track::Audio);
        assert_eq!(audio.len(), clip.count(false), "{length} ms");
        assert!(steps(&audio).iter().all(|step| *step == samples), "{length} ms");
        assert_parts(&stage);
        assert_eq!(decode_errors(&stage.vod()), "");
    }
}

#[test]
fn surround_opus_keeps_its_mapping() {
    let clip =
        Clip::make("-f lavfi -i anoisesrc=sample_rate=48000 -ac 6 -t 4 -c:a libopus -mapping_family 1");
    let stage = published(&clip);
    assert_eq!(decode_errors(&stage.vod()), "");
    assert_eq!(
        packets(&stage.generation(0), Track::Audio).len(),
        clip.count(false)
    );
}

#[test]
fn vp9_that_changes_its_size_starts_a_new_generation() {
    let of_size = |size: &str| {
        Clip::make(&format!(
            "-f lavfi -i testsrc2=size={size}:rate=30000/1001 -t 4 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60"
        ))
    };
    let (small, large) = (of_size("320x180"), of_size("640x360"));
    let mut sent = messages(&small);
    // The same configuration goes on: only the keyframe tells.
    sent.extend(stage::shifted(&messages(&large)[1..], 4_004, |_| true));
    let mut stage = Stage::default();
    stage.publish(&sent).unwrap();
    stage.interrupt();
    let sizes: Vec<_> = stage.inits.iter().map(|init| init.record.resolution).collect();
    assert_eq!(sizes, [Some((320, 180)), Some((640, 360))]);
    let counts: usize = (0..2)
        .map(|g| packets(&stage.generation(g), Track::Video).len())
        .sum();
    assert_eq!(counts, frames(&sent, Track::Video));
}

#[test]
fn a_configuration_that_is_sent_again_changes_nothing() {
    let clip = Clip::make(
        "-f lavfi -i testsrc2=size=320x180:rate=30000/1001 -t 4 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60",
    );
    let sent = messages(&clip);
    // In the middle of a group of pictures.
    let again = [&sent[..30], &sent[..1], &sent[30..]].concat();
    let mut stage = Stage::default();
    stage.publish(&again).unwrap();
    stage.interrupt();
    assert_eq!((stage.inits.len(), stage.warnings.len()), (1, 0));
    let video = packets(&stage.generation(0), Track::Video);
    assert_eq!(video.len(), clip.count(true));
}

#[test]
fn a_resolution_change_of_hevc_decodes_in_players_that_keep_the_first_initialization() {
    let of_size = |size: &str| {
        Clip::make(&format!(
            "-f lavfi -i testsrc2=size={size}:rate=30000/1001 -t 4 -c:v libx265 -preset ultrafast -tag:v hvc1 \
             -x265-params log-level=error:bframes=0:keyint=60:min-keyint=60:scenecut=0:open-gop=0"
        ))
    };
    let (small, large) = (messages(&of_size("320x180")), messages(&of_size("640x360")));
    let mut sent = small;
    sent.extend(stage::shifted(&large, 4_004, |_| true));
    let mut stage = Stage::default();
    stage.publish(&sent).unwrap();
    stage.interrupt();
    assert_eq!(stage.inits.len(), 2);
    let complaints = decode_errors(&stage.vod());
    let other: Vec<_> = complaints
        .lines()
        .filter(|line| !line.contains("duplicated MOOV"))
        .collect();
    assert_eq!(other, Vec::<&str>::new());
}
