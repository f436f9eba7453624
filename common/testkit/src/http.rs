//! A small HTTP client: curl.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in lower case, as they came.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the body is in the error.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// GET.
///
/// # Errors
/// When there is no answer.
pub async fn get(url: &str) -> Result<Answer> {
    curl(&[url]).await
}

/// Runs curl with further arguments.
///
/// # Errors
/// When there is no answer within 20 seconds.
pub async fn curl(arguments: &[&str]) -> Result<Answer> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20"])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start curl: sudo apt-get install -y curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .context("no status line")?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// A server-sent event (HTML Living Standard, section 9.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSentEvent {
    /// What `Last-Event-ID` resumes after; empty when it has none.
    pub id: String,
    /// Kind; empty for a plain message.
    pub kind: String,
    /// Data.
    pub data: String,
}

/// Server-sent events as they come, by `curl --no-buffer`. The connection ends when this is dropped.
#[derive(Debug)]
pub struct ServerSentEvents {
    lines: Lines<BufReader<ChildStdout>>,
    _curl: Child,
}

impl ServerSentEvents {
    /// Opens a stream with further headers, each `name: value`.
    ///
    /// # Errors
    /// When curl is not there.
    pub fn open(url: &str, headers: &[&str]) -> Result<Self> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--fail"])
            .args(["--max-time", "60", "--header", "accept: text/event-stream"]);
        for header in headers {
            curl.args(["--header", header]);
        }
        let mut curl = curl
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start curl: sudo apt-get install -y curl")?;
        let lines = curl.stdout.take().context("curl has no output")?;
        Ok(Self {
            lines: BufReader::new(lines).lines(),
            _curl: curl,
        })
    }

    /// The next event; comments, which keep the connection alive, are left out.
    ///
    /// # Errors
    /// When the stream ends, or nothing came for 60 seconds since it was opened.
    pub async fn next(&mut self) -> Result<ServerSentEvent> {
        let mut event = ServerSentEvent::default();
        let mut empty = true;
        loop {
            let line = self.lines.next_line().await?;
            let line = line.with_context(|| format!("the stream ended after {event:?}"))?;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() && !empty => return Ok(event),
                "" => continue,
                "id" => value.clone_into(&mut event.id),
                "event" => value.clone_into(&mut event.kind),
                "data" => {
                    ensure!(event.data.is_empty(), "data of several lines");
                    value.clone_into(&mut event.data);
                }
                _ => {}
            }
            empty = false;
        }
    }
}
