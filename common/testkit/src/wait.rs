use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const EVERY: Duration = Duration::from_millis(25);

/// Asks again and again until the answer is yes.
///
/// # Errors
/// When it is still no after `limit`; the error says what was waited for.
pub async fn wait_until(what: &str, limit: Duration, mut done: impl AsyncFnMut() -> bool) -> Result<()> {
    wait_for(what, limit, async || done().await.then_some(())).await
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When there is none after `limit`; the error says what was waited for.
pub async fn wait_for<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {limit:?} for {what}");
        }
        tokio::time::sleep(EVERY).await;
    }
}
