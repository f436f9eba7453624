//! `cargo xtask bench`: figures with their commands. docs/BENCHMARKS.md is written by hand from what this prints.

mod api;
mod build;
mod bus;
mod fleet;
mod folder;
mod grpc;
mod http;
mod live;
mod machine;
mod marquee;
mod nginx;
mod process;
mod publishers;
mod start;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum as _;

use crate::run::{cargo, check, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    what: What,
    /// Starts of each kind (start), runs of each bench (bus)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Alternations between Marquee and what it is compared with (live, grpc)
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a measured window of `live`
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=120))]
    window: u64,
    /// Numbers of publishers of `live`
    #[arg(long, value_delimiter = ',', default_values_t = [20, 60])]
    publishers: Vec<u32>,
    /// What of `fleet`
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = fleet::Part::value_variants().to_vec())]
    parts: Vec<fleet::Part>,
    /// Measure the dev build: to try the bench itself, its figures are of no worth
    #[arg(long)]
    dev: bool,
    /// Measure the binaries of this folder as they are, without building (all but build)
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// From exec to the ready file, and memory when idle
    Start,
    /// A clean build of `cargo xtask up`
    Build,
    /// CPU of the server per RTMP publisher, beside nginx-rtmp
    Live,
    /// Unary requests a second of GetEvent, beside a bare tonic hello-world
    Grpc,
    /// The embedded bus and the document store
    Bus,
    /// Six processes on real servers behind NGINX: delivery, fan-out, streams, writes, memory
    Fleet,
    /// One after the other
    All,
}

pub(crate) fn run(args: Args) -> Result<()> {
    for (what, bench) in BENCHES {
        if args.what != What::All && args.what != *what {
            continue;
        }
        machine::print_line()?;
        bench(&args)?;
    }
    Ok(())
}

type Bench = fn(&Args) -> Result<()>;

/// The one that fills the machine most comes last.
const BENCHES: &[(What, Bench)] = &[
    (What::Start, start::run),
    (What::Grpc, grpc::run),
    (What::Bus, bus::run),
    (What::Live, live::run),
    (What::Fleet, fleet::run),
    (What::Build, build::run),
];

impl Args {
    fn window(&self) -> Duration {
        Duration::from_secs(self.window)
    }

    /// Builds packages and returns the folder of their binaries.
    fn build(&self, options: &[&str]) -> Result<PathBuf> {
        if let Some(folder) = &self.binaries {
            return Ok(folder.clone());
        }
        let mut build = cargo();
        build.arg("build").args(options);
        if !self.dev {
            build.arg("--release");
        }
        check(&mut build)?;
        Ok(target_dir().join(if self.dev { "debug" } else { "release" }))
    }
}
