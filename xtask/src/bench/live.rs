//! `bench live`: user and system time of the server alone, per RTMP publisher, beside nginx-rtmp in alternating runs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Args;
use super::api::Api;
use super::folder::Folder;
use super::machine::Busy;
use super::marquee::Marquee;
use super::nginx::{self, Nginx};
use super::process::{Running, Usage};
use super::publishers::{self, MBIT_PER_SECOND, Publishers};
use super::table::{Table, median, met, mib};
use crate::tools;

/// Until all publishers are on the air.
const ON_AIR: Duration = Duration::from_secs(30);
/// From then on until the window begins: three segments.
const WARM_UP: Duration = Duration::from_secs(6);
/// A server that stored less than this part of what was sent has not done its work.
const LEAST_STORED: f64 = 0.9;
/// What is stored at once, so that a window may miss as much.
const SEGMENT: Duration = Duration::from_secs(2);

/// One window.
struct Run {
    /// Share of a core per stream, in percent.
    cpu: f64,
    /// Resident memory that the streams added, MiB per stream.
    memory: f64,
    /// Written per stream, Mbit/s.
    written: f64,
    /// Share of the machine that was busy, percent.
    busy: f64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    tools::require(&[&tools::FFMPEG])?;
    nginx::require()?;
    let binaries = args.build(&["--package", "marquee"])?;
    let clip = publishers::clip()?;
    let counts: Vec<String> = args.publishers.iter().map(ToString::to_string).collect();
    println!(
        "command: cargo xtask bench live --publishers {} --rounds {} --window {}",
        counts.join(","),
        args.rounds,
        args.window
    );
    let mut each = Table::new([
        "streams",
        "server",
        "run",
        "CPU/stream, % of a core",
        "RSS/stream, MiB",
        "written, Mbit/s",
        "machine busy",
    ]);
    let mut summary = Table::new([
        "streams",
        "marquee (median)",
        "nginx-rtmp (median)",
        "ratio",
        "target",
        "met",
        "RSS/stream, MiB",
    ]);
    for &count in &args.publishers {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=args.rounds {
            for (name, runs) in [("marquee", &mut ours), ("nginx-rtmp", &mut theirs)] {
                let run = if name == "marquee" {
                    with_marquee(args, &binaries, &clip, count)
                } else {
                    with_nginx(args, &clip, count)
                };
                let run = run.with_context(|| format!("{name}, {count} publishers, run {round}"))?;
                println!(
                    "{count} publishers, {name}, run {round}: {:.3} % of a core each",
                    run.cpu
                );
                each.row(run.cells(count, name, round));
                runs.push(run);
            }
        }
        let middle =
            |runs: &[Run], figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
        let (mine, other) = (middle(&ours, |run| run.cpu), middle(&theirs, |run| run.cpu));
        summary.row([
            count.to_string(),
            format!("{mine:.3} %"),
            format!("{other:.3} %"),
            format!("{:.2}", mine / other),
            "<= 1.00".to_owned(),
            met(mine <= other),
            format!(
                "{:.1} / {:.1}",
                middle(&ours, |run| run.memory),
                middle(&theirs, |run| run.memory)
            ),
        ]);
    }
    each.print();
    summary.print();
    Ok(())
}

impl Run {
    fn cells(&self, count: u32, name: &str, round: u32) -> [String; 7] {
        [
            count.to_string(),
            name.to_owned(),
            round.to_string(),
            format!("{:.3}", self.cpu),
            format!("{:.2}", self.memory),
            format!("{:.2}", self.written),
            format!("{:.0} %", self.busy),
        ]
    }
}

fn with_marquee(args: &Args, binaries: &Path, clip: &Path, count: u32) -> Result<Run> {
    let folder = Folder::new()?;
    let mut marquee = Marquee::start(binaries, folder.path())?;
    let api = Api::sign_up(&marquee.ready.rest)?;
    let mut urls = Vec::new();
    for number in 0..count {
        let key = api.stream_key(&api.channel(number)?)?;
        urls.push(format!("{}/{key}", marquee.ready.rtmp));
    }
    measure(args.window(), clip, &urls, &mut marquee.server, || {
        api.live_streams()
    })
}

fn with_nginx(args: &Args, clip: &Path, count: u32) -> Result<Run> {
    let folder = Folder::new()?;
    let Nginx {
        mut server,
        rtmp,
        hls,
    } = Nginx::start(folder.path())?;
    let urls: Vec<String> = (0..count).map(|number| format!("{rtmp}/bench{number}")).collect();
    measure(args.window(), clip, &urls, &mut server, || nginx::playlists(&hls))
}

/// Publishes to all addresses, waits until `on_air` says that all are there, and takes a window.
fn measure(
    window: Duration,
    clip: &Path,
    urls: &[String],
    server: &mut Running,
    on_air: impl Fn() -> Result<usize>,
) -> Result<Run> {
    let idle = server.usage()?;
    let mut publishers = Publishers::start(clip, urls, ON_AIR + WARM_UP + 2 * window)?;
    let began = Instant::now();
    while on_air()? < urls.len() {
        publishers.check_alive()?;
        if began.elapsed() > ON_AIR {
            bail!(
                "{} of {} streams are on the air after {ON_AIR:?}",
                on_air()?,
                urls.len()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(WARM_UP);
    let (before, began, busy) = (server.usage()?, Instant::now(), Busy::now()?);
    std::thread::sleep(window);
    let (after, seconds, busy) = (
        server.usage()?,
        began.elapsed().as_secs_f64(),
        Busy::now()?.since(busy),
    );
    publishers.check_alive()?;
    server.check_alive()?;
    if on_air()? < urls.len() {
        bail!(
            "{} of {} streams are on the air at the end",
            on_air()?,
            urls.len()
        );
    }
    let run = Run::of(&idle, &before, &after, seconds, urls.len() as f64, busy);
    let least = LEAST_STORED * MBIT_PER_SECOND * (window.saturating_sub(SEGMENT)).div_duration_f64(window);
    if run.written < least {
        bail!("only {:.2} Mbit/s of a stream were stored", run.written);
    }
    Ok(run)
}

impl Run {
    fn of(idle: &Usage, before: &Usage, after: &Usage, seconds: f64, streams: f64, busy: f64) -> Self {
        Self {
            cpu: (after.cpu - before.cpu).as_secs_f64() / seconds / streams * 100.0,
            memory: mib(after.resident as f64 - idle.resident as f64) / streams,
            written: (after.written - before.written) as f64 * 8.0 / 1e6 / seconds / streams,
            busy: busy * 100.0,
        }
    }
}
