use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::http::{Answer, get};
use crate::wait_for;

/// How long a binary may take to listen, and to end, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What `--ready-file` of a binary of the fleet holds.
#[derive(Debug, Clone, Deserialize)]
pub struct Listens {
    /// `host:port` of gRPC, grpc-web and REST.
    pub address: String,
    /// `host:port` of RTMP, where there is one.
    pub rtmp: Option<String>,
}

/// A running binary of the fleet, on a free port. It is killed when dropped.
pub struct Binary {
    /// Where it listens.
    pub listens: Listens,
    child: Child,
    folder: TempDir,
}

impl Binary {
    /// Starts a program with further options.
    ///
    /// # Errors
    /// When it ends or does not listen in time; its log is in the error.
    pub async fn start(program: impl AsRef<Path>, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (file, log) = (folder.path().join("ready.json"), folder.path().join("log"));
        let mut child = Command::new(program.as_ref())
            .args(["--listen", "127.0.0.1:0", "--drain-delay", "0", "--ready-file"])
            .arg(&file)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.as_ref().display()))?;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let listens = wait_for("the binary to listen", LIMIT, async || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(anyhow::anyhow!("it ended with {status}:\n{}", said())));
            }
            let bytes = std::fs::read(&file).ok()?;
            Some(serde_json::from_slice::<Listens>(&bytes).map_err(Into::into))
        });
        let listens = listens.await.with_context(said)??;
        Ok(Self {
            listens,
            child,
            folder,
        })
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// GET of a path.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        get(&format!("http://{}{path}", self.listens.address)).await
    }

    /// Waits until `/readyz` is as asked for, and returns it.
    ///
    /// # Errors
    /// When it is not in time; the log is in the error.
    pub async fn readiness(&self, mut fits: impl FnMut(&Answer) -> bool) -> Result<Answer> {
        let mut last = String::new();
        let answer = wait_for("the readiness", LIMIT, async || {
            let answer = self.get("/readyz").await.ok()?;
            last.clone_from(&answer.body);
            fits(&answer).then_some(answer)
        })
        .await;
        answer.with_context(|| format!("{last}\n{}", self.log()))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(kill_process(pid.context("it is gone")?, signal)?)
    }

    /// Asks it to stop as a service manager does.
    ///
    /// # Errors
    /// When it is gone.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end; its exit code, and `None` when a signal ended it.
    ///
    /// # Errors
    /// When it does not end in time; the log is in the error.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        match tokio::time::timeout(LIMIT, self.child.wait()).await {
            Ok(status) => Ok(status?.code()),
            Err(_) => bail!("it does not end:\n{}", self.log()),
        }
    }
}
