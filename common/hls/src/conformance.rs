//! Whether a live playlist keeps to the rules of low-latency HLS, seen from outside: a [`Checker`] takes the answers that a
//! player got, one after the other, and notes each [`Rule`] that is broken.
//!
//! The numbers are sections of draft-pantos-hls-rfc8216bis.

mod answers;
mod history;
mod seen;
mod single;

use std::collections::HashMap;
use std::time::Duration;

use seen::Seen;

/// A rule that a live playlist, or the server behind it, must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The text is a media playlist whose version knows all its tags (4.1, 8).
    Syntax,
    /// TARGETDURATION never changes (4.4.3.1, 6.2.1).
    TargetDurationFixed,
    /// PART-TARGET never changes (4.4.3.7).
    PartTargetFixed,
    /// No segment is longer than the target duration, rounded (4.4.3.1).
    SegmentDuration,
    /// No part is longer than the part target (4.4.4.9).
    PartTooLong,
    /// Parts are at least 85 % of the part target but independent ones, gaps, those before gaps, and the last of a segment
    /// (4.4.4.9).
    PartTooShort,
    /// Parts add up to their segment.
    PartsAddUp,
    /// SERVER-CONTROL offers blocking reload where there are parts (4.4.3.8).
    CanBlockReload,
    /// PART-HOLD-BACK is at least three part targets (4.4.3.8).
    PartHoldBack,
    /// HOLD-BACK is at least three target durations (4.4.3.8).
    HoldBack,
    /// CAN-SKIP-UNTIL is at least six target durations (4.4.3.8).
    CanSkipUntil,
    /// SERVER-CONTROL never changes.
    ServerControlFixed,
    /// A first playlist begins with as many gaps as are wanted, see [`Checker::wants_gaps`].
    GapsAtStart,
    /// The media sequence number does not go back (6.2.2).
    MediaSequence,
    /// The discontinuity sequence number counts the discontinuities that have left (4.4.3.3, 6.2.2).
    DiscontinuitySequence,
    /// A segment or part that was shown stays as it is (6.2.1).
    Unchanging,
    /// While segments leave, three target durations stay (6.2.2).
    Window,
    /// Each segment has an initialization segment.
    Map,
    /// DISCONTINUITY, MAP and PROGRAM-DATE-TIME stand before the first part of their segment (4.4.4.9).
    TagsBeforeParts,
    /// There is a PROGRAM-DATE-TIME, and one after each discontinuity; they follow the durations and never go back.
    ProgramDateTime,
    /// With INDEPENDENT-SEGMENTS, the first part of each segment is independent (4.4.2.1).
    Independent,
    /// Parts are listed for the last three target durations, and not for much longer (6.2.2).
    PartsNearTheEnd,
    /// A hinted part is the next that is listed (4.4.5.3).
    PreloadHint,
    /// A delta update skips only what a player knows and what is old enough, and it keeps the MAP (4.4.5.2, 6.2.5.1).
    DeltaUpdate,
    /// Other renditions are reported with where they stand (4.4.5.4).
    RenditionReport,
    /// A blocked request is answered with what it asked for (6.2.5.2).
    BlockedUntilThere,
    /// What cannot be asked for is refused at once with 400: a part without a segment, and more than two segments ahead
    /// (6.2.5.2).
    BadRequest,
    /// A request that has waited for three target durations is answered with 503 (6.2.5.2).
    BlockedTooLong,
    /// Directives are ignored after ENDLIST (6.2.5.2), and nothing follows it.
    AfterEndlist,
    /// A playlist does not repeat a player's token.
    Token,
    /// A segment is the bytes of its parts in their order (4.4.4.9).
    SegmentIsItsParts,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What was seen.
    pub what: String,
}

/// An answer to a request for a media playlist.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The query of the request, without `?`.
    pub query: &'a str,
    /// How long the answer took.
    pub took: Duration,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub text: &'a str,
}

/// Takes what a player sees of one rendition, in order.
#[derive(Debug, Default)]
pub struct Checker {
    wanted_gaps: usize,
    renditions: Vec<String>,
    secrets: Vec<String>,
    first: Option<Seen>,
    last: Option<Seen>,
    /// The hint that waits for its part.
    hint: Option<String>,
    /// The part that was listed last.
    newest: Option<String>,
    parts: HashMap<String, Vec<u8>>,
    violations: Vec<Violation>,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first playlist that is seen must begin with so many gaps.
    #[must_use]
    pub fn wants_gaps(mut self, gaps: usize) -> Self {
        self.wanted_gaps = gaps;
        self
    }

    /// Each playlist must report on these renditions, by their URIs.
    #[must_use]
    pub fn wants_reports(mut self, uris: &[&str]) -> Self {
        self.renditions = uris.iter().map(ToString::to_string).collect();
        self
    }

    /// No playlist may contain this.
    #[must_use]
    pub fn keeps_secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// An answer came.
    pub fn answer(&mut self, answer: Answer<'_>) {
        self.check_answer(answer);
        if answer.status != 200 {
            return;
        }
        for secret in self.secrets.clone() {
            if answer.text.contains(&secret) {
                self.broken(Rule::Token, "the playlist contains it");
            }
        }
        let seen = match Seen::read(answer.text) {
            Ok(seen) => seen,
            Err(reason) => return self.broken(Rule::Syntax, reason),
        };
        self.check_reached(answer, &seen);
        let Some(seen) = self.undelta(answer, seen) else {
            return;
        };
        self.check_single(&seen);
        if let Some(first) = self.first.take() {
            self.check_fixed(&first, &seen);
            self.first = Some(first);
        } else {
            self.check_first(&seen);
            self.first = Some(seen.clone());
        }
        if let Some(last) = self.last.take() {
            self.check_history(&last, &seen);
        }
        self.check_hint(&seen);
        self.last = Some(seen);
    }

    /// A part or segment was loaded whole. Parts first: a segment is checked against those that were given.
    pub fn media(&mut self, uri: &str, bytes: &[u8]) {
        let segment = self
            .last
            .iter()
            .flat_map(|seen| &seen.segments)
            .find(|segment| segment.uri.as_deref() == Some(uri));
        let Some(segment) = segment else {
            self.parts.insert(uri.to_owned(), bytes.to_vec());
            return;
        };
        let known: Option<Vec<&Vec<u8>>> = segment
            .parts
            .iter()
            .map(|part| self.parts.get(&part.uri))
            .collect();
        if let Some(known) = known.filter(|known| !known.is_empty())
            && !known.into_iter().flatten().eq(bytes)
        {
            self.broken(Rule::SegmentIsItsParts, uri);
        }
    }

    /// What was broken so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn broken(&mut self, rule: Rule, what: impl ToString) {
        self.violations.push(Violation {
            rule,
            what: what.to_string(),
        });
    }
}
