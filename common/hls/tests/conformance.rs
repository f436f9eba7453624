//! The checker passes what the packager and the playlist make, and sees every rule that is broken on purpose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod air;

use std::time::Duration;

use air::Air;
use marquee_hls::conformance::{Answer, Checker, Rule};
use marquee_hls::{Decision, LivePlaylist, Query, Report};

/// A request and what came.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    query: String,
    took: Duration,
    status: u16,
    text: String,
}

impl Step {
    fn new(query: &str, status: u16, text: &str) -> Self {
        Self {
            query: query.to_owned(),
            took: Duration::from_millis(200),
            status,
            text: text.to_owned(),
        }
    }
}

/// What a player sees that asks for each part, every third time by a delta update: ten seconds, a reconnect, ten more, the
/// end.
fn session() -> Vec<Step> {
    let mut air = Air::new(14);
    let mut steps: Vec<Step> = Vec::new();
    let mut wanted = String::new();
    let mut see = |playlist: &LivePlaylist| {
        let edge = playlist.edge().unwrap();
        let (query, skip) = match steps.len() {
            0 => (String::new(), false),
            n if n % 3 == 0 => (format!("{wanted}&_HLS_skip=YES"), true),
            _ => (wanted.clone(), false),
        };
        let is_served = edge.decide(&Query::parse(&query).unwrap()) == Decision::Serve;
        if is_served {
            wanted = format!("_HLS_msn={}&_HLS_part={}", edge.last_msn + 1, edge.parts);
            steps.push(Step::new(&query, 200, &playlist.render(skip, &[]).unwrap()));
        }
    };
    air.connect();
    air.send(11_000, 30, 2_000, &mut see);
    air.interrupt(3_000, &mut see);
    air.connect();
    air.send(21_000, 25, 2_000, &mut see);
    air.interrupt(0, &mut see);
    air.playlist.end();
    see(&air.playlist);
    steps
}

