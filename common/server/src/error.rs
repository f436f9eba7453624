use crate::face::BoxError;
use crate::rest::RouteError;

/// Why a server did not start, or stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the REST face is wrong: {0}")]
    Route(#[from] RouteError),
    #[error("the reflection service cannot be made: {0}")]
    Reflection(BoxError),
    /// The services cannot be built.
    #[error("{0}")]
    Build(BoxError),
    #[error("task {task} failed: {source}")]
    Task { task: &'static str, source: BoxError },
    #[error("task {task} ended, which it must not before the server stops")]
    Ended { task: &'static str },
    #[error("task {task} panicked")]
    Panicked { task: String },
}
