use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::Request;

use crate::wait_for;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// What `--ready-file` holds.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Ready {
    pub version: String,
    pub pages: String,
    pub rest: String,
    pub grpc: String,
    pub rtmp: String,
    #[serde(default)]
    pub metrics: String,
    /// Of a fleet: where everything is over TLS.
    #[serde(default)]
    pub https: String,
    /// Of a fleet: RTMP over TLS.
    #[serde(default)]
    pub rtmps: String,
    /// Of a fleet: where its traces are sent, host and port.
    #[serde(default)]
    pub otlp: String,
    /// Of a fleet: its folder.
    #[serde(default)]
    pub folder: PathBuf,
    /// Of a fleet: the addresses of its services, behind the gateway.
    #[serde(default)]
    pub services: std::collections::BTreeMap<String, String>,
    pub stream_key: Option<String>,
    pub publish_url: Option<String>,
    pub playlist_url: Option<String>,
    pub channel: Option<String>,
    pub event: Option<String>,
    pub creator: Option<Person>,
    pub viewer: Option<Person>,
}

impl Ready {
    /// The fleet that `cargo xtask test --backends` has started.
    ///
    /// # Panics
    /// When it has not.
    #[expect(clippy::expect_used, reason = "a test without its fleet must fail")]
    pub fn of_fleet() -> Self {
        let file = std::env::var("MARQUEE_TEST_FLEET")
            .expect("MARQUEE_TEST_FLEET is not set: run `cargo xtask test --backends`");
        let bytes = std::fs::read(&file).expect(&file);
        serde_json::from_slice(&bytes).expect(&file)
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub access_token: String,
}

impl Person {
    /// A request of this person.
    ///
    /// # Panics
    /// When the token is no header value.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        #[expect(clippy::expect_used, reason = "a token is base64url and dots")]
        let value = format!("Bearer {}", self.access_token)
            .parse()
            .expect("a token is a header value");
        request.metadata_mut().insert("authorization", value);
        request
    }
}

/// A running `marquee up` with a data folder of its own, on free ports. It is killed when dropped.
pub struct Marquee {
    /// What it said when it was ready.
    pub ready: Ready,
    child: Child,
    folder: TempDir,
    options: Vec<String>,
}

impl Marquee {
    /// Starts the binary that cargo built, with further options of `marquee up`.
    ///
    /// # Errors
    /// When it ends or is not ready in time; its log is in the error.
    pub async fn start(options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut options: Vec<String> = options.iter().map(ToString::to_string).collect();
        options.extend(["--listen", "127.0.0.1:0", "--rtmp-listen", "127.0.0.1:0"].map(ToOwned::to_owned));
        let (child, ready) = spawn(folder.path(), &options).await?;
        // From now on the same ports, so that clients find it again after a restart.
        let port = |url: &str| {
            url.split(['/', ':'])
                .filter_map(|part| part.parse::<u16>().ok())
                .next_back()
        };
        let (http, rtmp) = (
            port(&ready.grpc).context("no port")?,
            port(&ready.rtmp).context("no port")?,
        );
        options.truncate(options.len() - 4);
        options.extend(["--listen".to_owned(), format!("127.0.0.1:{http}")]);
        options.extend(["--rtmp-listen".to_owned(), format!("127.0.0.1:{rtmp}")]);
        Ok(Self {
            ready,
            child,
            folder,
            options,
        })
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// The process id.
    ///
    /// # Panics
    /// When the process was waited for.
    pub fn pid(&self) -> u32 {
        #[expect(clippy::expect_used, reason = "nothing waits for it but what replaces it")]
        self.child.id().expect("the process runs")
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts it again on the same data folder and ports.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> Result<()> {
        let (child, ready) = spawn(self.folder.path(), &self.options).await?;
        self.child = child;
        self.ready = ready;
        Ok(())
    }

    /// Asks it to stop as a service manager does, and returns its exit code.
    ///
    /// # Errors
    /// When it does not stop within 20 seconds.
    pub async fn terminate(&mut self) -> Result<Option<i32>> {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .context("it is gone")?;
        kill_process(pid, Signal::TERM)?;
        let status = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await??;
        Ok(status.code())
    }
}

/// The binary, beside the test's own.
fn binary() -> Result<PathBuf> {
    program("marquee")
}

/// A binary that cargo has built beside the test's own.
///
/// # Errors
/// When it is not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .ancestors()
        .nth(2)
        .context("a test is in target/<profile>/deps")?;
    let binary = target.join(name);
    if !binary.is_file() {
        bail!(
            "{} is not built: run `cargo build -p {name}`, or the tests by `cargo xtask test`",
            binary.display()
        );
    }
    Ok(binary)
}

/// The top of the checkout.
pub(crate) fn top() -> &'static Path {
    let mut path = Path::new(env!("CARGO_MANIFEST_DIR"));
    for _ in 0..2 {
        path = path.parent().unwrap_or(path);
    }
    path
}

async fn spawn(folder: &Path, options: &[String]) -> Result<(Child, Ready)> {
    let ready = folder.join("ready.json");
    let log_file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    // Else the file of an earlier start would be taken for this one's.
    let _ = std::fs::remove_file(&ready);
    let mut child = Command::new(binary()?)
        .arg("up")
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .args(options)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .kill_on_drop(true)
        .spawn()?;
    let started = wait_for("marquee to be ready", START, async || {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                return Some(Err(anyhow::anyhow!(
                    "marquee ended with {status}:\n{}",
                    log(folder)
                )));
            }
            Err(error) => return Some(Err(error.into())),
        }
        let bytes = std::fs::read(&ready).ok()?;
        Some(serde_json::from_slice::<Ready>(&bytes).map_err(Into::into))
    });
    let started = started.await.with_context(|| log(folder))??;
    Ok((child, started))
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
