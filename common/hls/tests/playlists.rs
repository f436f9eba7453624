//! Playlists as another implementation reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use marquee_hls::{
    Bandwidth, Error, FrameRate, Gap, InitRecord, Journal, Kind, MediaPlaylist, MultivariantPlaylist, Record,
    SegmentRecord, UtcMicros, Variant, VideoRange,
};
use proptest::prelude::*;
use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::HlsPlaylistType;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::{StreamInf, Tag};
use quick_m3u8::{HlsLine, Reader};

const WINDOW: Kind = Kind::Live {
    window: Duration::from_secs(10),
};

fn segment(msn: u64, duration_us: i64, discontinuity: bool, generation: u32) -> SegmentRecord {
    SegmentRecord {
        msn,
        generation,
        discontinuity,
        independent: true,
        duration_us,
        program_date_time: UtcMicros(1_767_225_600_000_000 + msn as i64 * 2_000_000),
        bytes: 500_000,
        media_end_us: 0,
        target_duration: 2,
    }
}

/// What another parser sees.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    version: u64,
    target_duration: u64,
    media_sequence: u64,
    discontinuity_sequence: u64,
    independent: bool,
    kind: Option<HlsPlaylistType>,
    ended: bool,
    segments: Vec<SeenSegment>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct SeenSegment {
    uri: String,
    duration: f64,
    discontinuity: bool,
    map: Option<String>,
    has_date: bool,
}

fn tags(text: &str, mut each: impl FnMut(Option<Tag<'_>>, &str)) {
    let options = ParsingOptionsBuilder::new().with_parsing_for_all_tags().build();
    let mut reader = Reader::from_str(text, options);
    while let Some(line) = reader.read_line().unwrap() {
        match line {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => each(Some(tag), ""),
            HlsLine::Uri(uri) => each(None, &uri),
            other => panic!("not a tag of the standard: {other:?}"),
        }
    }
}

fn read(text: &str) -> Seen {
    let mut seen = Seen::default();
    let mut next = SeenSegment::default();
    let mut first = true;
    tags(text, |tag, uri| {
        assert!(!first || matches!(tag, Some(Tag::M3u(_))));
        first = false;
        match tag {
            Some(Tag::M3u(_)) => {}
            Some(Tag::Version(version)) => seen.version = version.version(),
            Some(Tag::Targetduration(target)) => seen.target_duration = target.target_duration(),
            Some(Tag::MediaSequence(first)) => seen.media_sequence = first.media_sequence(),
            Some(Tag::DiscontinuitySequence(n)) => {
                seen.discontinuity_sequence = n.discontinuity_sequence();
            }
            Some(Tag::IndependentSegments(_)) => seen.independent = true,
            Some(Tag::PlaylistType(kind)) => seen.kind = Some(kind.playlist_type()),
            Some(Tag::Endlist(_)) => seen.ended = true,
            Some(Tag::Discontinuity(_)) => next.discontinuity = true,
            Some(Tag::Map(map)) => next.map = Some(map.uri().to_owned()),
            Some(Tag::ProgramDateTime(_)) => next.has_date = true,
            Some(Tag::Inf(inf)) => next.duration = inf.duration(),
            None => {
                next.uri = uri.to_owned();
                seen.segments.push(std::mem::take(&mut next));
            }
            other => panic!("unexpected {other:?}"),
        }
    });
    seen
}

#[test]
fn a_live_playlist_says_what_it_holds() {
    let mut playlist = MediaPlaylist::new(WINDOW);
    playlist.push(segment(0, 2_002_000, false, 0));
    playlist.push(segment(1, 1_500_000, false, 0));
    playlist.push(segment(2, 2_000_000, true, 1));
    let text = playlist.render("media/").unwrap();
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"media/init-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:2.002000,\nmedia/segment-0.m4s\n\
         #EXTINF:1.500000,\nmedia/segment-1.m4s\n#EXT-X-DISCONTINUITY\n\
         #EXT-X-MAP:URI=\"media/init-1.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z\n\
         #EXTINF:2.000000,\nmedia/segment-2.m4s\n"
    );
    assert_eq!(read(&text).segments.len(), 3);
}

