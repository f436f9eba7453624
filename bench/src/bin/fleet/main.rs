//! Loads a running fleet and measures it from outside; `cargo xtask bench fleet` starts the fleet and this.
//!
//! `fleet PLACES.json WHAT...`: prints tables, each one JSON object on a line, and what it does on standard error.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to standard output, what is being done to standard error"
)]

mod api;
mod delivery;
mod fan_out;
mod followers;
mod live;
mod memory;
mod places;
mod publisher;
mod report;
mod streams;
mod writes;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use memory::Memory;
use places::Places;

/// A measurement that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(420);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [places, what @ ..] = &*arguments else {
        bail!("arguments: the file that says where everything is, then what to measure")
    };
    let places = Places::read(places)?;
    let mut memory = Memory::idle(&places).await?;
    for what in what {
        settle(&places).await?;
        eprintln!("measuring {what}");
        let sampling = memory.sample(what);
        let measured = tokio::time::timeout(LIMIT, measure(what, &places)).await;
        memory.sampled(sampling.end().await?);
        for table in measured.with_context(|| format!("{what} takes longer than {LIMIT:?}"))?? {
            table.print()?;
        }
    }
    memory.table().print()
}

/// Waits until the notifications service is done with what the measurement before has left to it.
async fn settle(places: &Places) -> Result<()> {
    let database = places.database("notifications").await?;
    let fanouts = database.collection::<mongodb::bson::Document>("fanouts");
    let began = Instant::now();
    while fanouts.estimated_document_count().await? > 0 {
        ensure!(began.elapsed() < LIMIT, "fan-outs are left after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!(
        "the fan-outs of before took {:.1} s more",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn measure(what: &str, places: &Places) -> Result<Vec<report::Table>> {
    match what {
        "delivery" => delivery::measure(places).await,
        "live" => live::measure(places).await,
        "writes" => writes::measure(places).await,
        "streams" => streams::measure(places).await,
        "fan-out" => fan_out::measure(places).await,
        // The table at the end is of it, too.
        "memory" => Ok(Vec::new()),
        other => bail!("nothing is called {other}"),
    }
}
