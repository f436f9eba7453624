//! `--probe`: asks the process beside whether it is ready, for the health checks of containers without a shell.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::reachable;

/// Where the other process listens, as it was told.
const LISTEN: &str = "MARQUEE_LISTEN";
const DEFAULT: &str = "127.0.0.1:8080";
/// For each step of the question.
const PATIENCE: Duration = Duration::from_secs(3);
/// As much of the answer as is read, in bytes.
const LONGEST: u64 = 16 << 10;

/// Says what is missing, in one line.
pub(crate) fn probe() -> Result<(), String> {
    let listen = std::env::var(LISTEN).unwrap_or_else(|_| DEFAULT.to_owned());
    let address: SocketAddr = listen
        .parse()
        .map_err(|_| format!("{LISTEN}: {listen:?} is no address"))?;
    let answer = ask(reachable(address)).map_err(|error| format!("{listen}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let detail = problem.get("detail").and_then(serde_json::Value::as_str);
    Err(detail.unwrap_or("not ready").to_owned())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.take(LONGEST).read_to_string(&mut answer)?;
    Ok(answer)
}
