//! What a player may ask of a live playlist (RFC 8216bis 6.2.5), and what the answer is.

use std::time::Duration;

/// Delivery directives of a playlist request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query {
    /// `_HLS_msn`: answer once the playlist has this media sequence number.
    pub msn: Option<u64>,
    /// `_HLS_part`: and this part of it, counted from zero.
    pub part: Option<u64>,
    /// `_HLS_skip`: leave out what is old.
    pub skip: bool,
}

/// A request that cannot be answered, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// RFC 8216bis 6.2.5.2.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
    /// Not a decimal integer.
    #[error("{0} must be a number")]
    NotANumber(&'static str),
    /// RFC 8216bis 6.2.5.2.
    #[error("_HLS_msn is more than two segments ahead")]
    MsnTooFarAhead,
    /// RFC 8216bis 6.2.5.2, the Advance Part Limit.
    #[error("_HLS_part is too many parts ahead")]
    PartTooFarAhead,
}

impl Query {
    /// Reads the query of a URI; what is no directive is passed over.
    ///
    /// # Errors
    /// [`BadRequest::NotANumber`]. Whether `_HLS_part` may stand alone is for [`Edge::decide`]: a finished playlist ignores it.
    pub fn parse(query: &str) -> Result<Self, BadRequest> {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("_HLS_msn", value)) => parsed.msn = Some(number("_HLS_msn", value)?),
                Some(("_HLS_part", value)) => parsed.part = Some(number("_HLS_part", value)?),
                Some(("_HLS_skip", "YES" | "v2")) => parsed.skip = true,
                _ => {}
            }
        }
        Ok(parsed)
    }
}

fn number(name: &'static str, value: &str) -> Result<u64, BadRequest> {
    let is_decimal = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if is_decimal => Ok(number),
        _ => Err(BadRequest::NotANumber(name)),
    }
}

/// What is to be done with a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The playlist has what was asked for.
    Serve,
    /// It will: ask again when the playlist has changed, for at most [`Edge::patience`].
    Wait,
    /// Refuse at once.
    Refuse(BadRequest),
}

/// Where a live playlist stands. Media sequence numbers are those of the playlist, which has gaps before the first segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edge {
    /// Of the last finished segment, or of the last gap before the first.
    pub last_msn: u64,
    /// How many parts that segment has; zero when it has none that are known.
    pub last_parts: u64,
    /// How many parts there are of the segment after it.
    pub parts: u64,
    /// The part that is hinted: publish and number, see [`crate::part_name`]. `None` while nobody publishes.
    pub hint: Option<(u32, u64)>,
    /// Whether the playlist has its ENDLIST.
    pub ended: bool,
    /// Seconds.
    pub target_duration: u32,
    /// Microseconds; zero if there are no parts.
    pub part_target_us: i64,
}

impl Edge {
    /// The rules of RFC 8216bis 6.2.5.2, in the order that decides.
    pub fn decide(&self, query: &Query) -> Decision {
        if self.ended {
            return Decision::Serve;
        }
        let Some(msn) = query.msn else {
            return match query.part {
                Some(_) => Decision::Refuse(BadRequest::PartWithoutMsn),
                None => Decision::Serve,
            };
        };
        if msn > self.last_msn + 2 {
            return Decision::Refuse(BadRequest::MsnTooFarAhead);
        }
        let Some(part) = query.part else {
            return if msn <= self.last_msn {
                Decision::Serve
            } else {
                Decision::Wait
            };
        };
        // Beyond the end of a finished segment is the first part of the next.
        let (msn, part) = if msn == self.last_msn && part >= self.last_parts {
            (msn + 1, 0)
        } else {
            (msn, part)
        };
        if msn <= self.last_msn || msn == self.last_msn + 1 && part < self.parts {
            return Decision::Serve;
        }
        let ahead = if msn == self.last_msn + 1 {
            part - self.parts
        } else {
            part
        };
        if ahead > self.advance_part_limit() {
            return Decision::Refuse(BadRequest::PartTooFarAhead);
        }
        Decision::Wait
    }

    /// How long a request may wait: three target durations (RFC 8216bis 6.2.5.2).
    pub fn patience(&self) -> Duration {
        Duration::from_secs(3 * u64::from(self.target_duration.max(1)))
    }

    /// Three seconds of parts, or three parts if they are longer than a second (RFC 8216bis 6.2.5.2).
    fn advance_part_limit(&self) -> u64 {
        match u64::try_from(self.part_target_us) {
            Ok(target @ 1..1_000_000) => 3_000_000_u64.div_ceil(target),
            _ => 3,
        }
    }
}
