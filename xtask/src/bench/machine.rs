//! What it was measured on, and what else was going on.

use std::fs::{File, read_to_string};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::table::milliseconds;

const SYNCS: usize = 500;

/// CPU, cores, memory, kernel, load, and the revision that is measured.
pub(super) fn print_line() -> Result<()> {
    let cpu = field("/proc/cpuinfo", "model name")?;
    let cores = std::thread::available_parallelism()?;
    let memory: u64 = field("/proc/meminfo", "MemTotal")?
        .trim_end_matches(" kB")
        .parse()?;
    let kernel = read_to_string("/proc/sys/kernel/osrelease")?;
    let load = read_to_string("/proc/loadavg")?;
    let load: Vec<_> = load.split(' ').take(3).collect();
    println!(
        "machine: {cpu}, {cores} cores, {} GiB, Linux {}, load {}, {}, revision {}",
        memory >> 20,
        kernel.trim(),
        load.join(" "),
        said_by("date", &["-u", "+%F %H:%M UTC"]),
        said_by("git", &["describe", "--always", "--dirty"]),
    );
    Ok(())
}

fn field(file: &str, name: &str) -> Result<String> {
    let text = read_to_string(file)?;
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line
        .and_then(|line| line.split_once(':'))
        .with_context(|| format!("no {name} in {file}"))?
        .1;
    Ok(value.trim().to_owned())
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(crate::run::top())
        .output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// How long the disk under a folder takes to make 4 KiB more durable, in milliseconds, one value per write: no store that
/// keeps its word is faster.
pub(super) fn syncs(folder: &Path) -> Result<Vec<f64>> {
    let mut file = File::create(folder.join("syncs"))?;
    let mut delays = Vec::new();
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        delays.push(milliseconds(began.elapsed()));
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

/// The machine's time so far, in ticks of all cores together.
#[derive(Clone, Copy)]
pub(super) struct Busy {
    busy: u64,
    all: u64,
}

impl Busy {
    pub(super) fn now() -> Result<Self> {
        let text = read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        // user nice system idle iowait irq softirq steal (proc(5)); guest time is in user.
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|tick| tick.parse().ok())
            .collect();
        let all = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self {
            busy: all - idle,
            all,
        })
    }

    /// Share of the machine that was busy since `earlier`, 0 to 1: near 1, the figures say more about the queue for a core.
    pub(super) fn since(self, earlier: Self) -> f64 {
        (self.busy - earlier.busy) as f64 / (self.all - earlier.all).max(1) as f64
    }
}
