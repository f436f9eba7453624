use std::fmt;

use crate::{ErrorExt, ErrorKind};

/// One field of a request that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldViolation {
    /// The path of the field in the request, for example `event.start_time`.
    pub field: String,
    /// What is wrong, for the person who has to mend it.
    pub description: String,
}

/// A request with fields that are wrong: INVALID_ARGUMENT with a `BadRequest` that names them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<FieldViolation>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid request")?;
        for (n, violation) in self.0.iter().take(5).enumerate() {
            let separator = if n == 0 { ": " } else { "; " };
            write!(f, "{separator}{}: {}", violation.field, violation.description)?;
        }
        match self.0.len() {
            0..=5 => Ok(()),
            more => write!(f, "; and {} more", more - 5),
        }
    }
}

impl std::error::Error for Invalid {}

impl ErrorExt for Invalid {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }

    fn reason(&self) -> &'static str {
        "INVALID_FIELD"
    }

    fn violations(&self) -> Vec<FieldViolation> {
        self.0.clone()
    }
}

impl From<Invalid> for tonic::Status {
    fn from(invalid: Invalid) -> Self {
        invalid.to_status()
    }
}

/// One wrong field.
pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Invalid {
    Invalid(vec![FieldViolation {
        field: field.into(),
        description: description.into(),
    }])
}

/// Collects what is wrong with a request, so that a caller learns everything at once.
///
/// ```
/// let mut violations = marquee_error::Violations::default();
/// violations.check(false, "event.title", || "must not be empty".to_owned());
/// violations.check(true, "event.description", || "must have at most 5000 characters".to_owned());
/// let invalid = violations.finish().unwrap_err();
/// assert_eq!(invalid.to_string(), "invalid request: event.title: must not be empty");
/// ```
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// Notes a violation unless `ok`.
    pub fn check(&mut self, ok: bool, field: &str, description: impl FnOnce() -> String) {
        if !ok {
            self.push(field, description());
        }
    }

    /// Notes a violation.
    pub fn push(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation {
            field: field.into(),
            description: description.into(),
        });
    }

    /// Takes the value out of a result, or notes the error as the violation of `field`.
    pub fn take<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(field, error.to_string())).ok()
    }

    /// True while nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails when anything was noted.
    pub fn finish(self) -> Result<(), Invalid> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Invalid(self.0))
        }
    }
}
