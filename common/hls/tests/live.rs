//! The playlist of a stream that is on the air, and what may be asked of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod air;

use std::time::Duration;

use air::Air;
use marquee_hls::{
    BadRequest, Config, Decision, Edge, GAPS, LivePlaylist, Query, Report, part_name, segment_name,
};
use proptest::prelude::*;

fn nothing(_: &LivePlaylist) {}

fn text(air: &Air) -> String {
    air.playlist.render(false, &[]).unwrap()
}

fn values<'a>(text: &'a str, tag: &'a str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(tag)).collect()
}

#[test]
fn the_first_playlist_is_there_with_the_first_part() {
    let mut air = Air::new(20);
    air.connect();
    let mut first = None;
    air.send(300, 25, 2_000, |playlist| {
        first = first.take().or_else(|| playlist.render(false, &[]));
    });
    let gap = "#EXT-X-GAP\n#EXTINF:2.000000,\ngap.m4s\n";
    let expected = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=0.630000\n\
         #EXT-X-PART-INF:PART-TARGET=0.210000\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MAP:URI=\"init-0.mp4\"\n{}\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.040Z\n\
         #EXT-X-PART:DURATION=0.200000,URI=\"part-0.0.m4s\",INDEPENDENT=YES\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-0.1.m4s\"\n",
        gap.repeat(7)
    );
    assert_eq!(first.as_deref(), Some(&expected[..]));
}

#[test]
fn parts_are_listed_for_three_target_durations() {
    let mut air = Air::new(30);
    air.connect();
    air.send(21_000, 25, 2_000, nothing);
    let text = text(&air);
    let parts = values(&text, "#EXT-X-PART:").len();
    // Three or four finished segments of ten parts, and what there is of the open one.
    assert!((30..=50).contains(&parts), "{parts}");
    let newest = text.find(&segment_name(9)).unwrap();
    assert!(text[newest..].contains("#EXT-X-PART:"), "{text}");
    assert!(!text[..text.find(&segment_name(5)).unwrap()].contains("#EXT-X-PART:"));
}

#[test]
fn every_hint_is_the_next_part_whether_or_not_it_begins_a_segment() {
    let mut air = Air::new(20);
    air.connect();
    let mut hints = Vec::new();
    air.send(9_000, 30, 2_000, |playlist| {
        hints.push(playlist.edge().unwrap().hint.unwrap())
    });
    let names: Vec<_> = air.parts.iter().map(|part| (part.run, part.number)).collect();
    hints.dedup();
    assert_eq!(hints[..hints.len() - 1], names[1..]);
    assert!(air.parts.iter().filter(|part| part.index == 0).count() >= 4);
}

#[test]
fn gaps_leave_first_and_are_counted() {
    let mut air = Air::new(20);
    air.connect();
    let mut before = (0, 7);
    air.send(30_000, 25, 2_000, |playlist| {
        let text = playlist.render(false, &[]).unwrap();
        let first: u64 = values(&text, "#EXT-X-MEDIA-SEQUENCE:")[0].parse().unwrap();
        let gaps = text.matches("#EXT-X-GAP").count();
        assert!(first >= before.0 && gaps <= before.1);
        let segments = playlist.segments().next().map_or(0, |segment| segment.msn);
        assert_eq!(first + gaps as u64, GAPS + segments, "{text}");
        before = (first, gaps);
    });
    assert_eq!(before.1, 0);
    assert_eq!(before.0, GAPS + air.playlist.segments().next().unwrap().msn);
}

#[test]
fn what_comes_after_a_reconnect_is_announced_before_its_first_part() {
    let mut air = Air::new(20);
    air.connect();
    air.send(5_000, 25, 2_000, nothing);
    air.interrupt(3_000, nothing);
    assert!(!text(&air).contains("PRELOAD-HINT"), "nobody can promise a part");
    air.connect();
    air.send(500, 25, 2_000, nothing);
    let text = text(&air);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == "#EXT-X-DISCONTINUITY")
        .unwrap();
    assert_eq!(lines[at + 1], "#EXT-X-MAP:URI=\"init-1.mp4\"");
    assert!(lines[at + 2].starts_with("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:08."));
    assert_eq!(
        lines[at + 3],
        "#EXT-X-PART:DURATION=0.200000,URI=\"part-1.0.m4s\",INDEPENDENT=YES"
    );
    assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-1.2.m4s\"\n"));
}

