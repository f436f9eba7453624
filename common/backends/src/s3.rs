//! An S3 server: versitygw, which keeps objects as files and checks signatures.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Error, Result, files, tools, wire};

pub(crate) const VERSION: &str = "1.8.0";

/// A Go module, and the hash of its sources (in the form of go.sum). Its own go.sum, which is among them, has those of the
/// modules that it needs, and the Go tool checks them.
const MODULE: &str = "github.com/versity/versitygw";
const MODULE_SUM: &str = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=";
const PROGRAM: &str = "versitygw";

pub(crate) const PORTS: usize = 1;
pub(crate) const STOP: Signal = Signal::TERM;

/// What clients sign with; the bucket is made when the server is.
pub(crate) const ACCESS_KEY: &str = "marquee";
pub(crate) const SECRET_KEY: &str = "marquee-test-secret";
const BUCKET: &str = "marquee";

/// `http://{key id}:{secret}@host:port/{bucket}`.
pub(crate) fn address(ports: &[u16]) -> String {
    format!("http://{ACCESS_KEY}:{SECRET_KEY}@127.0.0.1:{}/{BUCKET}", ports[0])
}

/// Compiles it, which takes some minutes.
pub(crate) fn install(folder: &std::path::Path, say: crate::install::Say<'_>) -> Result<()> {
    let go = tools::go()?;
    say(&format!(
        "fetching and compiling {MODULE} v{VERSION}, some minutes"
    ));
    let fetched = tools::run(
        Command::new(&go)
            .args(["mod", "download", "-json"])
            .arg(format!("{MODULE}@v{VERSION}"))
            // No module of whatever folder we are in.
            .current_dir(folder),
    )?;
    let sources = checked(&fetched)?;
    tools::run(
        Command::new(go)
            .args(["build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(folder.join(PROGRAM))
            .arg(format!("./cmd/{PROGRAM}"))
            .env("GOWORK", "off")
            .current_dir(sources),
    )
    .map(drop)
}

/// The folder of the sources, from what `go mod download -json` says; they must be those that are pinned.
fn checked(fetched: &str) -> Result<PathBuf> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fetched {
        dir: PathBuf,
        sum: String,
    }
    let file = format!("{MODULE} v{VERSION}");
    let fetched: Fetched = serde_json::from_str(fetched)
        .map_err(|error| Error::Unpinned(format!("{file}: `go mod download` says {error}")))?;
    if fetched.sum == MODULE_SUM {
        return Ok(fetched.dir);
    }
    Err(Error::Hash {
        file,
        expected: MODULE_SUM.into(),
        found: fetched.sum,
    })
}

pub(crate) fn command(place: &Place) -> Command {
    let mut command = Command::new(place.software.join(PROGRAM));
    command
        .args(["--port", &format!("127.0.0.1:{}", place.ports[0])])
        .args(["--region", "us-east-1", "posix"])
        .arg(place.data.join("buckets"))
        .env("ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("ROOT_SECRET_KEY", SECRET_KEY);
    command
}

/// A folder is a bucket.
pub(crate) fn prepare(place: &Place) -> Result<()> {
    files::make(&place.data.join("buckets").join(BUCKET))
}

/// It answers, be it that we may not do that.
pub(crate) fn ready(place: &Place) -> Result<(), String> {
    let mut stream = wire::connect(place.ports[0])?;
    let request = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    wire::send(&mut stream, request)?;
    let answer = wire::receive(&mut stream, 12)?;
    if answer.starts_with(b"HTTP/1.1 ") {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&answer).into_owned())
    }
}

pub(crate) fn stamp() -> String {
    format!("{MODULE}@v{VERSION} {MODULE_SUM}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_are_not_those_pinned_are_refused() {
        let said = |sum: &str| format!(r#"{{"Path": "x", "Dir": "/sources", "Sum": "{sum}"}}"#);
        assert_eq!(checked(&said(MODULE_SUM)).unwrap(), PathBuf::from("/sources"));
        assert!(matches!(checked(&said("h1:other")), Err(Error::Hash { .. })));
        assert!(matches!(checked("{}"), Err(Error::Unpinned(_))));
    }
}
