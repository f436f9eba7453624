//! The rules of the packager, with made-up frames.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod stage;

use std::time::Duration;

use bytes::Bytes;
use marquee_hls::{
    AudioConfig, Config, Error, Expected, Frame, Journal, Kind, MediaConfig, Output, Packager, SegmentRecord,
    State, Track, UtcMicros, VideoConfig, Warning,
};
use proptest::prelude::*;
use stage::{Message, NEW_YEAR, Stage};

/// High 3.1, 1280x720, 30000/1001 frames per second.
const AVC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
    0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x75, 0x30, 0x07, 0x8c, 0x18,
    0xcb, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

fn video_config() -> MediaConfig {
    MediaConfig::Video(VideoConfig::avc(Bytes::from_static(AVC)).unwrap())
}

fn audio_config(bytes: &'static [u8]) -> MediaConfig {
    MediaConfig::Audio(AudioConfig::aac(Bytes::from_static(bytes)).unwrap())
}

fn picture(dts_ms: u32, keyframe: bool) -> Frame {
    Frame::video(dts_ms, 0, keyframe, Bytes::from_static(&[0, 0, 0, 1, 0x65]))
}

fn sound(dts_ms: u32) -> Frame {
    Frame::audio(dts_ms, Bytes::from_static(&[0x21]))
}

/// 25 pictures a second with a keyframe at each multiple of `interval`, and sound at 48 kHz.
fn live(from_ms: u32, to_ms: u32, interval: u32) -> Vec<Message> {
    let mut messages = vec![
        Message::Config(video_config()),
        Message::Config(audio_config(&[0x11, 0x90])),
    ];
    let mut sounds = (0..).map(|k| from_ms + k * 64 / 3).peekable();
    for dts in (from_ms..to_ms).step_by(40) {
        let keyframe = (dts - from_ms).is_multiple_of(interval);
        messages.push(Message::Frame(picture(dts, keyframe)));
        while let Some(at) = sounds.next_if(|&at| at < dts + 40) {
            messages.push(Message::Frame(sound(at)));
        }
    }
    messages
}

fn rounded_seconds(record: &SegmentRecord) -> i64 {
    (record.duration_us + 500_000) / 1_000_000
}

#[test]
fn the_target_duration_is_the_keyframe_interval_when_that_is_longer() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 61_000, 20_000)).unwrap();
    assert_eq!(stage.durations_us(), [20_000_000; 3]);
    assert!(stage.segments.iter().all(|s| s.record.target_duration == 20));
}

#[test]
fn a_keyframe_that_comes_too_late_for_the_fixed_target_duration_does_not_break_it() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 6_000, 2_000)).unwrap();
    let late: Vec<_> = live(6_000, 30_000, 8_000).split_off(2);
    stage.publish(&late).unwrap();
    assert!(stage.segments.iter().all(|s| rounded_seconds(&s.record) <= 2));
    assert!(
        stage
            .warnings
            .iter()
            .any(|w| matches!(w, Warning::CutWithoutKeyframe { .. }))
    );
    let restarts = stage.segments.iter().filter(|s| s.record.independent).count();
    assert!(restarts >= 5, "a segment starts at each keyframe: {restarts}");
}

#[test]
fn no_keyframe_within_the_limit_is_refused_but_what_came_is_kept() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 4_000, 2_000)).unwrap();
    let error = stage.publish(&live(4_000, 60_000, 1_000_000)[3..]).unwrap_err();
    assert_eq!(error, Error::KeyframeInterval { seconds: 30 });
    stage.interrupt();
    let total: i64 = stage.durations_us().iter().sum();
    assert!((31_000_000..34_000_000).contains(&total), "{total}");
}

