use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use marquee_error::{ErrorExt, ErrorKind, FieldViolation, PROBLEM_JSON, Problem};
use tonic::Status;

/// Why a REST request was refused before it reached an RPC.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is nothing at {0}")]
    NotFound(String),
    #[error("this path takes {}", methods(.0))]
    Method(Vec<Method>),
    #[error("the body must be application/json, not {0}")]
    MediaType(String),
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body could not be read: {0}")]
    Unreadable(String),
    #[error("the body was not sent within {0:?}")]
    Slow(Duration),
    #[error("too many bodies are being sent")]
    Overloaded,
    #[error("the body is not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("invalid request: {}", fields(.0))]
    Invalid(Vec<FieldViolation>),
    #[error("the header {0} is ill formed")]
    Header(&'static str),
}

fn methods(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

fn fields(violations: &[FieldViolation]) -> String {
    let shown = violations
        .iter()
        .take(5)
        .map(|v| format!("{}: {}", v.field, v.description));
    shown.collect::<Vec<_>>().join("; ")
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Method(_) => ErrorKind::Unimplemented,
            Self::TooLarge { .. } | Self::Overloaded => ErrorKind::ResourceExhausted,
            Self::Slow(_) => ErrorKind::DeadlineExceeded,
            Self::MediaType(_)
            | Self::Unreadable(_)
            | Self::Syntax(_)
            | Self::Invalid(_)
            | Self::Header(_) => ErrorKind::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "PATH_NOT_FOUND",
            Self::Method(_) => "METHOD_NOT_ALLOWED",
            Self::MediaType(_) => "UNSUPPORTED_MEDIA_TYPE",
            Self::TooLarge { .. } => "REQUEST_TOO_LARGE",
            Self::Unreadable(_) => "BODY_UNREADABLE",
            Self::Slow(_) => "BODY_TOO_SLOW",
            Self::Overloaded => "OVERLOADED",
            Self::Syntax(_) => "INVALID_JSON",
            Self::Invalid(_) => "INVALID_FIELD",
            Self::Header(_) => "INVALID_HEADER",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Overloaded).then_some(Duration::from_secs(1))
    }

    fn metadata(&self) -> Vec<(String, String)> {
        match self {
            Self::Syntax(error) => vec![
                ("line".to_owned(), error.line().to_string()),
                ("column".to_owned(), error.column().to_string()),
            ],
            Self::TooLarge { limit } => vec![("limit_bytes".to_owned(), limit.to_string())],
            _ => Vec::new(),
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            _ => Vec::new(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (mut status, mut problem) = Problem::from_status(&self.to_status());
        // HTTP is finer than gRPC about these.
        let precise = match &self {
            Self::Method(_) => Some((StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")),
            Self::MediaType(_) => Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")),
            Self::TooLarge { .. } => Some((StatusCode::PAYLOAD_TOO_LARGE, "Content too large")),
            Self::Slow(_) => Some((StatusCode::REQUEST_TIMEOUT, "Request timeout")),
            _ => None,
        };
        if let Some((code, title)) = precise {
            (status, problem.status, problem.title) = (code, code, title);
        }
        let mut response = respond(status, &problem);
        if let Self::Method(allowed) = &self
            && let Ok(value) = HeaderValue::from_str(&methods(allowed))
        {
            response.headers_mut().insert(ALLOW, value);
        }
        response
    }
}

/// The answer to a failed RPC.
pub(crate) fn problem(status: &Status) -> Response {
    let (code, problem) = Problem::from_status(status);
    respond(code, &problem)
}

/// The problem of a failed RPC as JSON, for an event stream.
pub(crate) fn problem_json(status: &Status) -> String {
    serde_json::to_string(&Problem::from_status(status).1).unwrap_or_default()
}

fn respond(status: StatusCode, problem: &Problem) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(after) = problem
        .retry_after_header()
        .and_then(|after| HeaderValue::from_str(&after).ok())
    {
        headers.insert(RETRY_AFTER, after);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let body = Body::from(serde_json::to_vec(problem).unwrap_or_default());
    (status, headers, body).into_response()
}
