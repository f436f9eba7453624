//! What can be seen in an answer and its request.

use std::time::Duration;

use super::seen::Seen;
use super::{Answer, Checker, Rule};

/// What a request may take beside waiting.
const SLACK: Duration = Duration::from_secs(2);

fn directive(query: &str, name: &str) -> Option<u64> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name)?.1.parse().ok()
}

impl Checker {
    /// Whether the status is what the request deserves, by what was known before it.
    pub(super) fn check_answer(&mut self, answer: Answer<'_>) {
        let (msn, part) = (
            directive(answer.query, "_HLS_msn"),
            directive(answer.query, "_HLS_part"),
        );
        let status = answer.status;
        let Some(last) = &self.last else {
            if part.is_some() && msn.is_none() && status != 400 {
                self.broken(
                    Rule::BadRequest,
                    format!("_HLS_part without _HLS_msn is {status}"),
                );
            }
            return;
        };
        let (ended, target, last_msn) = (last.ended, last.target, last.last_msn());
        if ended {
            if status != 200 || answer.took > SLACK {
                self.broken(Rule::AfterEndlist, format!("{} is {status}", answer.query));
            }
            return;
        }
        let patience = Duration::from_secs(3 * target) + SLACK;
        if answer.took > patience {
            self.broken(
                Rule::BlockedTooLong,
                format!("{:?} for {}", answer.took, answer.query),
            );
        }
        match (msn, part) {
            (None, Some(_)) if status != 400 => {
                self.broken(
                    Rule::BadRequest,
                    format!("_HLS_part without _HLS_msn is {status}"),
                );
            }
            // The playlist may have grown meanwhile, but not by ten segments.
            (Some(msn), _) if last_msn.is_some_and(|last| msn > last + 10) && status != 400 => {
                self.broken(Rule::BadRequest, format!("{} is {status}", answer.query));
            }
            (Some(msn), _)
                if last_msn.is_some_and(|last| msn <= last + 1) && !matches!(status, 200 | 503) =>
            {
                self.broken(Rule::BlockedUntilThere, format!("{} is {status}", answer.query));
            }
            (None, None) if status != 200 => {
                self.broken(Rule::BlockedUntilThere, format!("the playlist is {status}"));
            }
            _ => {}
        }
    }

    /// Whether the playlist has what the request asked for.
    pub(super) fn check_reached(&mut self, answer: Answer<'_>, seen: &Seen) {
        let Some(msn) = directive(answer.query, "_HLS_msn").filter(|_| !seen.ended) else {
            return;
        };
        let last = seen.last_msn().unwrap_or(0);
        let has_it = match directive(answer.query, "_HLS_part") {
            None => msn <= last,
            Some(part) => {
                let parts_of = |wanted: u64| {
                    let mut all = seen.all().filter(|segment| segment.msn == wanted);
                    all.next().map_or(0, |segment| segment.parts.len() as u64)
                };
                // Beyond the end of a segment is the first part of the next.
                msn < last || part < parts_of(msn) || msn == last && parts_of(msn + 1) > 0
            }
        };
        if !has_it {
            self.broken(Rule::BlockedUntilThere, format!("{} is not there", answer.query));
        }
    }
}
