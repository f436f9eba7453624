use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{ErrorKind, FieldViolation, trace};

/// The domain of every reason in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "marquee.dev";

/// Details travel in HTTP/2 headers, of which hyper takes 16 KiB in all: enough violations to mend a request by, and no more.
const MAX_VIOLATIONS: usize = 20;
const MAX_TEXT: usize = 160;
const MAX_MESSAGE: usize = 1_000;

/// What an error is to a caller.
pub trait ErrorExt: Error + Send + Sync + 'static {
    /// What went wrong, in general.
    fn kind(&self) -> ErrorKind;

    /// Why, in UPPER_SNAKE, for programs to tell errors of one kind apart. Documented in `docs/ERRORS.md`.
    fn reason(&self) -> &'static str;

    /// Values that belong to the reason, for programs. Never a secret.
    fn metadata(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The fields that are wrong; for [`ErrorKind::InvalidArgument`].
    fn violations(&self) -> Vec<FieldViolation> {
        Vec::new()
    }

    /// When to try again; `None` where the same request can't succeed by waiting.
    fn retry_after(&self) -> Option<Duration> {
        (self.kind() == ErrorKind::Unavailable).then_some(Duration::from_secs(1))
    }

    /// The status with its details: `ErrorInfo` always, `BadRequest`, `RetryInfo` and `RequestInfo` where they apply.
    ///
    /// An internal error is logged here with all its sources and answered with nothing but the trace id, so call this
    /// once per error, where the answer is made.
    fn to_status(&self) -> Status
    where
        Self: Sized,
    {
        let kind = self.kind();
        let mut metadata: HashMap<String, String> = self.metadata().into_iter().collect();
        let mut reason = self.reason();
        let message = if kind == ErrorKind::Internal {
            let trace_id = trace::trace_id();
            // The line has the trace and the request like any other.
            tracing::error!(error = %chain(self), reason, "internal error");
            reason = "INTERNAL";
            metadata.clear();
            metadata.extend(trace_id.map(|id| ("trace_id".to_owned(), id)));
            "internal error".to_owned()
        } else {
            cut(&self.to_string(), MAX_MESSAGE)
        };

        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, metadata);
        for violation in self.violations().iter().take(MAX_VIOLATIONS) {
            details.add_bad_request_violation(
                cut(&violation.field, MAX_TEXT),
                cut(&violation.description, MAX_TEXT),
            );
        }
        if let Some(after) = self.retry_after() {
            details.set_retry_info(Some(after));
        }
        if let Some(id) = trace::request_id() {
            details.set_request_info(id, String::new());
        }
        Status::with_error_details(kind.code(), message, details)
    }
}

/// The reason in a status' `ErrorInfo`, when it carries one of ours.
pub fn reason(status: &Status) -> Option<String> {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)
        .map(|info| info.reason)
}

/// The error and its sources, `a: b: c`; a source that its parent already tells is not told twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let told = source.to_string();
        if !text.ends_with(&told) {
            let _ = write!(text, ": {told}");
        }
        next = source.source();
    }
    text
}

fn cut(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_bytes);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("the index is gone")]
        Broken(#[source] std::io::Error),
        #[error("the store does not answer")]
        Away,
        #[error("{0}")]
        Long(String),
    }

    impl ErrorExt for Sample {
        fn kind(&self) -> ErrorKind {
            match self {
                Self::Broken(_) => ErrorKind::Internal,
                Self::Away => ErrorKind::Unavailable,
                Self::Long(_) => ErrorKind::InvalidArgument,
            }
        }

        fn reason(&self) -> &'static str {
            match self {
                Self::Broken(_) => "INDEX_BROKEN",
                Self::Away => "STORE_UNAVAILABLE",
                Self::Long(_) => "INVALID_FIELD",
            }
        }

        fn metadata(&self) -> Vec<(String, String)> {
            vec![("path".to_owned(), "/var/lib/marquee".to_owned())]
        }

        fn violations(&self) -> Vec<FieldViolation> {
            match self {
                Self::Long(text) => vec![
                    FieldViolation {
                        field: text.clone(),
                        description: text.clone()
                    };
                    1_000
                ],
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn an_internal_error_tells_the_caller_nothing_but_the_trace() {
        set_trace();
        let status = Sample::Broken(std::io::Error::other("disk on fire")).to_status();

        assert_eq!(status.code(), tonic::Code::Internal);
        assert_eq!(status.message(), "internal error");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INTERNAL");
        let metadata: Vec<_> = info.metadata.into_iter().collect();
        assert_eq!(metadata, [("trace_id".to_owned(), "4bf92f35".to_owned())]);
    }

    #[test]
    fn the_log_gets_the_whole_chain_once() {
        let error = Sample::Broken(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "the index is gone: disk on fire");
    }

    #[test]
    fn what_is_unavailable_says_when_to_retry() {
        let status = Sample::Away.to_status();
        assert_eq!(
            status.get_details_retry_info().unwrap().retry_delay,
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn details_stay_within_what_http2_headers_may_hold() {
        let status = Sample::Long("ä".repeat(10_000)).to_status();
        let headers = {
            let mut map = http::HeaderMap::new();
            status.add_header(&mut map).unwrap();
            map
        };
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(size < 16_384, "{size}");
        assert!(status.get_details_bad_request().unwrap().field_violations.len() == MAX_VIOLATIONS);
    }

    fn set_trace() {
        trace::set_trace_id_source(|| Some("4bf92f35".to_owned()));
    }
}
