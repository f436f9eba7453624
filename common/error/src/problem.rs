use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, Serializer};
use tonic::Status;
use tonic_types::StatusExt;

use crate::{DOMAIN, ErrorKind, FieldViolation};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document (RFC 9457), with what gRPC's details say as extension members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// A URI that stands for the reason; an identifier, not an address. `about:blank` without a reason.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in general; the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// What went wrong this time.
    pub detail: String,
    /// Why, in UPPER_SNAKE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whose reason it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Values that belong to the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<FieldViolation>,
    /// When to try again, in seconds; also the `retry-after` header.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// The problem that a gRPC status tells, and its HTTP status.
    pub fn from_status(status: &Status) -> (StatusCode, Self) {
        let kind = ErrorKind::from_code(status.code());
        let http_status = kind.http_status();
        let details = status.get_error_details();
        let info = details.error_info().cloned();
        let problem = Self {
            kind: match &info {
                Some(info) if info.domain == DOMAIN => format!("https://{DOMAIN}/errors/{}", info.reason),
                _ => "about:blank".to_owned(),
            },
            title: kind.title(),
            status: http_status,
            detail: status.message().to_owned(),
            reason: info.as_ref().map(|info| info.reason.clone()),
            domain: info.as_ref().map(|info| info.domain.clone()),
            metadata: info
                .map(|info| info.metadata.into_iter().collect())
                .unwrap_or_default(),
            violations: details
                .bad_request()
                .map(|bad| {
                    bad.field_violations
                        .iter()
                        .map(|violation| FieldViolation {
                            field: violation.field.clone(),
                            description: violation.description.clone(),
                        })
                        .collect()
                })
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        };
        (http_status, problem)
    }

    /// The value of a `retry-after` header (RFC 9110 10.2.3): whole seconds, rounded up.
    pub fn retry_after_header(&self) -> Option<String> {
        self.retry_after.map(|after| ceiling_seconds(after).to_string())
    }
}

fn ceiling_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs_f64()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ErrorExt, invalid};

    #[test]
    fn a_wrong_field_is_named_in_the_problem() {
        let (status, problem) =
            Problem::from_status(&invalid("event.title", "must not be empty").to_status());

        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            json!({
                "type": "https://marquee.dev/errors/INVALID_FIELD",
                "title": "Invalid argument",
                "status": 400,
                "detail": "invalid request: event.title: must not be empty",
                "reason": "INVALID_FIELD",
                "domain": "marquee.dev",
                "violations": [{"field": "event.title", "description": "must not be empty"}],
            })
        );
    }

    #[test]
    fn a_status_without_details_has_no_type_of_its_own() {
        let (status, problem) = Problem::from_status(&Status::unimplemented("no such method"));

        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            json!({"type": "about:blank", "title": "Unimplemented", "status": 501, "detail": "no such method"})
        );
    }

    #[test]
    fn the_retry_header_is_rounded_up_to_whole_seconds() {
        let (_, mut problem) = Problem::from_status(&Status::unavailable("later"));
        assert_eq!(problem.retry_after_header(), None);
        problem.retry_after = Some(Duration::from_millis(1_200));
        assert_eq!(problem.retry_after_header().as_deref(), Some("2"));
    }
}
