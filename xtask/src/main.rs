//! `cargo xtask`: everything one does with the project, from nothing but Rust, a C compiler and Node.
#![allow(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod backends;
mod bench;
mod chaos;
mod docs;
mod fleet;
mod lint;
mod run;
mod test;
mod tools;
mod up;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, tests and measures Marquee")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the pages and the server, and run all of Marquee in one process
    Up(up::Args),
    /// Run the fleet: six processes on real servers, behind NGINX
    Fleet(fleet::Args),
    /// Get, start and stop the real servers: Kafka, MongoDB, PostgreSQL, Elasticsearch
    Backends(backends::Args),
    /// Run everything that needs no server: units, suites, browser pages, the journey with stock ffmpeg and Chromium; what needs
    /// real ones with --backends
    Test(test::Args),
    /// Kill the parts of a fleet under load, and check that nothing is lost or done twice
    Chaos(chaos::Args),
    /// Formatting, clippy, proto lint and breaking check, house rules
    Lint(lint::Args),
    /// Write the pages of docs/ that are made from the code
    Docs,
    /// Measure, and print what docs/BENCHMARKS.md holds
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Fleet(args) => fleet::run(args),
        Command::Backends(args) => backends::run(args),
        Command::Test(args) => test::run(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Docs => docs::run(),
        Command::Bench(args) => bench::run(args),
    }
}
