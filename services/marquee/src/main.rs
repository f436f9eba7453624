//! Marquee in one binary: `marquee up` runs all six services in one process, `marquee publish` is an encoder.

mod publish;
mod reference;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "marquee",
    version,
    about = "Self-hosted live streaming: RTMP in, HLS out, and all that belongs to it"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    telemetry: marquee_telemetry::TelemetryArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process, with everything embedded
    Up(Box<up::Args>),
    /// Publish an FLV file over RTMP, as an encoder would
    Publish(publish::Args),
    /// Make a demo creator, viewer, channel and event in an installation that runs, and print them as JSON
    Demo(up::demo::Place),
    /// Print a page of the documentation that is made from the code
    #[command(hide = true)]
    Reference(reference::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = marquee_config::load();
    let telemetry = marquee_telemetry::init("marquee", &cli.telemetry);
    let result = match cli.command {
        Command::Up(args) => up::run(*args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Demo(place) => up::demo::run(&place).await,
        Command::Reference(args) => reference::run(&args),
    };
    telemetry.shutdown().await;
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