#[test]
fn a_delta_update_leaves_out_what_is_old_and_keeps_the_map() {
    let mut air = Air::new(40);
    air.connect();
    air.send(30_500, 25, 2_000, nothing);
    let (whole, delta) = (text(&air), air.playlist.render(true, &[]).unwrap());
    let skipped: usize = values(&delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS=")[0]
        .parse()
        .unwrap();
    let listed = |text: &str| text.matches("#EXTINF:").count();
    assert_eq!(listed(&delta) + skipped, listed(&whole));
    // Those of the last 12 s stay, and the one that ends there.
    assert_eq!(listed(&delta), 7);
    assert!(delta.contains("#EXT-X-MAP:") && delta.len() * 2 < whole.len() * 2 - 200);
    let tail = &delta[delta.find("#EXT-X-PART:").unwrap()..];
    assert!(whole.ends_with(tail));
}

#[test]
fn there_is_no_delta_update_of_what_is_short_or_over() {
    let mut air = Air::new(20);
    air.connect();
    air.send(500, 25, 2_000, nothing);
    assert_eq!(
        air.playlist.render(true, &[]).unwrap(),
        text(&air),
        "of seven gaps, the first ends 12 s before the end"
    );
    air.send(30_000, 25, 2_000, nothing);
    air.playlist.end();
    let text = air.playlist.render(true, &[]).unwrap();
    assert!(
        !text.contains("EXT-X-SKIP") && !text.contains("EXT-X-PART:") && text.ends_with("#EXT-X-ENDLIST\n")
    );
}

#[test]
fn other_renditions_are_reported_with_their_last_part() {
    let mut air = Air::new(20);
    air.connect();
    air.send(2_700, 25, 2_000, nothing);
    let edge = air.playlist.edge().unwrap();
    let report = Report {
        uri: "../720p/media.m3u8".to_owned(),
        edge,
    };
    let text = air.playlist.render(false, std::slice::from_ref(&report)).unwrap();
    assert!(
        text.ends_with("#EXT-X-RENDITION-REPORT:URI=\"../720p/media.m3u8\",LAST-MSN=8,LAST-PART=2\n"),
        "{text}"
    );
}

#[test]
fn after_a_kill_the_playlist_goes_on_where_the_journal_ends() {
    let mut air = Air::new(20);
    air.connect();
    air.send(25_000, 25, 2_000, nothing);
    let before = text(&air);
    air.restart(20);
    let after = text(&air);
    assert_eq!(
        values(&after, "#EXT-X-MEDIA-SEQUENCE:"),
        values(&before, "#EXT-X-MEDIA-SEQUENCE:")
    );
    assert_eq!(values(&after, "#EXTINF:"), values(&before, "#EXTINF:"));
    assert_eq!(
        values(&after, "#EXT-X-PART-INF:"),
        values(&before, "#EXT-X-PART-INF:")
    );
    assert!(!after.contains("#EXT-X-PART:"), "parts are not stored");
    air.connect();
    air.send(500, 25, 2_000, nothing);
    assert!(text(&air).contains("part-1.0.m4s"), "names are not used twice");
}

/// 24, 25, 30, 50 and 60 pictures a second, and those for which no whole number of pictures is near 200 ms.
#[test]
fn parts_are_nearly_as_long_as_the_target_at_any_rate() {
    for rate in [5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60] {
        for interval in [1_000, 2_000] {
            let mut air = Air::new(20);
            air.connect();
            // What the parameter sets say of the rate is wrong but for 30: it is found out.
            air.send(30_000, rate, interval, nothing);
            let target = air.playlist.edge().unwrap().part_target_us;
            let late = air.parts.iter().skip(40);
            let last_of_segment = |part: &&std::sync::Arc<marquee_hls::Part>| {
                air.segments.iter().any(|segment| {
                    segment
                        .parts
                        .last()
                        .is_some_and(|last| last.number == part.number)
                })
            };
            for part in late.filter(|part| !last_of_segment(part)) {
                let length = part.duration_us;
                // Below 5 pictures a second a part cannot be made that was not foreseen.
                let is_short = length * 100 < target * 85 && !part.independent;
                assert!(
                    length <= target + 2_000 || rate < 10,
                    "{rate}: {length} of {target}"
                );
                assert!(
                    !is_short || matches!(rate, 5 | 12),
                    "{rate}: {length} of {target}"
                );
            }
        }
    }
}

#[test]
fn the_part_target_fits_the_rate_that_the_parameter_sets_tell() {
    // 30000/1001 pictures a second: six are 200.2 ms.
    let mut air = Air::new(20);
    air.connect();
    air.send(3_000, 30, 2_000, nothing);
    assert_eq!(air.playlist.edge().unwrap().part_target_us, 210_000);
    let long = Config {
        part_target: Duration::from_millis(500),
        target_duration: Some(2),
        ..Config::default()
    };
    let mut air = Air::tuned(20, long);
    air.connect();
    air.send(3_000, 30, 2_000, nothing);
    assert_eq!(air.playlist.edge().unwrap().part_target_us, 525_000);
}

#[test]
fn a_longer_keyframe_interval_than_announced_does_not_break_the_target_duration() {
    let mut air = Air::new(20);
    air.connect();
    air.send(30_000, 25, 5_000, nothing);
    let text = text(&air);
    assert!(text.contains("#EXT-X-TARGETDURATION:2\n"));
    assert!(
        !text.contains("INDEPENDENT-SEGMENTS"),
        "not every segment begins with a keyframe"
    );
    assert!(
        air.segments
            .iter()
            .all(|segment| segment.record.duration_us < 2_500_000)
    );
    let keyframes = air
        .segments
        .iter()
        .filter(|segment| segment.record.independent)
        .count();
    assert!(keyframes >= 5, "a segment begins at each keyframe: {keyframes}");
}

// --- directives

const EDGE: Edge = Edge {
    last_msn: 20,
    last_parts: 10,
    parts: 3,
    hint: Some((0, 133)),
    ended: false,
    target_duration: 2,
    part_target_us: 210_000,
};

fn decide(query: &str) -> Decision {
    EDGE.decide(&Query::parse(query).unwrap())
}

#[test]
fn a_request_waits_exactly_until_what_it_names_is_there() {
    use Decision::{Serve, Wait};
    for (query, expected) in [
        ("", Serve),
        ("_HLS_skip=YES", Serve),
        ("_HLS_msn=20", Serve),
        ("_HLS_msn=21", Wait),
        ("_HLS_msn=22", Wait),
        ("_HLS_msn=0&_HLS_part=0", Serve),
        ("_HLS_msn=21&_HLS_part=2", Serve),
        ("_HLS_msn=21&_HLS_part=3", Wait),
        ("_HLS_msn=22&_HLS_part=0", Wait),
    ] {
        assert_eq!(decide(query), expected, "{query}");
    }
}

#[test]
fn a_part_beyond_the_end_of_a_segment_is_the_first_of_the_next() {
    assert_eq!(decide("_HLS_msn=20&_HLS_part=9"), Decision::Serve);
    assert_eq!(decide("_HLS_msn=20&_HLS_part=10"), Decision::Serve);
    let empty = Edge { parts: 0, ..EDGE };
    let query = Query::parse("_HLS_msn=20&_HLS_part=10").unwrap();
    assert_eq!(empty.decide(&query), Decision::Wait);
    // Whoever waited for a part that the segment turned out not to have gets the first of the next.
    let grown = Edge {
        last_msn: 21,
        last_parts: 4,
        parts: 1,
        ..EDGE
    };
    assert_eq!(
        grown.decide(&Query::parse("_HLS_msn=21&_HLS_part=4").unwrap()),
        Decision::Serve
    );
}

#[test]
fn what_cannot_come_soon_is_refused() {
    for (query, reason) in [
        ("_HLS_part=3", BadRequest::PartWithoutMsn),
        ("_HLS_msn=23", BadRequest::MsnTooFarAhead),
        ("_HLS_msn=23&_HLS_part=0", BadRequest::MsnTooFarAhead),
        ("_HLS_msn=18446744073709551615", BadRequest::MsnTooFarAhead),
        ("_HLS_msn=21&_HLS_part=19", BadRequest::PartTooFarAhead),
        ("_HLS_msn=22&_HLS_part=16", BadRequest::PartTooFarAhead),
    ] {
        assert_eq!(decide(query), Decision::Refuse(reason), "{query}");
    }
    for query in [
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=%31",
        "_HLS_msn=+1",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_msn=99999999999999999999",
    ] {
        assert!(
            matches!(Query::parse(query), Err(BadRequest::NotANumber(_))),
            "{query}"
        );
    }
}

#[test]
fn directives_are_ignored_after_the_end() {
    let ended = Edge { ended: true, ..EDGE };
    for query in ["_HLS_part=3", "_HLS_msn=99&_HLS_part=9", "_HLS_skip=YES"] {
        assert_eq!(
            ended.decide(&Query::parse(query).unwrap()),
            Decision::Serve,
            "{query}"
        );
    }
}

#[test]
fn other_parameters_are_passed_over() {
    let query = Query::parse("token=abc&_HLS_msn=7&x&_HLS_skip=v2&_HLS_push=1").unwrap();
    assert_eq!((query.msn, query.part, query.skip), (Some(7), None, true));
    assert!(!Query::parse("_HLS_skip=no").unwrap().skip);
}

proptest! {
    #[test]
    fn hostile_queries_never_panic(query in ".{0,60}", directives in "(_HLS_(msn|part|skip)=[0-9YESv-]{0,22}&?){0,5}") {
        for query in [query, directives] {
            if let Ok(query) = Query::parse(&query) {
                EDGE.decide(&query);
                Edge::default().decide(&query);
            }
        }
    }

    /// What is served was not there before, and stays there.
    #[test]
    fn time_only_turns_waiting_into_serving(msn in 0u64..30, part in prop::option::of(0u64..20), steps in prop::collection::vec(any::<bool>(), 1..60)) {
        let query = Query { msn: Some(msn), part, skip: false };
        let mut edge = Edge { last_msn: 6, last_parts: 0, parts: 0, ..EDGE };
        let mut served = false;
        for ends in steps {
            let decision = edge.decide(&query);
            prop_assert!(!served || decision == Decision::Serve);
            served = decision == Decision::Serve;
            edge = if ends && edge.parts > 0 {
                Edge { last_msn: edge.last_msn + 1, last_parts: edge.parts, parts: 0, ..edge }
            } else {
                Edge { parts: edge.parts + 1, ..edge }
            };
        }
    }
}

#[test]
fn names_say_what_they_are() {
    assert_eq!(part_name(2, 41), "part-2.41.m4s");
}
