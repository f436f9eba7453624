//! A media playlist as a player reads it.

use std::collections::HashMap;

/// What was read. Durations and times are microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) target: u64,
    pub(super) part_target: Option<i64>,
    pub(super) control: Option<HashMap<String, String>>,
    pub(super) media_sequence: u64,
    pub(super) discontinuity_sequence: u64,
    pub(super) independent: bool,
    pub(super) skipped: Option<u64>,
    pub(super) segments: Vec<Segment>,
    /// The segment that has parts and no URI yet.
    pub(super) open: Option<Segment>,
    pub(super) hint: Option<String>,
    pub(super) reports: Vec<HashMap<String, String>>,
    pub(super) ended: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) msn: u64,
    pub(super) uri: Option<String>,
    pub(super) duration: i64,
    pub(super) gap: bool,
    pub(super) discontinuity: bool,
    /// The initialization segment in force.
    pub(super) map: Option<String>,
    /// Whether its tag stands at this segment.
    pub(super) has_map: bool,
    pub(super) date: Option<i64>,
    pub(super) parts: Vec<Part>,
    /// A tag that belongs before the parts stands after one.
    pub(super) late_tag: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    pub(super) uri: String,
    pub(super) duration: i64,
    pub(super) independent: bool,
    pub(super) gap: bool,
}

impl Segment {
    pub(super) fn parts_duration(&self) -> i64 {
        self.parts.iter().map(|part| part.duration).sum()
    }
}

impl Seen {
    /// Reads a playlist, or says what it cannot read.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some("#EXTM3U") {
            return Err("EXTM3U is not the first line".to_owned());
        }
        let mut seen = Self {
            version: 1,
            ..Self::default()
        };
        let mut open = Segment::default();
        let mut map: Option<String> = None;
        for line in lines.filter(|line| !line.is_empty()) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let is_for_parts = matches!(
                tag,
                "#EXT-X-DISCONTINUITY" | "#EXT-X-MAP" | "#EXT-X-PROGRAM-DATE-TIME"
            );
            open.late_tag |= is_for_parts && !open.parts.is_empty();
            match tag {
                "#EXT-X-VERSION" => seen.version = number(value)?,
                "#EXT-X-TARGETDURATION" => seen.target = number(value)?,
                "#EXT-X-MEDIA-SEQUENCE" => seen.media_sequence = number(value)?,
                "#EXT-X-DISCONTINUITY-SEQUENCE" => seen.discontinuity_sequence = number(value)?,
                "#EXT-X-INDEPENDENT-SEGMENTS" => seen.independent = true,
                "#EXT-X-SERVER-CONTROL" => seen.control = Some(attributes(value)?),
                "#EXT-X-PART-INF" => {
                    seen.part_target = Some(micros(attribute(&attributes(value)?, "PART-TARGET")?)?)
                }
                "#EXT-X-SKIP" => {
                    seen.skipped = Some(number(attribute(&attributes(value)?, "SKIPPED-SEGMENTS")?)?)
                }
                "#EXT-X-DISCONTINUITY" => open.discontinuity = true,
                "#EXT-X-GAP" => open.gap = true,
                "#EXT-X-MAP" => {
                    map = Some(attribute(&attributes(value)?, "URI")?.to_owned());
                    open.has_map = true;
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    open.date = Some(date(value).ok_or_else(|| format!("{value} is no date"))?)
                }
                "#EXT-X-PART" => {
                    let attributes = attributes(value)?;
                    open.parts.push(Part {
                        uri: attribute(&attributes, "URI")?.to_owned(),
                        duration: micros(attribute(&attributes, "DURATION")?)?,
                        independent: attributes.get("INDEPENDENT").is_some_and(|value| value == "YES"),
                        gap: attributes.get("GAP").is_some_and(|value| value == "YES"),
                    });
                }
                "#EXTINF" => open.duration = micros(value.split(',').next().unwrap_or_default())?,
                "#EXT-X-PRELOAD-HINT" => {
                    let attributes = attributes(value)?;
                    if attribute(&attributes, "TYPE")? == "PART" {
                        seen.hint = Some(attribute(&attributes, "URI")?.to_owned());
                    }
                }
                "#EXT-X-RENDITION-REPORT" => seen.reports.push(attributes(value)?),
                "#EXT-X-ENDLIST" => seen.ended = true,
                "#EXT-X-PLAYLIST-TYPE" => {}
                _ if line.starts_with("#EXT") => return Err(format!("{tag} is not known")),
                _ if line.starts_with('#') => {}
                uri => {
                    open.uri = Some(uri.to_owned());
                    open.map.clone_from(&map);
                    seen.segments.push(std::mem::take(&mut open));
                }
            }
        }
        if !open.parts.is_empty() {
            open.map = map;
            seen.open = Some(open);
        }
        let first = seen.media_sequence + seen.skipped.unwrap_or(0);
        for (msn, segment) in (first..).zip(seen.segments.iter_mut().chain(&mut seen.open)) {
            segment.msn = msn;
        }
        Ok(seen)
    }

    /// Finished segments and the open one.
    pub(super) fn all(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// The number of the last finished segment.
    pub(super) fn last_msn(&self) -> Option<u64> {
        let count = self.segments.len() as u64 + self.skipped.unwrap_or(0);
        (self.media_sequence + count).checked_sub(1)
    }

    pub(super) fn duration(&self) -> i64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// An attribute of SERVER-CONTROL, in microseconds.
    pub(super) fn control(&self, name: &str) -> Option<i64> {
        micros(self.control.as_ref()?.get(name)?).ok()
    }
}

fn number(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{value} is not a number"))
}

fn attribute<'a>(attributes: &'a HashMap<String, String>, name: &str) -> Result<&'a str, String> {
    attributes
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| format!("{name} is missing"))
}

/// `A=1,B="x,y"` (4.2).
fn attributes(mut list: &str) -> Result<HashMap<String, String>, String> {
    let mut found = HashMap::new();
    while !list.is_empty() {
        let (name, rest) = list
            .split_once('=')
            .ok_or_else(|| format!("{list} is no attribute"))?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, rest) = quoted.split_once('"').ok_or("a quote is open")?;
                (value, rest.strip_prefix(',').unwrap_or(rest))
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{name} stands twice"));
        }
        list = rest;
    }
    Ok(found)
}

/// Microseconds of decimal seconds.
fn micros(seconds: &str) -> Result<i64, String> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction = format!("{fraction:0<6}");
    match (whole.parse::<i64>(), fraction[..6].parse::<i64>()) {
        (Ok(whole), Ok(fraction)) => Ok(whole * 1_000_000 + fraction),
        _ => Err(format!("{seconds} are no seconds")),
    }
}

/// Microseconds since 1970 of `2026-01-01T00:00:00.000Z`.
fn date(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute) = (number(11..13)?, number(14..16)?);
    let seconds = micros(text.get(17..)?.strip_suffix('Z')?).ok()?;
    // Days of years that begin in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_attributes_are_read() {
        assert_eq!(date("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(date("2000-02-29T00:00:00.001Z"), Some(951_782_400_001_000));
        assert_eq!(date("2025-03-01T00:00:00.000Z"), Some(1_740_787_200_000_000));
        let found = attributes("A=1,B=\"x,y\",C=YES").unwrap();
        assert_eq!(
            (found["A"].as_str(), found["B"].as_str(), found["C"].as_str()),
            ("1", "x,y", "YES")
        );
        assert_eq!(micros("6.5"), Ok(6_500_000));
        assert_eq!(micros("0.2100001"), Ok(210_000));
    }
}
