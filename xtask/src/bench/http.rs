//! As much of an HTTP client as a bench needs to make accounts and channels.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

/// One request over a connection of its own. `base` is `http://host:port`. An answer that is not 2xx is an error.
pub(super) fn call(
    method: &str,
    base: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Value> {
    exchange(method, base, path, token, body).with_context(|| format!("{method} {base}{path}"))
}

fn exchange(
    method: &str,
    base: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Value> {
    let host = base.strip_prefix("http://").context("not an http address")?;
    let mut socket = TcpStream::connect(host)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = token
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    // HTTP/1.0: the answer comes in one piece and the connection ends with it.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {host}\r\n{authorization}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{status}: {body}");
    }
    serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))
}