#[test]
fn a_discontinuity_that_leaves_the_window_is_counted() {
    let mut playlist = MediaPlaylist::new(WINDOW);
    for msn in 0..20 {
        playlist.push(segment(msn, 2_000_000, msn == 3 || msn == 5, u32::from(msn >= 3)));
    }
    let seen = read(&playlist.render("").unwrap());
    assert_eq!((seen.media_sequence, seen.discontinuity_sequence), (15, 2));
    assert_eq!(seen.segments[0].map.as_deref(), Some("init-1.mp4"));
}

#[test]
fn independence_is_claimed_only_when_it_holds() {
    let mut playlist = MediaPlaylist::new(Kind::Event);
    playlist.push(segment(0, 2_000_000, false, 0));
    assert!(read(&playlist.render("").unwrap()).independent);
    playlist.push(SegmentRecord {
        independent: false,
        ..segment(1, 2_000_000, false, 0)
    });
    assert!(!read(&playlist.render("").unwrap()).independent);
}

#[test]
fn the_end_is_told_and_taken_back_when_the_stream_goes_on() {
    let mut playlist = MediaPlaylist::new(Kind::Event);
    playlist.push(segment(0, 2_000_000, false, 0));
    playlist.end();
    let seen = read(&playlist.render("").unwrap());
    assert!(seen.ended && seen.kind == Some(HlsPlaylistType::Event));
    playlist.push(segment(1, 2_000_000, true, 1));
    assert!(!read(&playlist.render("").unwrap()).ended);
}

#[test]
fn a_recording_lists_everything_and_has_its_end() {
    let mut playlist = MediaPlaylist::new(Kind::Vod);
    for msn in 0..100 {
        assert!(playlist.push(segment(msn, 2_000_000, false, 0)).is_empty());
    }
    let seen = read(&playlist.render("").unwrap());
    assert!(seen.ended && seen.segments.len() == 100);
    assert_eq!(seen.kind, Some(HlsPlaylistType::Vod));
}

#[test]
fn bandwidth_is_measured() {
    let mut playlist = MediaPlaylist::new(WINDOW);
    playlist.push(segment(0, 2_000_000, false, 0));
    playlist.push(SegmentRecord {
        bytes: 1_000_000,
        ..segment(1, 2_000_000, false, 0)
    });
    // Too short to count as a peak.
    playlist.push(SegmentRecord {
        bytes: 400_000,
        ..segment(2, 100_000, false, 0)
    });
    let bandwidth = Bandwidth {
        peak: 4_000_000,
        average: 1_900_000 * 8 * 10 / 41,
    };
    assert_eq!(playlist.bandwidth(), bandwidth);
}

#[test]
fn the_multivariant_playlist_describes_the_rendition() {
    let multivariant = MultivariantPlaylist {
        variants: vec![Variant {
            uri: "live.m3u8".to_owned(),
            init: init(),
            bandwidth: Bandwidth {
                peak: 3_000_000,
                average: 2_670_000,
            },
        }],
    };
    let mut found = false;
    tags(&multivariant.render(), |tag, uri| match tag {
        Some(Tag::StreamInf(variant)) => {
            let variant: StreamInf<'_> = variant;
            found = true;
            assert_eq!(variant.bandwidth(), 3_000_000);
            assert_eq!(variant.average_bandwidth(), Some(2_670_000));
            assert_eq!(variant.codecs(), Some("avc1.64001f,mp4a.40.2"));
            let resolution = variant.resolution().unwrap();
            assert_eq!((resolution.width, resolution.height), (1_280, 720));
            assert_eq!(variant.frame_rate(), Some(29.970));
        }
        None => assert_eq!(uri, "live.m3u8"),
        _ => {}
    });
    assert!(found);
}

