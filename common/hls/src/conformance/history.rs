//! What can be seen in a playlist and the one before it.

use super::seen::{Seen, Segment};
use super::single::{ROUNDING_US, micros};
use super::{Answer, Checker, Rule};

impl Checker {
    pub(super) fn check_fixed(&mut self, first: &Seen, seen: &Seen) {
        if first.target != seen.target {
            let what = format!("{} became {}", first.target, seen.target);
            self.broken(Rule::TargetDurationFixed, what);
        }
        if first.part_target != seen.part_target {
            let what = format!("{:?} became {:?}", first.part_target, seen.part_target);
            self.broken(Rule::PartTargetFixed, what);
        }
        if first.control != seen.control {
            let what = format!("{:?} became {:?}", first.control, seen.control);
            self.broken(Rule::ServerControlFixed, what);
        }
    }

    pub(super) fn check_history(&mut self, last: &Seen, seen: &Seen) {
        let (before, now) = (last.media_sequence, seen.media_sequence);
        if now < before || seen.last_msn() < last.last_msn() {
            self.broken(Rule::MediaSequence, format!("{before} became {now}"));
            return;
        }
        let left = last.segments.iter().take_while(|segment| segment.msn < now);
        let left_discontinuities = left.filter(|segment| segment.discontinuity).count() as u64;
        let expected = last.discontinuity_sequence + left_discontinuities;
        if seen.discontinuity_sequence != expected && now <= last.last_msn().unwrap_or(0) + 1 {
            let what = format!("{} instead of {expected}", seen.discontinuity_sequence);
            self.broken(Rule::DiscontinuitySequence, what);
        }
        if now > before && !seen.ended && seen.duration() + ROUNDING_US < 3 * micros(seen.target) {
            self.broken(Rule::Window, format!("{} us are left", seen.duration()));
        }
        if last.ended && (!seen.ended || last.last_msn() != seen.last_msn()) {
            self.broken(Rule::AfterEndlist, "the playlist goes on");
        }
        for before in last.all() {
            let Some(now) = seen.all().find(|segment| segment.msn == before.msn) else {
                continue;
            };
            if let Some(what) = change(before, now) {
                self.broken(Rule::Unchanging, format!("{}: {what}", before.msn));
            }
        }
    }

    /// The part after those that were listed must be the one that was hinted, unless another encoder begins with it.
    pub(super) fn check_hint(&mut self, seen: &Seen) {
        let parts: Vec<(&str, bool)> = seen
            .all()
            .flat_map(|segment| {
                let parts = segment.parts.iter().enumerate();
                parts.map(|(at, part)| (part.uri.as_str(), at == 0 && segment.discontinuity))
            })
            .collect();
        let newest = self.newest.take();
        let at = parts.iter().position(|(uri, _)| Some(*uri) == newest.as_deref());
        let next = at.and_then(|at| parts.get(at + 1));
        if let (Some(hint), Some((uri, begins_anew))) = (self.hint.take(), next)
            && *uri != hint
            && !begins_anew
        {
            self.broken(Rule::PreloadHint, format!("{hint} was hinted and {uri} came"));
        }
        if let Some(hint) = &seen.hint {
            if parts.iter().any(|(uri, _)| uri == hint) {
                self.broken(Rule::PreloadHint, format!("{hint} is listed already"));
            }
            self.hint = Some(hint.clone());
        }
        self.newest = parts.last().map(|(uri, _)| (*uri).to_owned());
    }

    /// The whole playlist that a delta update stands for; none when it cannot be had.
    pub(super) fn undelta(&mut self, answer: Answer<'_>, mut seen: Seen) -> Option<Seen> {
        let Some(skipped) = seen.skipped.take() else {
            return Some(seen);
        };
        if !answer.query.split('&').any(|pair| pair.starts_with("_HLS_skip=")) {
            self.broken(Rule::DeltaUpdate, "nobody asked for one");
        }
        if seen.version < 9 {
            self.broken(
                Rule::Syntax,
                format!("version {} does not know EXT-X-SKIP", seen.version),
            );
        }
        if seen.ended {
            self.broken(Rule::AfterEndlist, "a delta update");
        }
        let listed = seen.segments.iter();
        let until = seen.control("CAN-SKIP-UNTIL").unwrap_or(i64::MAX);
        if listed.map(|segment| segment.duration).sum::<i64>() + ROUNDING_US < until {
            self.broken(Rule::DeltaUpdate, "it skips what is newer than CAN-SKIP-UNTIL");
        }
        if seen.all().next().is_some_and(|first| !first.has_map) {
            self.broken(Rule::DeltaUpdate, "it does not keep the MAP");
        }
        let Some(last) = &self.last else {
            self.broken(Rule::DeltaUpdate, "nothing is known that could be skipped");
            return None;
        };
        let wanted = seen.media_sequence..seen.media_sequence + skipped;
        let known = last
            .segments
            .iter()
            .filter(|segment| wanted.contains(&segment.msn));
        let mut segments: Vec<Segment> = known.cloned().collect();
        if segments.len() as u64 != skipped {
            self.broken(
                Rule::DeltaUpdate,
                format!("{skipped} are skipped and {} known", segments.len()),
            );
            return None;
        }
        // Parts are listed near the end only; what is skipped has none.
        for segment in &mut segments {
            segment.parts.clear();
        }
        segments.append(&mut seen.segments);
        seen.segments = segments;
        Some(seen)
    }
}

/// What is not as it was.
fn change(before: &Segment, now: &Segment) -> Option<String> {
    if let Some(uri) = &before.uri {
        if now.uri.as_ref() != Some(uri) {
            return Some(format!("{uri} became {:?}", now.uri));
        }
        if (now.duration - before.duration).abs() > ROUNDING_US {
            return Some(format!("{} us became {}", before.duration, now.duration));
        }
    }
    if before.discontinuity != now.discontinuity || before.gap != now.gap || before.map != now.map {
        return Some("its tags changed".to_owned());
    }
    if now.parts.is_empty() && now.uri.is_some() {
        return None;
    }
    let is_prefix =
        before.parts.len() <= now.parts.len() && before.parts[..] == now.parts[..before.parts.len()];
    (!is_prefix && !before.parts.is_empty()).then(|| "its parts changed".to_owned())
}
