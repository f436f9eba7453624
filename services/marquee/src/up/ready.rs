//! When everything answers, people and scripts are told where.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::demo::Demo;

/// What `--ready-file` holds.
#[derive(Serialize)]
struct Ready<'a> {
    version: &'static str,
    pages: String,
    rest: String,
    grpc: String,
    rtmp: String,
    metrics: String,
    #[serde(flatten)]
    demo: Option<&'a Demo>,
}

/// Waits until `/readyz` says yes.
pub(crate) async fn wait(address: SocketAddr, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = probe(address).await;
        if let Ok(answer) = &answer
            && answer.starts_with("HTTP/1.1 200")
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "not ready within {limit:?}: {}",
                answer.unwrap_or_else(|error| error.to_string())
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn probe(address: SocketAddr) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    socket
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    socket.take(4_096).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A file from an earlier start must not be taken for this one's.
pub(crate) fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove the old ready file {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Writes the ready file; it appears with all of its content. It may hold a stream key, so that only its owner reads it.
pub(crate) fn write(file: &Path, address: SocketAddr, rtmp: SocketAddr, demo: Option<&Demo>) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let http = format!("http://{address}");
    let ready = Ready {
        version: env!("CARGO_PKG_VERSION"),
        pages: http.clone(),
        rest: http.clone(),
        grpc: http.clone(),
        rtmp: format!("rtmp://{rtmp}/live"),
        metrics: format!("{http}/metrics"),
        demo,
    };
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let write = || {
        let mut new = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&name)?;
        serde_json::to_writer_pretty(&new, &ready)?;
        new.write_all(b"\n")?;
        std::fs::rename(&name, file)
    };
    write().with_context(|| format!("cannot write the ready file {}", file.display()))
}

/// Tells whoever started it.
pub(crate) fn print(address: SocketAddr, rtmp: SocketAddr, pages: bool, demo: Option<&Demo>) {
    let page = demo.map_or_else(
        || format!("http://{address}/"),
        |demo| format!("http://{address}{}", demo.page()),
    );
    eprintln!();
    eprintln!("  Marquee {} is ready", env!("CARGO_PKG_VERSION"));
    eprintln!();
    if pages {
        eprintln!("  watch     {page}");
    }
    eprintln!("  api       http://{address}/openapi.json  (gRPC, grpc-web and REST on the same port)");
    eprintln!("  publish   rtmp://{rtmp}/live/<stream key>");
    if let Some(demo) = demo {
        eprintln!();
        eprintln!("  Put yourself on the air:");
        eprintln!("    {}", demo.ffmpeg());
        eprintln!();
        eprintln!(
            "  Sign in as {} or {}, password {}",
            demo.creator.email, demo.viewer.email, demo.creator.password
        );
    }
    eprintln!();
}