fn init() -> InitRecord {
    InitRecord {
        generation: 0,
        codecs: "avc1.64001f,mp4a.40.2".to_owned(),
        resolution: Some((1_280, 720)),
        frame_rate: FrameRate::new(30_000, 1_001),
        range: None,
        part_target_us: Some(210_000),
        target_duration: Some(2),
    }
}

#[test]
fn a_high_dynamic_range_is_told_and_kept() {
    for (range, name) in [(VideoRange::Pq, "PQ"), (VideoRange::Hlg, "HLG")] {
        let init = InitRecord {
            range: Some(range),
            ..init()
        };
        let line = Record::from(init.clone()).to_line();
        assert_eq!(Record::from_line(&line), Ok(Record::Init(init.clone())));
        let variant = Variant {
            uri: "media.m3u8".to_owned(),
            init,
            bandwidth: Bandwidth::default(),
        };
        let text = MultivariantPlaylist {
            variants: vec![variant],
        }
        .render();
        assert!(text.contains(&format!(",VIDEO-RANGE={name}\n")), "{text}");
    }
    let newer = Record::from(init())
        .to_line()
        .replace(" part=", " range=XYZ part=");
    assert_eq!(Record::from_line(&newer), Ok(Record::Init(init())));
}

#[test]
fn a_damaged_line_in_the_middle_of_a_journal_is_refused_with_its_number() {
    let mut text = Record::from(init()).to_line();
    text.push_str("segment msn=0 gen=0\n");
    text.push_str(&Record::End.to_line());
    assert_eq!(
        Journal::replay(text.as_bytes()),
        Err(Error::Journal {
            line: 2,
            reason: "a field is missing"
        })
    );
}

/// Segments 0 and 1 are stored, 2 to 4 are not (3 begins with a discontinuity), 5 is again, in the generation of 3.
fn with_a_gap() -> String {
    let gap = |msn| Gap {
        last: segment(msn, 2_000_000, msn == 3, u32::from(msn >= 3)),
        discontinuities: u64::from(msn >= 3),
    };
    let second = InitRecord {
        generation: 1,
        ..init()
    };
    let records = [
        Record::from(init()),
        segment(0, 2_000_000, false, 0).into(),
        segment(1, 2_000_000, false, 0).into(),
        gap(2).into(),
        gap(4).into(),
        second.into(),
        segment(5, 2_000_000, false, 1).into(),
    ];
    records.iter().map(Record::to_line).collect()
}

#[test]
fn a_recording_shows_a_gap_as_a_discontinuity() {
    let journal = Journal::replay(with_a_gap().as_bytes()).unwrap();
    assert_eq!((journal.segments.len(), journal.gaps.len()), (3, 1));
    let seen = read(&journal.playlist(Kind::Vod).render("").unwrap());
    let shown: Vec<_> = seen
        .segments
        .iter()
        .map(|s| (s.uri.as_str(), s.discontinuity))
        .collect();
    assert_eq!(
        shown,
        [
            ("segment-0.m4s", false),
            ("segment-1.m4s", false),
            ("segment-5.m4s", true)
        ]
    );
}

#[test]
fn a_live_playlist_goes_on_after_a_gap_with_its_sequences() {
    let kind = Kind::Live {
        window: Duration::from_secs(60),
    };
    let text = with_a_gap();
    let journal = Journal::replay(text.as_bytes()).unwrap();
    let seen = read(&journal.playlist(kind).render("").unwrap());
    assert_eq!((seen.media_sequence, seen.discontinuity_sequence), (5, 1));
    assert_eq!(seen.segments.len(), 1);
}