#[test]
fn a_stream_that_never_has_a_keyframe_is_refused_and_nothing_is_held() {
    let mut packager = Packager::new(Config::default());
    packager.push_config(video_config());
    let mut refused = None;
    for dts in (0..40_000).step_by(40) {
        match packager.push_frame(picture(dts, false), UtcMicros(NEW_YEAR)) {
            Ok(outputs) if dts == 0 => {
                assert_eq!(outputs, [Output::Warning(Warning::BeforeKeyframe)]);
            }
            Ok(outputs) => assert_eq!(outputs, []),
            Err(error) => refused = refused.or(Some((dts, error))),
        }
    }
    assert_eq!(refused, Some((30_040, Error::KeyframeInterval { seconds: 30 })));
    assert_eq!(packager.interrupt(), []);
}

#[test]
fn a_segment_is_bounded_in_bytes() {
    let config = Config {
        max_segment_bytes: 100_000,
        ..Config::default()
    };
    let mut stage = Stage::new(config);
    stage.publish(&live(0, 1, 2_000)).unwrap();
    let big = Bytes::from(vec![0; 30_000]);
    for k in 1..200u32 {
        let frame = Frame::video(k * 40, 0, k % 500 == 0, big.clone());
        stage.publish(&[Message::Frame(frame)]).unwrap();
    }
    assert!(stage.segments.len() > 30);
    assert!(stage.segments.iter().all(|s| s.record.bytes < 140_000));
}

#[test]
fn frames_before_their_sequence_header_are_left_out_with_one_warning() {
    let mut stage = Stage::default();
    let messages: Vec<_> = (0..10).map(|k| Message::Frame(sound(k * 21))).collect();
    stage.publish(&messages).unwrap();
    assert_eq!(stage.warnings, [Warning::FrameBeforeConfig(Track::Audio)]);
}

#[test]
fn the_same_sequence_header_again_changes_nothing() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 4_000, 2_000)).unwrap();
    stage.publish(&live(4_000, 9_000, 2_000)).unwrap();
    assert_eq!(stage.inits.len(), 1);
    assert!(stage.discontinuities().is_empty());
}

#[test]
fn another_audio_configuration_waits_for_the_next_keyframe() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 5_000, 2_000)).unwrap();
    stage
        .publish(&[Message::Config(audio_config(&[0x12, 0x10]))])
        .unwrap();
    stage.publish(&live(6_000, 9_000, 2_000)[2..]).unwrap();
    stage.interrupt();
    assert_eq!(stage.inits.len(), 2);
    assert_eq!(stage.discontinuities().len(), 1);
    assert!(stage.segments.iter().all(|s| s.record.independent));
}

#[test]
fn metadata_that_announces_no_sound_saves_the_wait() {
    let mut packager = Packager::new(Config::default());
    packager.expect(Expected {
        video: true,
        audio: false,
    });
    packager.push_config(video_config());
    let outputs = packager
        .push_frame(picture(0, true), UtcMicros(NEW_YEAR))
        .unwrap();
    assert!(matches!(outputs[..], [Output::Init(_)]));
}

#[test]
fn the_first_part_is_given_out_long_before_the_first_segment() {
    let mut stage = Stage::default();
    let mut first = None;
    for message in live(0, 2_000, 2_000) {
        match message {
            Message::Config(config) => stage.packager.push_config(config),
            Message::Frame(frame) => {
                let dts = frame.dts_ms;
                let outputs = stage.packager.push_frame(frame, stage.now).unwrap();
                if outputs.iter().any(|output| matches!(output, Output::Part(_))) {
                    first = first.or(Some(dts));
                }
            }
        }
    }
    assert_eq!(first, Some(200));
}

#[test]
fn a_publish_shorter_than_the_wait_for_tracks_is_kept() {
    let mut stage = Stage::default();
    stage.packager.push_config(video_config());
    for k in 0..10 {
        stage.publish(&[Message::Frame(picture(k * 40, k == 0))]).unwrap();
    }
    stage.interrupt();
    // The parameter sets say 29.97, the frames 25: the last one's length is a guess.
    assert_eq!(stage.segments.len(), 1);
    assert!((390_000..=400_000).contains(&stage.durations_us()[0]));
}

#[test]
fn sound_goes_on_when_the_pictures_stall() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 6_000, 2_000)).unwrap();
    let sounds: Vec<_> = (282..700).map(|k| Message::Frame(sound(k * 64 / 3))).collect();
    stage.publish(&sounds).unwrap();
    assert!(stage.segments.len() >= 5);
    assert!(stage.segments.iter().all(|s| rounded_seconds(&s.record) <= 2));
}

