//! One mapping from an error to what a caller sees: a gRPC status with details, or an HTTP problem.
//!
//! ```text
//!   service error ──ErrorExt──► tonic::Status ──Problem::from_status──► (HTTP status, problem+json)
//!                              ErrorInfo, BadRequest, RetryInfo
//! ```
//!
//! A crate defines its errors with thiserror and says in [`ErrorExt`] what kind each is and why it happened. Every
//! reason is documented in `docs/ERRORS.md`.
//!
//! ```
//! use marquee_error::{ErrorExt, ErrorKind};
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("channel {0} was not found")]
//! struct ChannelNotFound(String);
//!
//! impl ErrorExt for ChannelNotFound {
//!     fn kind(&self) -> ErrorKind {
//!         ErrorKind::NotFound
//!     }
//!     fn reason(&self) -> &'static str {
//!         "CHANNEL_NOT_FOUND"
//!     }
//! }
//!
//! let status = ChannelNotFound("channels/c1".to_owned()).to_status();
//! assert_eq!(status.code(), tonic::Code::NotFound);
//! assert_eq!(marquee_error::reason(&status).as_deref(), Some("CHANNEL_NOT_FOUND"));
//! ```

mod ext;
mod invalid;
mod kind;
mod problem;
mod trace;

pub use ext::{DOMAIN, ErrorExt, reason};
pub use invalid::{FieldViolation, Invalid, Violations, invalid};
pub use kind::ErrorKind;
pub use problem::{PROBLEM_JSON, Problem};
pub use trace::{set_request_id_source, set_trace_id_source};
