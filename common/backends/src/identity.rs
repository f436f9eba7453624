use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::process::Process;
use crate::record::boot;

/// A process as it can be told from every other, also after the program that started it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id, which another may have by now.
    pub pid: u32,
    /// When it was started, in clock ticks since the machine's start.
    pub started: u64,
    /// Which start of the machine that was.
    pub boot: String,
}

impl Identity {
    /// Of the process that runs under that id. `None` when none does.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            started: Process::start_of(pid)?,
            boot: boot(),
        })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.found().is_some()
    }

    /// Asks it to stop, and kills it and all below it when it has not within the limit. Returns when they are gone.
    pub fn end(&self, limit: Duration) {
        if let Some(mut process) = self.found() {
            // One that is frozen would not hear of it.
            process.signal_all(Signal::CONT);
            process.stop(Signal::TERM, Instant::now() + limit);
        }
    }

    fn found(&self) -> Option<Process> {
        if self.boot != boot() {
            return None;
        }
        Process::find(self.pid, self.started)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_ended_by_what_was_written_down_of_it() {
        // One that does not care to be asked.
        let script = "trap '' TERM; echo; while :; do sleep 1; done";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.runs());
        let other = Identity {
            started: identity.started + 1,
            ..identity.clone()
        };
        other.end(Duration::ZERO);
        assert!(identity.runs(), "another process of the same id is left alone");
        identity.end(Duration::from_millis(50));
        assert!(!identity.runs());
        child.wait().unwrap();
    }
}