#[test]
fn pictures_go_on_alone_when_the_sound_stops_and_take_it_back() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 4_000, 2_000)).unwrap();
    let silent: Vec<_> = live(4_000, 14_000, 2_000)
        .into_iter()
        .filter(|m| m.is(Track::Video))
        .collect();
    stage.publish(&silent).unwrap();
    stage.publish(&live(14_000, 20_000, 2_000)).unwrap();
    stage.interrupt();
    let tracks: Vec<_> = stage
        .inits
        .iter()
        .map(|i| i.record.codecs.split(',').count())
        .collect();
    assert_eq!(tracks, [2, 1, 2]);
    let total: i64 = stage.durations_us().iter().sum();
    assert!((19_980_000..20_020_000).contains(&total), "{total}");
}

#[test]
fn pictures_that_are_announced_but_never_come_do_not_hold_up_the_sound_for_ever() {
    let mut stage = Stage::default();
    stage
        .publish(&[
            Message::Config(video_config()),
            Message::Config(audio_config(&[0x11, 0x90])),
        ])
        .unwrap();
    let sounds: Vec<_> = (0..400).map(|k| Message::Frame(sound(k * 64 / 3))).collect();
    stage.publish(&sounds).unwrap();
    stage.interrupt();
    assert_eq!(stage.inits[0].record.codecs, "mp4a.40.2");
    assert_eq!(stage.durations_us().iter().sum::<i64>(), 400 * 64_000 / 3);
}

#[test]
fn two_interruptions_in_a_row_make_one_discontinuity() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 3_000, 2_000)).unwrap();
    stage.interrupt();
    stage.interrupt();
    stage.publish(&live(0, 3_000, 2_000)).unwrap();
    stage.interrupt();
    assert_eq!(stage.discontinuities(), [2]);
    assert_eq!(stage.inits.len(), 2);
}

/// An encoder that is killed may have sent a picture that is shown after others that were to follow.
#[test]
fn what_follows_a_killed_encoder_is_shown_after_all_that_it_sent() {
    let mut stage = Stage::default();
    let mut messages = live(0, 2_000, 2_000);
    messages.retain(|message| !matches!(message, Message::Frame(frame) if frame.track == Track::Audio));
    messages.push(Message::Frame(Frame::video(
        2_000,
        120,
        false,
        Bytes::from_static(&[0; 8]),
    )));
    stage.publish(&messages).unwrap();
    stage.interrupt();
    let end_us = stage.segments.last().unwrap().record.media_end_us;
    assert_eq!(end_us, 2_160_000, "decoded at 2 s, shown at 2.12 s for 40 ms");
}

#[test]
fn after_a_crash_the_journal_gives_back_the_same_state_and_playlist() {
    let mut stage = Stage::default();
    stage.publish(&live(0, 5_000, 2_000)).unwrap();
    stage.interrupt();
    stage.publish(&live(0, 9_000, 2_000)).unwrap();
    let torn = format!("{}segment msn=7 gen=1 du", stage.journal);
    let journal = Journal::replay(torn.as_bytes()).unwrap();
    assert_eq!(journal.valid_bytes, stage.journal.len() as u64);
    assert_eq!(journal.state(), stage.packager.state());

    stage.packager = Packager::resume(Config::default(), journal.state());
    stage.publish(&live(0, 5_000, 2_000)).unwrap();
    stage.interrupt();
    let journal = Journal::replay(stage.journal.as_bytes()).unwrap();
    assert_eq!(journal.segments.len(), stage.segments.len());
    assert_eq!(stage.discontinuities().len(), 2);
    let ends = journal
        .segments
        .windows(2)
        .all(|pair| pair[1].program_date_time >= pair[0].program_date_time.plus(pair[0].duration_us));
    assert!(ends, "program date-times never go back");
}

