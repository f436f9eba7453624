//! `bench start`: cold start of `marquee up`, and its memory when nothing happens.

use std::time::Duration;

use anyhow::Result;

use super::Args;
use super::api::Api;
use super::folder::Folder;
use super::marquee::Marquee;
use super::table::{Table, largest, median, met, mib, milliseconds};

const IDLE: Duration = Duration::from_secs(10);
const TARGET_START: f64 = 1_000.0;
const TARGET_MEMORY: f64 = 100.0;
/// What is in the folder that is not empty.
const CHANNELS: u32 = 20;
const EVENTS: u32 = 25;

#[derive(Default)]
struct Figures {
    started: Vec<f64>,
    resident: Vec<f64>,
    peak: Vec<f64>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let binaries = args.build(&["--package", "marquee"])?;
    let (mut empty, mut existing) = (Figures::default(), Figures::default());
    let used = Folder::new()?;
    fill(&Marquee::start(&binaries, used.path())?)?;
    for _ in 0..args.runs {
        let new = Folder::new()?;
        empty.measure(Marquee::start(&binaries, new.path())?)?;
        existing.measure(Marquee::start(&binaries, used.path())?)?;
    }
    println!("command: cargo xtask bench start --runs {}", args.runs);
    let mut table = Table::new([
        "data folder",
        "figure",
        "median",
        "worst",
        "target",
        "met (worst)",
    ]);
    let kept = format!("{CHANNELS} channels, {} events", CHANNELS * EVENTS);
    for (folder, figures) in [("empty", &empty), (&*kept, &existing)] {
        figures.rows(&mut table, folder);
    }
    table.print();
    Ok(())
}

fn fill(marquee: &Marquee) -> Result<()> {
    let api = Api::sign_up(&marquee.ready.rest)?;
    for number in 0..CHANNELS {
        let channel = api.channel(number)?;
        for event in 0..EVENTS {
            api.event(
                &channel,
                &format!("Owls at night, part {event}"),
                &"A camera in a barn. ".repeat(10),
            )?;
        }
    }
    Ok(())
}

impl Figures {
    fn measure(&mut self, marquee: Marquee) -> Result<()> {
        std::thread::sleep(IDLE);
        let usage = marquee.server.usage()?;
        self.started.push(milliseconds(marquee.started_in));
        self.resident.push(mib(usage.resident as f64));
        self.peak.push(mib(usage.peak as f64));
        Ok(())
    }

    fn rows(&self, table: &mut Table, folder: &str) {
        let rows = [
            ("exec to ready file, ms", &self.started, Some(TARGET_START)),
            ("VmRSS after 10 s idle, MiB", &self.resident, Some(TARGET_MEMORY)),
            ("VmHWM after 10 s idle, MiB", &self.peak, None),
        ];
        for (figure, values, target) in rows {
            table.row([
                folder.to_owned(),
                figure.to_owned(),
                format!("{:.0}", median(values)),
                format!("{:.0}", largest(values)),
                target.map(|target| format!("< {target:.0}")).unwrap_or_default(),
                target
                    .map(|target| met(largest(values) < target))
                    .unwrap_or_default(),
            ]);
        }
    }
}
