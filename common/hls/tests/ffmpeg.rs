//! What stock ffmpeg sends, packaged, as stock ffmpeg sees it again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod stage;

use std::sync::LazyLock;

use marquee_hls::{FrameRate, Track, Warning};
use stage::{Message, Stage, clip, decode_errors, frames, ntsc_clip, packets, shifted, steps};

static NTSC: LazyLock<Vec<Message>> = LazyLock::new(|| ntsc_clip(9));
const SOUND_FRAME: f64 = 1_024.0 / 44_100.0;

fn all_equal(steps: &[i64], expected: i64) {
    let off: Vec<_> = steps
        .iter()
        .enumerate()
        .filter(|(_, s)| **s != expected)
        .collect();
    assert!(
        off.is_empty() && !steps.is_empty(),
        "not {expected}: {off:?} of {}",
        steps.len()
    );
}

fn published(messages: &[Message]) -> Stage {
    let mut stage = Stage::default();
    stage.publish(messages).unwrap();
    stage.interrupt();
    stage
}

/// Presentation of the first picture minus that of the first sound, as sent.
fn offset_as_sent(messages: &[Message]) -> f64 {
    let first = |track: Track| {
        messages.iter().find_map(|m| match m {
            Message::Frame(f) if f.track == track => Some(f64::from(f.dts_ms) + f64::from(f.composition_ms)),
            _ => None,
        })
    };
    (first(Track::Video).unwrap() - first(Track::Audio).unwrap()) / 1_000.0
}

#[test]
fn b_frames_at_30000_over_1001_come_out_uniform_and_complete() {
    let stage = published(&NTSC);
    let file = stage.generation(0);
    let video = packets(&file, Track::Video);
    assert_eq!(video.len(), frames(&NTSC, Track::Video));
    all_equal(&steps(&video), 3_003);
    assert!(video.windows(2).all(|pair| pair[1].dts - pair[0].dts == 3_003));
    assert_eq!(stage.warnings, []);
}

#[test]
fn the_initialization_segment_tells_what_the_encoder_said() {
    let stage = published(&NTSC);
    let record = &stage.inits[0].record;
    assert_eq!(record.frame_rate, FrameRate::new(30_000, 1_001));
    assert_eq!(record.resolution, Some((320, 180)));
    assert_eq!(record.codecs, "avc1.64000d,mp4a.40.2");
}

#[test]
fn aac_frames_touch_exactly() {
    let stage = published(&NTSC);
    let audio = packets(&stage.generation(0), Track::Audio);
    assert_eq!(audio.len(), frames(&NTSC, Track::Audio));
    all_equal(&steps(&audio), 1_024);
}

#[test]
fn sound_keeps_its_offset_to_the_pictures() {
    let stage = published(&NTSC);
    let file = stage.generation(0);
    let offset = packets(&file, Track::Video)[0].seconds - packets(&file, Track::Audio)[0].seconds;
    assert!(
        (offset - offset_as_sent(&NTSC)).abs() < SOUND_FRAME / 2.0,
        "{offset}"
    );
}

#[test]
fn segments_are_two_seconds_from_keyframe_to_keyframe() {
    let stage = published(&NTSC);
    let durations = stage.durations_us();
    assert_eq!(durations[..4], [2_002_000; 4]);
    assert!(
        stage
            .segments
            .iter()
            .all(|s| s.record.independent && s.record.target_duration == 2)
    );
}

#[test]
fn parts_follow_each_other_without_a_gap_and_start_at_keyframes() {
    let stage = published(&NTSC);
    for segment in &stage.segments {
        let sum: i64 = segment.parts.iter().map(|part| part.duration_us).sum();
        assert_eq!(sum, segment.record.duration_us);
        assert!(segment.parts[0].independent);
        assert!(segment.parts.iter().all(|part| part.duration_us <= 201_000));
    }
    assert_eq!(stage.segments[0].parts.len(), 10);
}

