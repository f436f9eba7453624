//! `bench bus`: the embedded bus and the document store, by the benches that live beside them.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::Args;
use super::folder::Folder;
use super::machine;
use super::table::{Table, largest, median, met, smallest, thousands};

/// Crates and their examples.
const BENCHES: [(&str, &str); 2] = [("marquee-bus", "bench"), ("marquee-documents", "bench_documents")];
/// docs/ARCHITECTURE.md, section 4; all but the delay are "at least".
const TARGETS: [(&str, f64); 3] = [
    ("bus.append", 300_000.0),
    ("bus.read", 1_000_000.0),
    ("bus.publish_to_deliver.p99", 5.0),
];

#[derive(Deserialize)]
struct Line {
    metric: String,
    value: f64,
    unit: String,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let folder = Folder::new()?;
    let syncs = machine::syncs(folder.path())?;
    let at = |part: usize| syncs.get(syncs.len() * part / 100).copied().unwrap_or(f64::NAN);
    // In the order in which they are printed.
    let mut order = Vec::new();
    let mut figures: BTreeMap<String, (String, Vec<f64>)> = BTreeMap::new();
    for (package, example) in BENCHES {
        let examples = args
            .build(&["--package", package, "--example", example])?
            .join("examples");
        for _ in 0..args.runs {
            let folder = Folder::new()?;
            let output = Command::new(examples.join(example)).arg(folder.path()).output()?;
            if !output.status.success() {
                bail!(
                    "the bench of {package} failed:\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            for line in String::from_utf8(output.stdout)?.lines() {
                let line: Line =
                    serde_json::from_str(line).with_context(|| format!("{package} says {line}"))?;
                if !figures.contains_key(&line.metric) {
                    order.push(line.metric.clone());
                }
                figures
                    .entry(line.metric)
                    .or_insert_with(|| (line.unit, Vec::new()))
                    .1
                    .push(line.value);
            }
        }
    }
    println!("command: cargo xtask bench bus --runs {}", args.runs);
    println!(
        "this disk takes {:.2} ms (p50), {:.2} ms (p99) for a durable write of 4 KiB",
        at(50),
        at(99)
    );
    let mut table = Table::new(["figure", "unit", "median", "worst", "target", "met (median)"]);
    for metric in &order {
        if let Some((unit, values)) = figures.get(metric) {
            table.row(row(metric, unit, values));
        }
    }
    table.print();
    Ok(())
}

fn row(metric: &str, unit: &str, values: &[f64]) -> [String; 6] {
    let delay = unit == "ms";
    let figure = |value: f64| {
        if delay {
            format!("{value:.2}")
        } else {
            thousands(value)
        }
    };
    let target = TARGETS
        .iter()
        .find(|(name, _)| *name == metric)
        .map(|(_, target)| *target);
    let middle = median(values);
    let worst = if delay { largest(values) } else { smallest(values) };
    [
        metric.to_owned(),
        unit.to_owned(),
        figure(middle),
        figure(worst),
        target
            .map(|target| format!("{} {}", if delay { "<" } else { ">=" }, thousands(target)))
            .unwrap_or_default(),
        target
            .map(|target| met(if delay { middle < target } else { middle >= target }))
            .unwrap_or_default(),
    ]
}
