//! A process that is surely the one that was started: its pid together with its start time, held by a pidfd.

use std::os::fd::OwnedFd;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often a process is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// A running process, and the child handle when it is ours to reap.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// Clock ticks between the machine's start and the process's (proc(5), stat field 22).
    started: u64,
    handle: OwnedFd,
    child: Option<Child>,
}

impl Process {
    /// The process of that pid, if it was started at that time and runs.
    pub(crate) fn find(pid: u32, started: u64) -> Option<Process> {
        let process = Process::open(pid)?;
        (process.started == started).then_some(process)
    }

    /// When whatever runs under that pid was started.
    pub(crate) fn start_of(pid: u32) -> Option<u64> {
        Stat::read(pid).map(|stat| stat.started)
    }

    /// Whatever runs under that pid.
    fn open(pid: u32) -> Option<Process> {
        // The handle first: the start time that is read afterwards is then of the process that the handle holds, or of a
        // later one if that had ended meanwhile, and then its `started` is not the one that is looked for.
        let handle = pidfd_open(raw(pid)?, PidfdFlags::empty()).ok()?;
        let stat = Stat::read(pid)?;
        stat.running().then_some(Process {
            pid,
            started: stat.started,
            handle,
            child: None,
        })
    }

    /// A process that was just spawned. `None` when it has ended already.
    pub(crate) fn spawned(child: Child) -> Result<Process, Child> {
        match Process::open(child.id()) {
            Some(mut process) => {
                process.child = Some(child);
                Ok(process)
            }
            None => Err(child),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    pub(crate) fn running(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && stat.running())
    }

    /// Sends the signal to this process only.
    pub(crate) fn signal(&self, signal: Signal) {
        // It fails when the process has ended, which is then known to whoever looks.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Sends the signal to this process and then to everything below it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        let below = self.below();
        self.signal(signal);
        for process in below {
            process.signal(signal);
        }
    }

    /// SIGKILL for it and all below it; returns when they are gone.
    pub(crate) fn kill(&mut self) {
        let mut below = self.below();
        self.signal(Signal::KILL);
        for process in &below {
            process.signal(Signal::KILL);
        }
        // The kernel takes a killed process away in its own time, not ours: the limit is for a machine that hangs.
        let limit = Instant::now() + Duration::from_secs(20);
        self.wait(limit);
        for process in &mut below {
            process.wait(limit);
        }
    }

    /// Sends it the signal that it ends at, and waits until it and all below it have; kills what is left at the limit.
    pub(crate) fn stop(&mut self, signal: Signal, limit: Instant) {
        let mut below = self.below();
        self.signal(signal);
        if !self.wait(limit) {
            self.kill();
        }
        for process in &mut below {
            if !process.wait(limit) {
                process.kill();
            }
        }
    }

    /// Waits until it has ended. False when it still runs at the limit.
    pub(crate) fn wait(&mut self, limit: Instant) -> bool {
        loop {
            if !self.running() {
                self.reap();
                return true;
            }
            if Instant::now() >= limit {
                return false;
            }
            sleep(LOOK);
        }
    }

    /// How it ended, when it was ours and has ended.
    pub(crate) fn reap(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.to_string())
    }

    /// The memory that it and all below it hold, in bytes (pages that they share are counted once for each).
    pub(crate) fn resident(&self) -> u64 {
        let below = self.below();
        let pids = below.iter().map(|process| process.pid).chain([self.pid]);
        pids.map(resident).sum()
    }

    /// Everything that descends from it.
    fn below(&self) -> Vec<Process> {
        let mut pairs = Vec::new();
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        for entry in entries.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid
                && let Some(stat) = Stat::read(pid)
            {
                pairs.push((pid, stat.parent));
            }
        }
        descendants(self.pid, &pairs)
            .into_iter()
            .filter_map(Process::open)
            .collect()
    }
}

/// All that have `root` above them, given (pid, parent) pairs.
fn descendants(root: u32, pairs: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            pairs
                .iter()
                .filter(|(pid, above)| *above == parent && *pid != parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
        if next > pairs.len() {
            break;
        }
    }
    found.remove(0);
    found
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// What this crate reads of /proc/<pid>/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: u32,
    threads: u64,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold anything, blanks and parentheses too.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The parent was field 4; these are 20 and 22.
        let threads = fields.nth(15)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Stat {
            state,
            parent,
            threads,
            started,
        })
    }

    /// A zombie has ended; only nobody has asked yet how. But the first thread may be one while others still hold the
    /// process's sockets and locks.
    fn running(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const LINE: &str = "4242 (java (x) y) S 17 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 1000 200 18446744073709551615";

    #[test]
    fn a_stat_line_is_read_past_the_name() {
        let expected = Stat {
            state: 'S',
            parent: 17,
            threads: 1,
            started: 998_877,
        };
        assert_eq!(Stat::parse(LINE), Some(expected));
        assert_eq!(Stat::parse("4242 (java"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_zombie_has_ended_when_its_last_thread_has() {
        let zombie = |threads: &str| {
            let line =
                LINE.replacen(") S ", ") Z ", 1)
                    .replacen(" 20 0 1 0 ", &format!(" 20 0 {threads} 0 "), 1);
            Stat::parse(&line).unwrap()
        };
        assert!(zombie("7").running());
        assert!(!zombie("1").running());
    }

    #[test]
    fn descendants_are_children_and_theirs() {
        let pairs = [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1), (13, 10)];
        assert_eq!(descendants(10, &pairs), [11, 13, 12]);
        assert_eq!(descendants(20, &pairs), [0; 0]);
    }

    fn sleeper() -> Process {
        let child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Process::spawned(child).unwrap()
    }

    #[test]
    fn a_process_is_found_by_pid_and_start_time() {
        let mut process = sleeper();
        assert!(Process::find(process.pid(), process.started()).is_some());
        process.kill();
        assert!(!process.running());
        assert!(Process::find(process.pid(), process.started()).is_none());
    }

    #[test]
    fn a_process_of_another_start_time_is_not_ours() {
        let mut process = sleeper();
        assert!(Process::find(process.pid(), process.started() + 1).is_none());
        assert!(process.running(), "looking for it did not harm it");
        process.kill();
    }

    #[test]
    fn a_kill_takes_what_is_below_too() {
        let child = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let below = Process::open(line.trim().parse().unwrap()).unwrap();
        let mut process = Process::spawned(child).unwrap();
        process.kill();
        assert!(!process.running() && !below.running());
    }
}
