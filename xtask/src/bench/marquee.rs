//! `marquee up`, as anybody starts it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::process::Running;

const START: Duration = Duration::from_secs(60);

/// What is read of the ready file.
#[derive(Deserialize)]
pub(super) struct Ready {
    pub(super) rest: String,
    pub(super) grpc: String,
    pub(super) rtmp: String,
}

/// A running `marquee up` on free ports.
pub(super) struct Marquee {
    pub(super) server: Running,
    pub(super) ready: Ready,
    /// From exec to the ready file.
    pub(super) started_in: Duration,
}

impl Marquee {
    /// Starts it with its data, log and ready file in `folder`.
    pub(super) fn start(binaries: &Path, folder: &Path) -> Result<Self> {
        let file = folder.join("ready.json");
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new(binaries.join("marquee"));
        command.args(["up", "--listen", "127.0.0.1:0", "--rtmp-listen", "127.0.0.1:0"]);
        command
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(&file);
        let began = Instant::now();
        let mut server = Running::start(&mut command, folder.join("marquee.log"))?;
        // It appears with all of its content.
        let bytes = server.wait_for("ready file", START, || Ok(std::fs::read(&file).ok()))?;
        let started_in = began.elapsed();
        let ready = serde_json::from_slice(&bytes).context("the ready file is no JSON")?;
        Ok(Self {
            server,
            ready,
            started_in,
        })
    }
}