#[test]
fn the_recording_decodes_without_a_complaint() {
    let stage = published(&NTSC);
    let vod = stage.vod();
    assert_eq!(decode_errors(&vod), "");
    assert_eq!(packets(&vod, Track::Video).len(), frames(&NTSC, Track::Video));
    assert_eq!(packets(&vod, Track::Audio).len(), frames(&NTSC, Track::Audio));
}

#[test]
fn the_wrap_of_the_32_bit_clock_does_not_show() {
    let near_end = i64::from(u32::MAX) - 4_000;
    let stage = published(&shifted(&NTSC, near_end, |_| true));
    let file = stage.generation(0);
    all_equal(&steps(&packets(&file, Track::Video)), 3_003);
    all_equal(&steps(&packets(&file, Track::Audio)), 1_024);
    assert_eq!(stage.warnings, []);
}

#[test]
fn a_jump_of_a_minute_either_way_leaves_no_gap_and_every_frame() {
    for by in [60_000, -60_000] {
        let moved = shifted(&NTSC, 100_000, |_| true);
        let stage = published(&shifted(&moved, by, |frame| frame.dts_ms >= 104_500));
        let file = stage.generation(0);
        let video = packets(&file, Track::Video);
        assert_eq!(video.len(), frames(&NTSC, Track::Video), "{by} ms");
        // The step over the jump itself is known only to the millisecond.
        assert!(
            steps(&video).iter().all(|step| (step - 3_003).abs() <= 180),
            "{by} ms"
        );
        let audio = packets(&file, Track::Audio);
        assert_eq!(audio.len(), frames(&NTSC, Track::Audio), "{by} ms");
        all_equal(&steps(&audio), 1_024);
        let jumps = |w: &&Warning| matches!(w, Warning::TimestampJump { .. });
        assert_eq!(stage.warnings.iter().filter(jumps).count(), 1, "{by} ms");
        assert_eq!(stage.discontinuities().len(), 1, "{by} ms");
    }
}

#[test]
fn pictures_alone_are_a_stream() {
    let messages: Vec<_> = NTSC.iter().filter(|m| m.is(Track::Video)).cloned().collect();
    let stage = published(&messages);
    let file = stage.generation(0);
    assert_eq!(packets(&file, Track::Video).len(), frames(&NTSC, Track::Video));
    assert_eq!(packets(&file, Track::Audio).len(), 0);
    assert_eq!(stage.inits[0].record.codecs.split(',').count(), 1);
    assert_eq!(stage.durations_us()[..4], [2_002_000; 4]);
}

#[test]
fn sound_alone_is_a_stream() {
    let messages: Vec<_> = NTSC.iter().filter(|m| m.is(Track::Audio)).cloned().collect();
    let stage = published(&messages);
    let file = stage.generation(0);
    let audio = packets(&file, Track::Audio);
    assert_eq!(audio.len(), frames(&NTSC, Track::Audio));
    all_equal(&steps(&audio), 1_024);
    assert_eq!(stage.inits[0].record.resolution, None);
    assert!(stage.segments.len() >= 4);
}

#[test]
fn sound_that_comes_five_seconds_late_joins_in_a_new_generation() {
    let messages: Vec<_> = NTSC
        .iter()
        .filter(|m| !matches!(m, Message::Frame(f) if f.track == Track::Audio && f.dts_ms < 5_000))
        .cloned()
        .collect();
    let stage = published(&messages);
    assert_eq!(stage.inits.len(), 2);
    assert_eq!(stage.discontinuities().len(), 1);
    let (before, after) = (stage.generation(0), stage.generation(1));
    assert_eq!(packets(&before, Track::Audio).len(), 0);
    let pictures = packets(&before, Track::Video).len() + packets(&after, Track::Video).len();
    assert_eq!(pictures, frames(&NTSC, Track::Video));
    let total: i64 = stage.durations_us().iter().sum();
    assert_eq!(total, pictures as i64 * 1_001_000 / 30);
    let (video, audio) = (packets(&after, Track::Video), packets(&after, Track::Audio));
    all_equal(&steps(&audio), 1_024);
    // Sound of second t is shown with the picture of second t: both clocks end together.
    let ends = video.last().unwrap().seconds - audio.last().unwrap().seconds;
    let sent = packets(&published(&NTSC).generation(0), Track::Video)
        .last()
        .unwrap()
        .seconds
        - packets(&published(&NTSC).generation(0), Track::Audio)
            .last()
            .unwrap()
            .seconds;
    assert!((ends - sent).abs() < SOUND_FRAME, "{ends} {sent}");
}

