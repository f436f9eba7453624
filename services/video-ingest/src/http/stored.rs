//! Media that is on the disk or in the object store, with byte ranges, as it is read.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use marquee_proto::name::LiveStreamName;

use crate::archive::Archive;
use crate::error::{Error, Result};

/// The content of a media file never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A media file of a stream, or the part of it that is asked for.
pub(super) async fn media(
    archive: &Archive,
    name: &LiveStreamName,
    file: &str,
    headers: &HeaderMap,
) -> Result<Response> {
    let missing = || Error::not_found("MEDIA_NOT_FOUND", format!("{name}/{file}"));
    // Without a validator there is nothing that `If-Range` could match (RFC 9110, 13.1.5).
    let asked = headers
        .get(header::RANGE)
        .filter(|_| !headers.contains_key(header::IF_RANGE))
        .and_then(|range| Asked::parse(range.to_str().ok()?));
    let range = match asked {
        None => None,
        Some(Asked::From(range)) => Some(range),
        Some(Asked::Last(count)) => {
            let size = archive.size(name, file).await?.ok_or_else(missing)?;
            Some(size.saturating_sub(count)..size)
        }
    };
    let is_part = range.is_some();
    let content = match archive.media(name, file, range).await {
        Err(Error::Objects(marquee_objects::Error::Range { size })) => return Ok(unsatisfiable(size)),
        content => content?.ok_or_else(missing)?,
    };
    let mut response = Response::new(Body::from_stream(content.body));
    let Range { start, end } = content.range;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    if is_part {
        insert_range(
            headers,
            format!("bytes {start}-{}/{}", end.saturating_sub(1), content.size),
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    insert_range(response.headers_mut(), format!("bytes */{size}"));
    response
}

fn insert_range(headers: &mut HeaderMap, value: String) {
    // Digits and spaces are valid in a header.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

/// What a Range header asks for (RFC 9110, 14.1.2).
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    From(Range<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Asked {
    /// One range; anything else is answered with the whole file, as a server may (RFC 9110, 14.2).
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self::From(first..last.saturating_add(1))),
            (Some(first), None) if last.is_empty() => Some(Self::From(first..u64::MAX)),
            (None, Some(count)) if first.is_empty() && count > 0 => Some(Self::Last(count)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_a_last_or_both() {
        assert_eq!(Asked::parse("bytes=0-499"), Some(Asked::From(0..500)));
        assert_eq!(Asked::parse("bytes=500-"), Some(Asked::From(500..u64::MAX)));
        assert_eq!(Asked::parse("bytes=-5"), Some(Asked::Last(5)));
    }

    #[test]
    fn anything_else_is_the_whole_file() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=a-b",
            "bytes=0-1,4-5",
            "items=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(Asked::parse(header), None, "{header:?}");
        }
    }
}
