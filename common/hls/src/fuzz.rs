//! Entry points for fuzzers: plain functions on bytes that panic when a promise is broken. The property tests run the same.

use bytes::Bytes;

use crate::{
    AudioConfig, Config, Frame, Journal, MediaConfig, Output, Packager, UtcMicros, VideoConfig, fmp4,
};

/// Every codec's configuration. What is accepted must make an initialization segment and a name for CODECS.
pub fn configs(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let video = [
        VideoConfig::avc(bytes.clone()),
        VideoConfig::hevc(bytes.clone()),
        VideoConfig::av1(bytes.clone()),
        VideoConfig::vp9(bytes.clone()),
    ];
    for config in video.into_iter().flatten() {
        assert!(!config.codec().is_empty());
        let (width, height) = config.resolution();
        assert_eq!(width == 0, height == 0);
        let init = fmp4::write_init(Some(&config), None);
        assert!(init.is_ok(), "{config:?}: {init:?}");
    }
    for config in [AudioConfig::aac(bytes.clone()), AudioConfig::opus(&bytes)]
        .into_iter()
        .flatten()
    {
        assert!(config.sample_rate() > 0 && config.samples_per_frame() > 0);
        let init = fmp4::write_init(None, Some(&config));
        assert!(init.is_ok(), "{config:?}: {init:?}");
    }
}

/// Coded frames as the packager looks into them, of a stream whose configuration is `config`.
pub fn frames(config: &[u8], data: &[u8]) {
    let (config, data) = (Bytes::copy_from_slice(config), Bytes::copy_from_slice(data));
    let video = [
        VideoConfig::avc(config.clone()),
        VideoConfig::hevc(config.clone()),
        VideoConfig::av1(config.clone()),
        VideoConfig::vp9(config.clone()),
    ];
    for video in video.into_iter().flatten() {
        let sample = video.sample(data.clone());
        assert!(video.delimiter_len(&sample) <= sample.len());
        let _ = video.in_band(&sample, true);
        if let Some(changed) = video.at_keyframe(&sample) {
            assert!(changed.resolution().0 > 0);
            assert_eq!(changed.at_keyframe(&sample), None);
        }
    }
    if let Ok(audio) = AudioConfig::opus(&config)
        && let Some(samples) = audio.samples(&data)
    {
        assert!((1..=5_760).contains(&samples));
    }
}

/// A publish of frames whose times, kinds and lengths `data` tells, four bytes each. Decode times must not go back, and what
/// is held must be bounded.
pub fn packager(data: &[u8]) {
    let config = Config {
        max_segment_bytes: 100_000,
        ..Config::default()
    };
    let mut packager = Packager::new(config);
    const AVC: &[u8] = &[
        0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
        0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x75, 0x30, 0x07, 0x8c, 0x18,
        0xcb, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];
    if let Ok(video) = VideoConfig::avc(Bytes::from_static(AVC)) {
        packager.push_config(MediaConfig::Video(video));
    }
    if let Ok(audio) = AudioConfig::aac(Bytes::from_static(&[0x11, 0x90])) {
        packager.push_config(MediaConfig::Audio(audio));
    }
    let (mut at, mut now, mut journal) = (0u32, 0i64, String::new());
    let mut keep = |outputs: Vec<Output>| {
        for output in outputs {
            if let Some(record) = output.record() {
                journal.push_str(&record.to_line());
            }
        }
    };
    for step in data.chunks_exact(4) {
        let by = i32::from(i16::from_be_bytes([step[0], step[1]]));
        // One in sixteen is a leap.
        let by = if step[2] & 0xf0 == 0xf0 {
            by * 1_000
        } else {
            by / 256
        };
        at = at.wrapping_add_signed(by);
        now += i64::from(by.clamp(0, 100)) * 1_000;
        let body = Bytes::from(vec![0; usize::from(step[3]) * 16]);
        let frame = if step[2] & 1 == 0 {
            Frame::video(at, i32::from(step[2] >> 4) * 10, step[2] & 2 == 2, body)
        } else {
            Frame::audio(at, body)
        };
        match packager.push_frame(frame, UtcMicros(now)) {
            Ok(outputs) => keep(outputs),
            Err(_) => keep(packager.interrupt()),
        }
    }
    keep(packager.interrupt());
    assert!(Journal::replay(journal.as_bytes()).is_ok());
}

/// A journal, whatever it holds.
pub fn journal(data: &[u8]) {
    if let Ok(journal) = Journal::replay(data) {
        let _ = journal.state();
    }
}