#[test]
fn a_new_resolution_on_one_connection_starts_a_new_generation() {
    let small = ntsc_clip(4);
    let large = clip(
        "-f lavfi -i testsrc2=size=640x360:rate=30000/1001 -f lavfi -i sine=sample_rate=44100 -t 4 \
         -c:v libx264 -preset veryfast -bf 3 -g 60 -sc_threshold 0 -c:a aac -ac 2",
    );
    let mut messages = small.clone();
    messages.extend(shifted(&large, 4_004, |_| true));
    let stage = published(&messages);
    assert_eq!(stage.inits[0].record.resolution, Some((320, 180)));
    assert_eq!(stage.inits[1].record.resolution, Some((640, 360)));
    assert_eq!(stage.discontinuities().len(), 1);
    let counts: usize = (0..2)
        .map(|g| packets(&stage.generation(g), Track::Video).len())
        .sum();
    assert_eq!(
        counts,
        frames(&small, Track::Video) + frames(&large, Track::Video)
    );
    let (end, start) = (
        packets(&stage.generation(0), Track::Video),
        packets(&stage.generation(1), Track::Video),
    );
    assert!(start[0].dts >= end.last().unwrap().dts + 3_003 - 180);
    // libavformat keeps to the first initialization segment and says so; the pictures must be decoded all the same.
    let complaints = decode_errors(&stage.vod());
    let other: Vec<_> = complaints
        .lines()
        .filter(|line| !line.contains("duplicated MOOV"))
        .collect();
    assert_eq!(other, Vec::<&str>::new());
}

#[test]
fn a_reconnect_continues_the_same_playlist_with_one_discontinuity() {
    let mut stage = Stage::default();
    // Killed in the middle of a segment.
    let cut = NTSC.len() * 3 / 5;
    stage.publish(&NTSC[..cut]).unwrap();
    stage.interrupt();
    let before = stage.segments.len();
    stage.now = stage.now.plus(3_000_000);
    stage.publish(&NTSC).unwrap();
    stage.interrupt();
    let numbers: Vec<_> = stage.segments.iter().map(|s| s.record.msn).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(stage.discontinuities(), [before as u64]);
    assert_eq!(stage.inits.len(), 2);
    let all = packets(&stage.vod(), Track::Video);
    assert_eq!(
        all.len(),
        frames(&NTSC[..cut], Track::Video) + frames(&NTSC, Track::Video)
    );
    assert!(all.windows(2).all(|pair| pair[1].dts > pair[0].dts));
    let (last, first) = (&stage.segments[before - 1].record, &stage.segments[before].record);
    let gap = first.program_date_time.0 - last.program_date_time.plus(last.duration_us).0;
    assert!((2_500_000..3_500_000).contains(&gap), "{gap}");
}

#[test]
fn high_frame_rates_that_are_no_whole_ticks_stay_within_a_tick() {
    let messages = clip(
        "-f lavfi -i testsrc2=size=160x90:rate=60000/1001 -t 6 -c:v libx264 -preset ultrafast -g 120 -sc_threshold 0",
    );
    let stage = published(&messages);
    let video = packets(&stage.generation(0), Track::Video);
    assert_eq!(video.len(), frames(&messages, Track::Video));
    assert!(steps(&video).iter().all(|step| (1_501..=1_502).contains(step)));
}