/// Sound alone, with jumps, until pictures join that begin before it.
#[test]
fn program_date_times_never_go_back_when_the_tracks_change() {
    let mut stage = Stage::default();
    let sounds =
        [9_703, 11_703, 0, 1_000, 2_000].map(|ms| Message::Frame(Frame::audio(ms, Bytes::from_static(&[0]))));
    let pictures = [(32_001, false), (0, true)]
        .map(|(ms, keyframe)| Message::Frame(Frame::video(ms, 0, keyframe, Bytes::from_static(&[0]))));
    let mut messages = vec![
        Message::Config(video_config()),
        Message::Config(audio_config(&[0x11, 0x90])),
    ];
    messages.extend(sounds);
    messages.extend([
        pictures[0].clone(),
        Message::Frame(Frame::audio(3_800, Bytes::from_static(&[0]))),
        pictures[1].clone(),
    ]);
    stage.publish(&messages).unwrap();
    stage.interrupt();
    let times: Vec<_> = stage
        .segments
        .iter()
        .map(|s| s.record.program_date_time)
        .collect();
    assert!(times.len() > 1 && times.is_sorted(), "{times:?}");
}

fn hostile_frame() -> impl Strategy<Value = (bool, u32, i32, bool, usize)> {
    let timestamp = prop_oneof![
        8 => 0u32..120_000,
        1 => any::<u32>(),
        1 => (u32::MAX - 5_000)..u32::MAX,
    ];
    (
        any::<bool>(),
        timestamp,
        any::<i32>(),
        prop::bool::weighted(0.2),
        0usize..50,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes_the_segments_obey_the_rules(
        frames in prop::collection::vec(hostile_frame(), 1..400),
        interrupts in prop::collection::vec(0usize..400, 0..4),
        monotonic in any::<bool>(),
    ) {
        let mut packager = Packager::new(Config { keyframe_limit: Duration::from_secs(10), ..Config::default() });
        let mut outputs = Vec::new();
        let mut clock = 0u32;
        for (i, &(is_video, timestamp, composition, keyframe, size)) in frames.iter().enumerate() {
            packager.push_config(video_config());
            packager.push_config(audio_config(&[0x11, 0x90]));
            clock = if monotonic { clock.wrapping_add(timestamp % 400) } else { timestamp };
            let data = Bytes::from(vec![0; size]);
            let frame = if is_video { Frame::video(clock, composition, keyframe, data) } else { Frame::audio(clock, data) };
            match packager.push_frame(frame, UtcMicros(NEW_YEAR + i as i64)) {
                Ok(more) => outputs.extend(more),
                Err(_) => outputs.extend(packager.interrupt()),
            }
            if interrupts.contains(&i) {
                outputs.extend(packager.interrupt());
            }
        }
        outputs.extend(packager.interrupt());

        let mut journal = String::new();
        let mut previous: Option<SegmentRecord> = None;
        for output in &outputs {
            journal.extend(output.record().map(|record| record.to_line()));
            let Output::Segment(segment) = output else { continue };
            let record = &segment.record;
            prop_assert!(record.duration_us > 0);
            prop_assert!(rounded_seconds(record) <= i64::from(record.target_duration), "{record:?}");
            let sum: i64 = segment.parts.iter().map(|part| part.duration_us).sum();
            prop_assert!(!segment.parts.is_empty() && sum == record.duration_us, "{record:?} {sum}");
            if let Some(previous) = previous.replace(record.clone()) {
                prop_assert_eq!(previous.msn + 1, record.msn);
                prop_assert_eq!(previous.target_duration, record.target_duration);
                prop_assert!(record.discontinuity || previous.generation == record.generation);
                prop_assert!(record.program_date_time >= previous.program_date_time);
            }
        }
        let state = Journal::replay(journal.as_bytes()).unwrap().state();
        prop_assert_eq!(state, packager.state());
    }
}

#[test]
fn a_fresh_state_is_the_default() {
    assert_eq!(Packager::new(Config::default()).state(), State::default());
    assert_eq!(Journal::default().state(), State::default());
    assert_eq!(Journal::default().playlist(Kind::Event).render(""), None);
}
