//! `bench build`: what a newcomer waits for.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Args;
use super::folder::Folder;
use super::machine::Busy;
use super::process::ended_children;
use super::table::{Table, met};
use crate::run::{cargo, check};
use crate::web;

const TARGET_MINUTES: f64 = 5.0;
const SLOWEST: usize = 10;

/// A crate in what `cargo build --timings` writes.
#[derive(Deserialize)]
struct Unit {
    name: String,
    version: String,
    target: String,
    duration: f64,
}

pub(super) fn run(_: &Args) -> Result<()> {
    // A newcomer waits for the pages too, but npm's time is the network's.
    web::install()?;
    let target = Folder::new()?;
    let (began, used, busy) = (Instant::now(), ended_children()?, Busy::now()?);
    // The steps of `cargo xtask up --build-only`, with --timings.
    check(
        cargo()
            .env("CARGO_TARGET_DIR", target.path())
            .args(["build", "--quiet", "--package", "xtask"]),
    )?;
    web::build()?;
    check(cargo().env("CARGO_TARGET_DIR", target.path()).args([
        "build",
        "--quiet",
        "--package",
        "marquee",
        "--timings",
    ]))?;
    let (wall, cpu) = (
        began.elapsed().as_secs_f64() / 60.0,
        (ended_children()? - used).as_secs_f64() / 60.0,
    );
    let busy = Busy::now()?.since(busy);

    println!("command: cargo xtask bench build");
    let mut table = Table::new(["figure", "value", "target", "met"]);
    let row = |figure: &str, value: String| [figure.to_owned(), value, String::new(), String::new()];
    table.row([
        "clean build of `cargo xtask up`, wall minutes".to_owned(),
        format!("{wall:.1}"),
        format!("<= {TARGET_MINUTES} on 2 cores"),
        met(wall <= TARGET_MINUTES),
    ]);
    table.row(row("the same, CPU minutes", format!("{cpu:.1}")));
    table.row(row(
        "machine busy meanwhile, with all else that ran",
        format!("{:.0} %", busy * 100.0),
    ));
    table.print();
    slowest(&std::fs::read_to_string(
        target.join("cargo-timings/cargo-timing.html"),
    )?)
}

/// The crates that took longest, out of cargo's report.
fn slowest(report: &str) -> Result<()> {
    let data = report
        .split_once("const UNIT_DATA = ")
        .context("no figures in cargo's report")?
        .1;
    let mut units: Vec<Unit> = serde_json::Deserializer::from_str(data)
        .into_iter()
        .next()
        .context("no crates")??;
    units.sort_by(|one, other| other.duration.total_cmp(&one.duration));
    let mut table = Table::new(["slowest crates", "seconds"]);
    for unit in units.iter().take(SLOWEST) {
        let name = format!("{} {}{}", unit.name, unit.version, unit.target);
        table.row([name, format!("{:.1}", unit.duration)]);
    }
    table.print();
    println!("all of them: cargo build --package marquee --timings");
    Ok(())
}
