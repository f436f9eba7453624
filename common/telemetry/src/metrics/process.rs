//! `process_*`: what the operating system knows of the process, under the names that Prometheus' own clients use.

use std::fmt::Write as _;
use std::fs;

use super::catalogue::described;

/// Appends them; nothing where there is no `/proc`.
pub(super) fn render(text: &mut String) {
    let page = rustix::param::page_size() as f64;
    let Some(stat) = fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| Stat::parse(&stat))
    else {
        return;
    };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    line(text, "process_cpu_seconds_total", stat.cpu_ticks / ticks);
    line(text, "process_resident_memory_bytes", stat.resident_pages * page);
    line(text, "process_virtual_memory_bytes", stat.virtual_bytes);
    line(text, "process_threads", stat.threads);
    if let Some(booted) = fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| booted(&stat))
    {
        line(
            text,
            "process_start_time_seconds",
            booted + stat.start_ticks / ticks,
        );
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is for counting.
        line(
            text,
            "process_open_fds",
            descriptors.count().saturating_sub(1) as f64,
        );
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        line(text, "process_max_fds", limit as f64);
    }
}

fn line(text: &mut String, name: &str, value: f64) {
    if let Some(metric) = described(name) {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP {name} {}\n# TYPE {name} {}\n{name} {value}\n",
            metric.help, metric.kind
        );
    }
}

/// Seconds since 1970 when the machine was started (proc(5), /proc/stat).
fn booted(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Of proc(5), /proc/pid/stat.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The second field, the name, may hold anything, also blanks and parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        // `state` is field 3 and the first here.
        let field = |number: usize| fields.get(number - 3)?.trim().parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 700 30 16 17 18 19 20 21 5000 1000000 250 rest";
        assert_eq!(
            Stat::parse(stat),
            Some(Stat {
                cpu_ticks: 730.0,
                threads: 20.0,
                start_ticks: 5000.0,
                virtual_bytes: 1_000_000.0,
                resident_pages: 250.0,
            })
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_knows_its_memory_and_its_start() {
        let mut text = String::new();
        render(&mut text);
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let started = value("process_start_time_seconds");
        assert!(started > now - 86_400.0 && started < now + 60.0);
        assert!(text.contains("# TYPE process_cpu_seconds_total counter"));
    }
}
