//! Headless Chromium, driven by a script of `web/tests` with Playwright.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::process::top;

/// How long a script may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `node web/tests/<script>` and returns the JSON on the last line that it prints.
///
/// # Errors
/// When the script fails, with what it said.
pub async fn run(script: &str, arguments: &[&str]) -> Result<Value> {
    let web = top().join("web");
    let run = Command::new("node")
        .arg(web.join("tests").join(script))
        .args(arguments)
        .current_dir(&web)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, run)
        .await
        .with_context(|| format!("{script} takes too long"))??;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "{script} {arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let last = said
        .lines()
        .next_back()
        .with_context(|| format!("{script} said nothing"))?;
    serde_json::from_str(last).with_context(|| last.to_owned())
}
