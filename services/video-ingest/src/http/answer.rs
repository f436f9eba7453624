//! Answers: playlists, media, problems, and what caches may do with them.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response as HttpResponse, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use marquee_error::{ErrorExt as _, Problem};

use crate::broadcast::{Media, Text};
use crate::error::Error;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// How long a playlist may be kept by caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It grows: asked for anew each time, which costs nothing when it is the same.
    Moving,
    /// The answer to a request that names what it wants: the same for all who want it. For a moment, so that a player that
    /// comes late with the same wish is not sent back in time.
    Moment,
    /// It does not change, but its recording may be deleted.
    Finished,
}

impl Lifetime {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Moving => "no-cache",
            Self::Moment => "public, max-age=1",
            Self::Finished => "public, max-age=60",
        })
    }
}

/// A playlist, compressed if that is understood, or nothing if it is known.
pub(super) fn playlist(text: &Text, lifetime: Lifetime, request: &HeaderMap) -> Response {
    let gzip = accepts_gzip(request);
    let etag = text.etag(gzip);
    let is_known = header(request, &header::IF_NONE_MATCH).is_some_and(|known| known.contains(&etag));
    let body = match (is_known, gzip) {
        (true, _) => Bytes::new(),
        (false, true) => text.gzip(),
        (false, false) => text.plain(),
    };
    let mut response = HttpResponse::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, lifetime.header());
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PLAYLIST));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// RFC 9110 12.5.3, as far as gzip is concerned.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let Some(accepted) = header(headers, &header::ACCEPT_ENCODING) else {
        return false;
    };
    accepted.split(',').any(|coding| {
        let mut words = coding.split(';').map(str::trim);
        let is_gzip = words.next() == Some("gzip");
        let is_refused = |word: &str| matches!(word.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000"));
        is_gzip && !words.any(is_refused)
    })
}

/// Media, or a range of it. What a name stands for never changes.
pub(super) fn media(media: Media, request: &HeaderMap) -> Response {
    let len = media.len();
    // Without a validator there is nothing that `If-Range` could match (RFC 9110 13.1.5).
    let range = header(request, &header::RANGE).filter(|_| !request.contains_key(header::IF_RANGE));
    let (status, media, content_range) = match range.map_or(Asked::All, |range| asked(range, len)) {
        Asked::All => (StatusCode::OK, media, None),
        Asked::Range(range) => {
            let told = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, media.slice(range), Some(told))
        }
        Asked::Nothing => {
            let told = format!("bytes */{len}");
            (StatusCode::RANGE_NOT_SATISFIABLE, media.slice(0..0), Some(told))
        }
    };
    let mut response = HttpResponse::new(body(media));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let lifetime = match status {
        StatusCode::RANGE_NOT_SATISFIABLE => "no-store",
        _ => "public, max-age=31536000, immutable",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime));
    if let Some(Ok(range)) = content_range.map(HeaderValue::try_from) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    response
}

/// What players that do not know gaps get for one: nothing, which they pass over. They ask for all of it as a range
/// (`bytes=0-`), which nothing cannot satisfy; so a range is not looked at.
pub(super) fn gap() -> Response {
    media(Bytes::new().into(), &HeaderMap::new())
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Range(Range<u64>),
    Nothing,
}

/// One range of bytes (RFC 9110 14.1.2); several, and what is none, are answered with everything.
fn asked(range: &str, len: u64) -> Asked {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Asked::All;
    };
    let number = |digits: &str| -> Option<u64> {
        let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_decimal.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Asked::All,
        (Some(first), _) if first >= len && (last.is_empty() || number(last).is_some()) => Asked::Nothing,
        (Some(first), Some(last)) => Asked::Range(first..len.min(last.saturating_add(1))),
        (Some(first), None) if last.is_empty() => Asked::Range(first..len),
        (None, Some(0)) if first.is_empty() => Asked::Nothing,
        (None, Some(suffix)) if first.is_empty() => Asked::Range(len.saturating_sub(suffix)..len),
        _ => Asked::All,
    }
}

fn body(media: Media) -> Body {
    let left = media.len();
    let mut pieces = media.into_pieces();
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Body::empty(),
        (Some(only), true) => Body::from(only),
        (Some(last), false) => {
            pieces.push(last);
            Body::new(Pieces {
                pieces: pieces.into_iter(),
                left,
            })
        }
    }
}

/// Sends what it has piece by piece.
struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.next();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An error as a problem document (RFC 9457).
pub(super) fn problem(error: &Error) -> Response {
    let (status, problem) = Problem::from_status(&error.to_status());
    let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::new(Body::from(serde_json::to_vec(&problem).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_the_client_asks_for_within_what_there_is() {
        for (range, expected) in [
            ("bytes=0-0", Asked::Range(0..1)),
            ("bytes=2-", Asked::Range(2..10)),
            ("bytes=2-99", Asked::Range(2..10)),
            ("bytes=-3", Asked::Range(7..10)),
            ("bytes=-99", Asked::Range(0..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-2", Asked::All),
            ("bytes=0-1,4-5", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=a-b", Asked::All),
            ("lines=1-2", Asked::All),
        ] {
            assert_eq!(asked(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn gzip_is_used_only_for_who_understands_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("deflate, gzip ; q=1.0", true),
            ("gzip;q=0", false),
            ("br", false),
            ("x-gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), expected, "{accepted}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
