//! Building a service whose servers may not be there yet.

use std::sync::Arc;
use std::time::Duration;

use marquee_server::{BoxError, Platform, Service};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::{Bound, Program};

/// Between two attempts; doubled with each until it is the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

/// Why the last attempt failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    /// What there is to say of a service that is not there yet.
    pub(crate) fn text(&self) -> String {
        let last = self.0.lock().clone();
        last.unwrap_or_else(|| "the service is being built".to_owned())
    }
}

/// Builds the service as soon as it can be built.
pub(crate) async fn build<P: Program>(
    program: &P,
    platform: Platform,
    bound: Bound,
    last: &LastError,
) -> Result<Service, BoxError> {
    let mut wait = FIRST;
    loop {
        let error = match program.build(platform.clone(), bound).await {
            Ok(service) => {
                if last.0.lock().take().is_some() {
                    tracing::info!("everything is there now");
                }
                return Ok(service);
            }
            Err(error) if P::hopeless(&error) => return Err(error.into()),
            Err(error) => chain(&error),
        };
        // The same again is no news.
        if last.0.lock().replace(error.clone()).as_ref() != Some(&error) {
            tracing::warn!(%error, "cannot begin yet; trying again until it can");
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// The error and its sources in one line; what a source repeats is not told twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let told = source.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = source.source();
    }
    text.replace('\n', " ")
}
