//! What can be seen in one playlist.

use super::seen::{Seen, Segment};
use super::{Checker, Rule};

/// EXTINF and DURATION are rounded to microseconds by most writers.
pub(super) const ROUNDING_US: i64 = 2_000;

impl Checker {
    pub(super) fn check_first(&mut self, seen: &Seen) {
        let gaps = seen.segments.iter().take_while(|segment| segment.gap).count();
        if gaps < self.wanted_gaps {
            self.broken(Rule::GapsAtStart, format!("{gaps} gaps"));
        }
    }

    pub(super) fn check_single(&mut self, seen: &Seen) {
        self.check_header(seen);
        for segment in seen.all() {
            self.check_segment(seen, segment);
        }
        self.check_dates(seen);
        self.check_parts_place(seen);
        for uri in self.renditions.clone() {
            let reported = seen
                .reports
                .iter()
                .any(|report| report.get("URI") == Some(&uri) && report.contains_key("LAST-MSN"));
            if !reported && !seen.ended {
                self.broken(Rule::RenditionReport, format!("{uri} is not reported"));
            }
        }
    }

    fn check_header(&mut self, seen: &Seen) {
        if seen.version < 6 {
            self.broken(Rule::Syntax, format!("version {} is too low", seen.version));
        }
        if seen.target == 0 {
            self.broken(Rule::Syntax, "there is no TARGETDURATION");
        }
        let Some(part_target) = seen.part_target else {
            if seen.all().any(|segment| !segment.parts.is_empty()) {
                self.broken(Rule::Syntax, "there are parts and no PART-INF");
            }
            return;
        };
        let target = micros(seen.target);
        let blocks = seen
            .control
            .as_ref()
            .and_then(|control| control.get("CAN-BLOCK-RELOAD"));
        if blocks.is_none_or(|value| value != "YES") {
            self.broken(Rule::CanBlockReload, "it is not offered");
        }
        let hold_back = seen.control("PART-HOLD-BACK").unwrap_or(0);
        if hold_back < 3 * part_target {
            self.broken(Rule::PartHoldBack, format!("{hold_back} us"));
        }
        if let Some(hold_back) = seen.control("HOLD-BACK").filter(|&us| us < 3 * target) {
            self.broken(Rule::HoldBack, format!("{hold_back} us"));
        }
        if let Some(until) = seen.control("CAN-SKIP-UNTIL").filter(|&us| us < 6 * target) {
            self.broken(Rule::CanSkipUntil, format!("{until} us"));
        }
    }

    fn check_segment(&mut self, seen: &Seen, segment: &Segment) {
        let msn = segment.msn;
        if segment.duration + 500_000 >= micros(seen.target + 1) {
            self.broken(
                Rule::SegmentDuration,
                format!("{msn} has {} us", segment.duration),
            );
        }
        if segment.map.is_none() {
            self.broken(Rule::Map, format!("{msn} has none"));
        }
        if segment.late_tag {
            self.broken(Rule::TagsBeforeParts, msn);
        }
        let is_finished = segment.uri.is_some();
        if is_finished && !segment.parts.is_empty() {
            let parts = segment.parts_duration();
            if (parts - segment.duration).abs() > ROUNDING_US {
                self.broken(
                    Rule::PartsAddUp,
                    format!("{msn}: {parts} and {} us", segment.duration),
                );
            }
        }
        if seen.independent
            && segment
                .parts
                .first()
                .is_some_and(|part| !part.independent && !part.gap)
        {
            self.broken(Rule::Independent, format!("{msn} begins with a part that is not"));
        }
        let Some(target) = seen.part_target else { return };
        for (at, part) in segment.parts.iter().enumerate() {
            if part.duration > target + ROUNDING_US {
                self.broken(
                    Rule::PartTooLong,
                    format!("{} has {} us", part.uri, part.duration),
                );
            }
            let next = segment.parts.get(at + 1);
            // The last of an open segment may turn out to be the last of all.
            let is_exempt = next.is_none_or(|next| next.gap) || part.independent || part.gap;
            if !is_exempt && (part.duration + ROUNDING_US) * 100 < target * 85 {
                self.broken(
                    Rule::PartTooShort,
                    format!("{} has {} us", part.uri, part.duration),
                );
            }
        }
    }

    /// A discontinuity has a date of its own; within a run, dates follow durations.
    fn check_dates(&mut self, seen: &Seen) {
        let mut expected: Option<i64> = None;
        let mut any = false;
        for segment in seen.all() {
            any |= segment.date.is_some();
            match (segment.date, expected) {
                (Some(date), Some(expected)) => {
                    let off = date - expected;
                    if off < -ROUNDING_US || !segment.discontinuity && off.abs() > 20_000 {
                        self.broken(
                            Rule::ProgramDateTime,
                            format!("{} is off by {off} us", segment.msn),
                        );
                    }
                }
                (None, Some(_)) if segment.discontinuity => {
                    self.broken(
                        Rule::ProgramDateTime,
                        format!("{} has none after a discontinuity", segment.msn),
                    );
                }
                _ => {}
            }
            expected = segment.date.or(expected).map(|date| date + segment.duration);
        }
        if !any {
            self.broken(Rule::ProgramDateTime, "there is none");
        }
    }

    fn check_parts_place(&mut self, seen: &Seen) {
        if seen.part_target.is_none() || seen.ended {
            return;
        }
        let target = micros(seen.target);
        let mut behind = seen.open.as_ref().map_or(0, Segment::parts_duration);
        let mut had_parts = seen.open.is_some();
        for segment in seen.segments.iter().rev() {
            if !segment.parts.is_empty() && behind > 4 * target {
                self.broken(
                    Rule::PartsNearTheEnd,
                    format!("{} still lists parts", segment.msn),
                );
            }
            // What was stored before a restart has no parts any more.
            let wants_parts = had_parts && !segment.gap && self.wants_parts(segment.msn);
            if segment.parts.is_empty() && wants_parts && behind + segment.duration < 3 * target {
                self.broken(Rule::PartsNearTheEnd, format!("{} lists no parts", segment.msn));
            }
            had_parts &= !segment.parts.is_empty();
            behind += segment.duration;
        }
    }

    /// Whether parts of this segment were seen before.
    fn wants_parts(&self, msn: u64) -> bool {
        let mut known = self.last.iter().flat_map(Seen::all);
        known.any(|segment| segment.msn == msn && !segment.parts.is_empty())
    }
}

pub(super) fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
}
