//! A server that is measured: started, read from /proc, stopped with all of its children.

use std::collections::HashMap;
use std::fs::{File, read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// USER_HZ: what /proc counts in on every architecture that Linux has today.
const TICKS_PER_SECOND: u64 = 100;

/// A process of ours. It is stopped when dropped.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it with all that it says in `log`.
    pub(super) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails with its log when it has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "it ended ({status}):\n{}",
                read_to_string(&self.log).unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Waits for something of it, checking every millisecond.
    pub(super) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.check_alive()?;
            if began.elapsed() > limit {
                bail!(
                    "no {what} within {limit:?}:\n{}",
                    read_to_string(&self.log).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What it and its children have used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for pid in family(self.pid())? {
            usage.add(pid)?;
        }
        Ok(usage)
    }
}

impl Drop for Running {
    /// SIGTERM, so that a master stops its workers, then SIGKILL for what is left.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let family = family(self.pid()).unwrap_or_default();
        signal("-TERM", &[self.pid()]);
        let began = Instant::now();
        while began.elapsed() < STOP {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        signal("-KILL", &family);
        let _ = self.child.wait();
    }
}

fn signal(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string);
    let _ = Command::new("kill")
        .arg(signal)
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

/// What processes have used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// User and system time.
    pub(super) cpu: Duration,
    /// VmRSS, bytes.
    pub(super) resident: u64,
    /// VmHWM, bytes.
    pub(super) peak: u64,
    /// Handed to write(2), bytes; on Linux sockets count here too.
    pub(super) written: u64,
}

impl Usage {
    fn add(&mut self, pid: u32) -> Result<()> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let stat = stat(&folder)?;
        let ticks = |field: usize| {
            stat.get(field)
                .and_then(|ticks| ticks.parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.cpu += Duration::from_millis((ticks(UTIME) + ticks(STIME)) * 1_000 / TICKS_PER_SECOND);
        let status = read_to_string(folder.join("status"))?;
        self.resident += number(&status, "VmRSS:") << 10;
        self.peak += number(&status, "VmHWM:") << 10;
        self.written += number(&read_to_string(folder.join("io")).unwrap_or_default(), "wchar:");
        Ok(())
    }
}

/// User and system time of all children of this process that have ended, and of theirs.
pub(super) fn ended_children() -> Result<Duration> {
    let stat = stat(Path::new("/proc/self"))?;
    let ticks = |field: usize| {
        stat.get(field)
            .and_then(|ticks| ticks.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(Duration::from_millis(
        (ticks(CUTIME) + ticks(CSTIME)) * 1_000 / TICKS_PER_SECOND,
    ))
}

// Fields of /proc/PID/stat (proc(5)), counted from the one after the name.
const PPID: usize = 1;
const UTIME: usize = 11;
const STIME: usize = 12;
const CUTIME: usize = 13;
const CSTIME: usize = 14;

fn stat(folder: &Path) -> Result<Vec<String>> {
    let text = read_to_string(folder.join("stat"))?;
    // The name is in brackets and may hold anything.
    let fields = text.rsplit_once(')').context("no process name in stat")?.1;
    Ok(fields.split_whitespace().map(ToOwned::to_owned).collect())
}

fn number(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// The process and all that descend from it.
fn family(pid: u32) -> Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = stat(&entry.path()) else { continue };
        if let Some(parent) = stat.get(PPID).and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(member) = family.get(next) {
        family.extend(children.remove(member).unwrap_or_default());
        next += 1;
    }
    Ok(family)
}
