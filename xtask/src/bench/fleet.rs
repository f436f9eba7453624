//! `bench fleet`: six processes on real servers behind NGINX under load; each figure is measured by the `fleet` program of
//! marquee-bench, from outside.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};
use marquee_fleet::backends::Home;
use marquee_fleet::{Fleet, Gateway, Kind, Options};
use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Args;
use super::folder::Folder;
use super::machine::{self, Busy};
use super::table::Table;
use crate::run::{cargo, check, top};
use crate::{fleet, tools};

/// The public's limit is not what is measured.
const CALLS_PER_SECOND: u32 = 20_000;

/// What is measured of the fleet.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// From RPC acknowledged to the event in another service, at 200 events/s
    Delivery,
    /// From the first keyframe to the follower's notification and to the search index
    Live,
    /// CreateEvent/s beside bare inserts into MongoDB
    Writes,
    /// 10,000 open inboxes on one process
    Streams,
    /// One event to 100,000 inboxes
    FanOut,
    /// Resident memory when idle alone; the others end with it, too
    Memory,
}

/// A table as the program prints it.
#[derive(Deserialize)]
struct Printed {
    title: String,
    rows: Vec<Vec<String>>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    tools::require(&[&tools::NGINX_STREAM, &tools::OPENSSL])?;
    let binaries = build(args)?;
    let parts: Vec<String> = args
        .parts
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value)
        .map(|part| part.get_name().to_owned())
        .collect();
    let folder = Folder::new()?;
    let syncs = machine::syncs(folder.path())?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let mut running = Fleet::start(
        Options {
            folder: folder.join("fleet"),
            programs: binaries.clone(),
            nginx: top().join("deploy/nginx"),
            // Nobody looks at them here.
            pages: folder.path().to_owned(),
            home: Home::default()?,
            gateway: Gateway::on_free_ports()?,
            otlp: None,
            calls_per_second: CALLS_PER_SECOND,
            settings: Vec::new(),
        },
        &interrupted,
        &mut |line| println!("  {line}"),
    )?;
    let places = folder.join("places.json");
    std::fs::write(&places, places_of(&mut running)?)?;
    println!("command: cargo xtask bench fleet --parts {}", parts.join(","));
    let at = |part: usize| syncs.get(syncs.len() * part / 100).copied().unwrap_or(f64::NAN);
    println!(
        "this disk takes {:.2} ms (p50), {:.2} ms (p99) for a durable write of 4 KiB",
        at(50),
        at(99)
    );
    let measured = measure(&binaries.join("fleet"), &places, &parts);
    if measured.is_err() {
        for kind in Kind::ALL {
            let log = running.service(kind).last_lines();
            eprintln!("the end of the log of {}:\n{log}", kind.name());
        }
    }
    running.stop()?;
    measured
}

fn build(args: &Args) -> Result<PathBuf> {
    if let Some(folder) = &args.binaries {
        return Ok(folder.clone());
    }
    let binaries = fleet::build(!args.dev)?;
    let mut build = cargo();
    build.args(["build", "--package", "marquee-bench", "--features", "fleet"]);
    if !args.dev {
        build.arg("--release");
    }
    check(&mut build)?;
    Ok(binaries)
}

/// What the program is told, as JSON.
fn places_of(fleet: &mut Fleet) -> Result<String> {
    let places = fleet.places();
    let mut pids = serde_json::Map::new();
    for kind in Kind::ALL {
        pids.insert(kind.name().to_owned(), fleet.service(kind).pid().into());
    }
    let mut setting = |kind: Kind, name: &str| {
        let settings = fleet.service(kind).settings();
        let found = settings.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.clone())
            .with_context(|| format!("{} has no {name}", kind.name()))
    };
    let told = serde_json::json!({
        "grpc": places["grpc"],
        "rtmp": places["rtmp"],
        "notifications": places["services"][Kind::Notifications.name()],
        "kafka": setting(Kind::Events, "MARQUEE_KAFKA_BROKERS")?,
        "mongodb": setting(Kind::Events, "MARQUEE_MONGODB_URI")?,
        "postgres": setting(Kind::Subscriptions, "MARQUEE_POSTGRES_URL")?,
        "clip": top().join("services/marquee/assets/demo.flv"),
        "pids": pids,
    });
    Ok(told.to_string())
}

/// Prints each table as soon as it is there, with how busy the machine was.
fn measure(program: &Path, places: &Path, parts: &[String]) -> Result<()> {
    let mut child = Command::new(program)
        .arg(places)
        .args(parts)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let output = child.stdout.take().context("no output")?;
    let mut busy = Busy::now()?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        let printed: Printed = serde_json::from_str(&line).with_context(|| line.clone())?;
        let now = Busy::now()?;
        println!(
            "\n{} (machine busy: {:.0} %)",
            printed.title,
            now.since(busy) * 100.0
        );
        busy = now;
        Table::of(printed.rows).print();
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the load ended with {status}");
    }
    Ok(())
}