#[test]
fn a_stream_that_was_left_in_a_gap_goes_on_after_it() {
    let text = with_a_gap();
    let killed: Vec<&str> = text.split_inclusive('\n').take(5).collect();
    let journal = Journal::replay(killed.concat().as_bytes()).unwrap();
    let state = journal.state();
    assert_eq!((state.next_msn, state.next_generation), (5, 2));
    assert_eq!(journal.segments.len(), 2);
    let kind = Kind::Live {
        window: Duration::from_secs(60),
    };
    assert_eq!(
        journal.playlist(kind).render(""),
        None,
        "nothing of it can be shown"
    );
}

#[test]
fn a_gap_that_goes_back_is_refused() {
    let text = with_a_gap()
        + &with_a_gap()
            .lines()
            .nth(3)
            .map(|line| format!("{line}\n"))
            .unwrap();
    assert!(Journal::replay(text.as_bytes()).is_err());
}

fn records() -> impl Strategy<Value = Vec<SegmentRecord>> {
    let one = (
        10_000i64..2_499_000,
        prop::bool::weighted(0.2),
        any::<bool>(),
        1u64..10_000_000,
    );
    prop::collection::vec(one, 1..120).prop_map(|list| {
        let mut generation = 0;
        let numbered = list.into_iter().enumerate();
        let record = |(i, (duration, discontinuity, independent, bytes))| {
            let discontinuity = discontinuity && i > 0;
            generation += u32::from(discontinuity);
            SegmentRecord {
                independent,
                bytes,
                ..segment(i as u64, duration, discontinuity, generation)
            }
        };
        numbered.map(record).collect()
    })
}

proptest! {
    #[test]
    fn a_window_never_goes_back_and_never_shrinks_below_three_targets(
        records in records(), window_s in 0u64..30,
    ) {
        let mut playlist = MediaPlaylist::new(Kind::Live { window: Duration::from_secs(window_s) });
        let (mut sequence, mut discontinuities, mut left) = (0, 0, 0);
        for (i, record) in records.iter().enumerate() {
            for gone in playlist.push(record.clone()) {
                prop_assert_eq!(gone.msn, left);
                left += 1;
                discontinuities += u64::from(gone.discontinuity);
            }
            let seen = read(&playlist.render("").unwrap());
            prop_assert!(seen.media_sequence >= sequence);
            sequence = seen.media_sequence;
            prop_assert_eq!(sequence, left);
            prop_assert_eq!(seen.discontinuity_sequence, discontinuities);
            prop_assert_eq!(seen.segments.len() as u64, i as u64 + 1 - left);
            prop_assert!(seen.segments[0].map.is_some() && seen.segments[0].has_date);
            let total: f64 = seen.segments.iter().map(|s| s.duration).sum();
            prop_assert!(left == 0 || total > 3.0 * seen.target_duration as f64 - 0.001);
            for segment in &seen.segments {
                prop_assert!(segment.duration.round() as u64 <= seen.target_duration);
                prop_assert!(!segment.discontinuity || segment.has_date);
            }
        }
    }

    #[test]
    fn a_journal_gives_back_what_was_written_whatever_is_torn_off(records in records(), torn in 0usize..200) {
        let mut text = String::new();
        let mut last = None;
        let mut whole = Vec::new();
        for record in &records {
            if last.replace(record.generation) != Some(record.generation) {
                let init = InitRecord { generation: record.generation, ..init() };
                text.push_str(&Record::from(init).to_line());
            }
            text.push_str(&Record::from(record.clone()).to_line());
            whole.push(text.len());
        }
        let kept = text.len().saturating_sub(torn);
        let journal = Journal::replay(&text.as_bytes()[..kept]).unwrap();
        let count = whole.iter().filter(|&&end| end <= kept).count();
        prop_assert_eq!(&journal.segments[..], &records[..count]);
        prop_assert!(journal.valid_bytes as usize <= kept);
    }

    #[test]
    fn hostile_journals_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), line in "(init|segment|gap|unrecorded|end)( [a-z]{1,5}=[0-9x/-]{0,20}){0,9}\n") {
        let _ = Journal::replay(&bytes);
        let _ = Journal::replay(line.as_bytes());
    }
}