fn broken(checker: Checker, steps: &[Step]) -> Vec<Rule> {
    let mut checker = checker;
    for step in steps {
        checker.answer(Answer {
            query: &step.query,
            took: step.took,
            status: step.status,
            text: &step.text,
        });
    }
    let mut rules: Vec<Rule> = checker
        .violations()
        .iter()
        .map(|violation| violation.rule)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn checker() -> Checker {
    Checker::new().wants_gaps(7).keeps_secret("s3cret")
}

#[test]
fn what_we_make_keeps_to_the_rules() {
    let steps = session();
    assert!(steps.len() > 90, "{}", steps.len());
    assert!(steps.iter().any(|step| step.text.contains("EXT-X-SKIP")));
    assert!(
        steps
            .iter()
            .any(|step| step.text.contains("EXT-X-DISCONTINUITY-SEQUENCE"))
    );
    let mut checker = checker();
    for step in &steps {
        checker.answer(Answer {
            query: &step.query,
            took: step.took,
            status: step.status,
            text: &step.text,
        });
    }
    assert_eq!(checker.violations(), []);
}

/// Breaks the session with an edit of every playlist, of the last one, or of one in the middle.
#[track_caller]
fn breaks(rule: Rule, edit: impl Fn(&mut Vec<Step>)) {
    let mut steps = session();
    let before = steps.clone();
    edit(&mut steps);
    assert_ne!(steps, before, "nothing was broken");
    let rules = broken(checker(), &steps);
    assert!(rules.contains(&rule), "{rule:?} is not among {rules:?}");
}

fn all(from: &'static str, to: &'static str) -> impl Fn(&mut Vec<Step>) {
    move |steps| {
        for step in steps {
            step.text = step.text.replace(from, to);
        }
    }
}

/// Where the encoder is on the air for the second time.
fn middle(steps: &mut [Step]) -> &mut Step {
    let at = steps.len() * 3 / 4;
    let plain = (at..).find(|&at| !steps[at].text.contains("EXT-X-SKIP")).unwrap();
    &mut steps[plain]
}

fn once(from: &'static str, to: &'static str) -> impl Fn(&mut Vec<Step>) {
    move |steps| {
        let step = middle(steps);
        step.text = step.text.replace(from, to);
    }
}

/// Changes the line that begins so, the last of its kind.
fn line(starts: &'static str, change: impl Fn(&str) -> String) -> impl Fn(&mut Vec<Step>) {
    move |steps| {
        let step = middle(steps);
        let mut lines: Vec<String> = step.text.lines().map(str::to_owned).collect();
        let at = lines.iter().rposition(|line| line.starts_with(starts)).unwrap();
        lines[at] = change(&lines[at]);
        step.text = lines.join("\n");
    }
}

#[test]
fn the_header_is_checked() {
    breaks(Rule::Syntax, once("#EXTM3U", "#EXTM3V"));
    breaks(Rule::Syntax, all("#EXT-X-VERSION:9", "#EXT-X-VERSION:8"));
    breaks(Rule::Syntax, all("#EXT-X-PART-INF:PART-TARGET=0.210000\n", ""));
    breaks(Rule::Syntax, once("#EXT-X-PART-INF:", "#EXT-X-PART-INFO:"));
    breaks(
        Rule::TargetDurationFixed,
        once("#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:3"),
    );
    breaks(
        Rule::PartTargetFixed,
        once("PART-TARGET=0.210000", "PART-TARGET=0.209000"),
    );
    breaks(Rule::CanBlockReload, all("CAN-BLOCK-RELOAD=YES,", ""));
    breaks(
        Rule::PartHoldBack,
        all("PART-HOLD-BACK=0.630000", "PART-HOLD-BACK=0.600000"),
    );
    breaks(Rule::HoldBack, all("HOLD-BACK=6.0,", "HOLD-BACK=5.9,"));
    breaks(
        Rule::CanSkipUntil,
        all("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.0"),
    );
    breaks(
        Rule::ServerControlFixed,
        once("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=13.0"),
    );
}

#[test]
fn the_start_is_checked() {
    breaks(Rule::GapsAtStart, |steps| {
        let gap = "#EXT-X-GAP\n#EXTINF:2.000000,\ngap.m4s\n";
        steps[0].text = steps[0].text.replacen(gap, "", 1);
    });
}

#[test]
fn durations_are_checked() {
    breaks(
        Rule::SegmentDuration,
        line("#EXTINF:", |_| "#EXTINF:2.500000,".to_owned()),
    );
    breaks(
        Rule::PartsAddUp,
        line("#EXTINF:", |_| "#EXTINF:1.900000,".to_owned()),
    );
    breaks(
        Rule::PartTooLong,
        all("#EXT-X-PART:DURATION=0.200000", "#EXT-X-PART:DURATION=0.213000"),
    );
    breaks(
        Rule::PartTooShort,
        all("#EXT-X-PART:DURATION=0.200000", "#EXT-X-PART:DURATION=0.170000"),
    );
}

#[test]
fn sequences_are_checked() {
    breaks(Rule::MediaSequence, |steps| {
        let step = steps.last_mut().unwrap();
        let line = step
            .text
            .lines()
            .find(|line| line.starts_with("#EXT-X-MEDIA-SEQUENCE:"))
            .unwrap()
            .to_owned();
        step.text = step.text.replace(&line, "#EXT-X-MEDIA-SEQUENCE:1");
    });
    breaks(Rule::DiscontinuitySequence, |steps| {
        for step in steps {
            let lines = step
                .text
                .lines()
                .filter(|line| !line.starts_with("#EXT-X-DISCONTINUITY-SEQUENCE"));
            step.text = lines.collect::<Vec<_>>().join("\n");
        }
    });
    breaks(
        Rule::Unchanging,
        line("segment-", |_| "segment-99.m4s".to_owned()),
    );
    breaks(Rule::Unchanging, |steps| {
        let step = middle(steps);
        step.text = step.text.replace("#EXT-X-DISCONTINUITY\n", "");
    });
    breaks(Rule::Window, |steps| {
        // All but the last segments leave at once.
        let step = middle(steps);
        let header: String = step
            .text
            .lines()
            .filter(|line| !line.starts_with("#EXT-X-MEDIA-SEQUENCE"))
            .take(5)
            .map(|line| format!("{line}\n"))
            .collect();
        let map = step
            .text
            .rfind("#EXT-X-MAP")
            .map(|at| step.text[at..].lines().next().unwrap().to_owned())
            .unwrap();
        let first: u64 = step
            .text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
            .unwrap()
            .parse()
            .unwrap();
        let last = step.text.rmatch_indices("#EXTINF").nth(1).unwrap().0;
        let left = step.text[..last].matches("#EXTINF").count() as u64;
        let tail = &step.text[last..];
        step.text = format!(
            "{header}#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n{map}\n{tail}",
            first + left
        );
    });
}

#[test]
fn tags_of_segments_are_checked() {
    breaks(Rule::Map, |steps| {
        for step in steps {
            let lines = step.text.lines().filter(|line| !line.starts_with("#EXT-X-MAP"));
            step.text = lines.collect::<Vec<_>>().join("\n");
        }
    });
    breaks(Rule::ProgramDateTime, |steps| {
        for step in steps {
            let lines = step
                .text
                .lines()
                .filter(|line| !line.starts_with("#EXT-X-PROGRAM-DATE-TIME"));
            step.text = lines.collect::<Vec<_>>().join("\n");
        }
    });
    breaks(
        Rule::ProgramDateTime,
        line("#EXT-X-PROGRAM-DATE-TIME:", |_| {
            "#EXT-X-PROGRAM-DATE-TIME:2025-12-31T23:59:59.000Z".to_owned()
        }),
    );
    breaks(Rule::TagsBeforeParts, |steps| {
        // The date of the segment that is being made comes after its first part.
        let first = &mut steps[2];
        let date = first
            .text
            .lines()
            .find(|line| line.starts_with("#EXT-X-PROGRAM-DATE-TIME"))
            .unwrap()
            .to_owned();
        first.text = first
            .text
            .replace(&format!("{date}\n"), "")
            .replace("#EXT-X-PRELOAD-HINT", &format!("{date}\n#EXT-X-PRELOAD-HINT"));
    });
    breaks(Rule::Independent, all(",INDEPENDENT=YES", ""));
}

#[test]
fn the_place_of_parts_is_checked() {
    breaks(Rule::PartsNearTheEnd, |steps| {
        for step in steps {
            let newest = step.text.rfind("\nsegment-").unwrap_or(0);
            let (old, new) = step.text.split_at(newest);
            let old = old.lines().filter(|line| !line.starts_with("#EXT-X-PART:"));
            step.text = format!("{}{new}", old.collect::<Vec<_>>().join("\n"));
        }
    });
    breaks(Rule::PartsNearTheEnd, |steps| {
        // No part ever leaves.
        let mut all: Vec<(String, String)> = Vec::new();
        for step in steps.iter_mut() {
            let mut parts = String::new();
            for line in step.text.lines() {
                if line.starts_with("#EXT-X-PART:") {
                    parts.push_str(line);
                    parts.push('\n');
                } else if line.starts_with("segment-") && !parts.is_empty() {
                    all.push((line.to_owned(), std::mem::take(&mut parts)));
                }
            }
            for (segment, parts) in &all {
                let at = step
                    .text
                    .find(&format!("\n{segment}\n"))
                    .map(|at| step.text[..at].rfind("#EXTINF").unwrap());
                if let Some(at) = at.filter(|&at| {
                    !step.text[..at].ends_with("\n")
                        || !step.text[..at]
                            .lines()
                            .last()
                            .unwrap()
                            .starts_with("#EXT-X-PART:")
                }) {
                    step.text.insert_str(at, parts);
                }
            }
        }
    });
    breaks(
        Rule::PreloadHint,
        all("TYPE=PART,URI=\"part-0.1", "TYPE=PART,URI=\"part-0.9"),
    );
    breaks(
        Rule::PreloadHint,
        all("TYPE=PART,URI=\"part-", "TYPE=PART,URI=\"piece-"),
    );
}

#[test]
fn delta_updates_are_checked() {
    breaks(Rule::DeltaUpdate, |steps| {
        for step in steps {
            step.query = step.query.replace("&_HLS_skip=YES", "");
        }
    });
    breaks(Rule::DeltaUpdate, |steps| {
        let step = steps
            .iter_mut()
            .rfind(|step| step.text.contains("EXT-X-SKIP"))
            .unwrap();
        let lines = step.text.lines().filter(|line| !line.starts_with("#EXT-X-MAP"));
        step.text = lines.collect::<Vec<_>>().join("\n");
    });
    breaks(Rule::DeltaUpdate, |steps| {
        let step = steps
            .iter_mut()
            .rfind(|step| step.text.contains("EXT-X-SKIP"))
            .unwrap();
        let at = step.text.find("SKIPPED-SEGMENTS=").unwrap();
        let end = at + step.text[at..].find('\n').unwrap();
        step.text.replace_range(at..end, "SKIPPED-SEGMENTS=99");
    });
}

#[test]
fn answers_are_checked() {
    let at = 20;
    breaks(Rule::BlockedUntilThere, move |steps| {
        let early = steps[at - 1].text.clone();
        steps.insert(at, Step::new(&steps[at].query.clone(), 200, &early));
    });
    breaks(Rule::BlockedUntilThere, move |steps| {
        steps.insert(at, Step::new("_HLS_msn=8", 404, ""))
    });
    breaks(Rule::BadRequest, move |steps| {
        let text = steps[at - 1].text.clone();
        steps.insert(at, Step::new("_HLS_part=3", 200, &text));
    });
    breaks(Rule::BadRequest, move |steps| {
        steps.insert(at, Step::new("_HLS_msn=99", 503, ""))
    });
    breaks(Rule::BlockedTooLong, move |steps| {
        steps[at].took = Duration::from_secs(9)
    });
    breaks(Rule::AfterEndlist, |steps| {
        steps.push(Step::new("_HLS_msn=99", 400, ""))
    });
    breaks(Rule::AfterEndlist, |steps| {
        let text = steps.last().unwrap().text.replace("#EXT-X-ENDLIST\n", "");
        steps.push(Step::new("", 200, &text));
    });
    breaks(Rule::Token, |steps| {
        let step = middle(steps);
        step.text = step.text.replace("part-", "part-s3cret-");
    });
}

#[test]
fn reports_of_other_renditions_are_checked() {
    let mut air = Air::new(20);
    air.connect();
    air.send(5_000, 25, 2_000, |_| {});
    let report = Report {
        uri: "../720p/media.m3u8".to_owned(),
        edge: air.playlist.edge().unwrap(),
    };
    let checker = || Checker::new().wants_reports(&["../720p/media.m3u8"]);
    let with = air.playlist.render(false, &[report]).unwrap();
    assert_eq!(broken(checker(), &[Step::new("", 200, &with)]), []);
    let without = air.playlist.render(false, &[]).unwrap();
    assert_eq!(
        broken(checker(), &[Step::new("", 200, &without)]),
        [Rule::RenditionReport]
    );
    let nowhere = with.replace("LAST-MSN=", "LAST=");
    assert_eq!(
        broken(checker(), &[Step::new("", 200, &nowhere)]),
        [Rule::RenditionReport]
    );
}

#[test]
fn a_segment_is_the_bytes_of_its_parts() {
    let mut air = Air::new(20);
    air.connect();
    air.send(5_000, 25, 2_000, |_| {});
    let text = air.playlist.render(false, &[]).unwrap();
    let bytes =
        |chunks: &mut dyn Iterator<Item = &bytes::Bytes>| chunks.flatten().copied().collect::<Vec<u8>>();
    let mut checker = Checker::new();
    checker.answer(Answer {
        query: "",
        took: Duration::ZERO,
        status: 200,
        text: &text,
    });
    for part in &air.parts {
        checker.media(&part.name(), &bytes(&mut part.chunks().iter()));
    }
    let mut whole = bytes(&mut air.segments[0].chunks());
    checker.media("segment-0.m4s", &whole);
    assert_eq!(checker.violations(), []);
    whole.swap(100, 101);
    whole[3] ^= 1;
    checker.media("segment-0.m4s", &whole);
    assert_eq!(checker.violations()[0].rule, Rule::SegmentIsItsParts);
}
