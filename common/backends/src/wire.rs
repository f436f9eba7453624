//! The few bytes that a server on this machine is asked with whether it answers: no driver is needed for that.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of a server to the questions here is longer.
const LONGEST: usize = 1 << 20;

/// How long one question may take. The server is asked again until its own limit.
const ANSWER: Duration = Duration::from_secs(5);

/// A connection to a server on this machine.
pub(crate) fn connect(port: u16) -> Result<TcpStream, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, ANSWER).map_err(reason)?;
    stream
        .set_read_timeout(Some(ANSWER))
        .and_then(|()| stream.set_write_timeout(Some(ANSWER)))
        .map_err(reason)?;
    Ok(stream)
}

fn reason(error: Error) -> String {
    match error.kind() {
        // What a socket with a time limit says when that has passed.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", ANSWER.as_secs()),
        _ => error.to_string(),
    }
}

pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).map_err(reason)
}

/// That many bytes.
pub(crate) fn receive(stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, String> {
    if length > LONGEST {
        return Err(format!("an answer of {length} bytes"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).map_err(reason)?;
    Ok(bytes)
}

/// `GET path` over HTTP: status and body.
///
/// # Errors
/// What is wrong with the answer, in words.
pub fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let mut stream = connect(port)?;
    send(
        &mut stream,
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream
        .take(LONGEST as u64)
        .read_to_end(&mut answer)
        .map_err(reason)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or("not an HTTP answer")?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}
