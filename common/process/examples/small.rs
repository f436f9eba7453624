//! The smallest service of a fleet, for the tests of what all binaries share: its store is whatever listens where MongoDB
//! should, and its only request is answered when a file appears.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::MongoArgs;
use marquee_process::{Bound, Dependency, ProcessArgs, Program, SubscriptionsPeer};
use marquee_server::{Face, Platform, Service};
use tokio::net::TcpStream;

/// Waits for a file
#[derive(Debug, Parser)]
#[command(name = "marquee-small", version)]
struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: MongoArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
    /// Where GET /held makes the file "entered", and waits for the file "release"
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
}

impl Program for Args {
    const NAME: &'static str = "small";
    type Error = std::io::Error;

    fn process(&self) -> &ProcessArgs {
        &self.process
    }

    fn peers(&self) -> PeerArgs {
        PeerArgs {
            subscriptions_url: Some(self.subscriptions.subscriptions_url.clone()),
            ..PeerArgs::default()
        }
    }

    fn stores(&self) -> Vec<Dependency> {
        vec![Dependency::new("mongodb", self.store.hosts())]
    }

    fn check(&self) -> Result<(), String> {
        if self.folder.is_dir() {
            return Ok(());
        }
        Err(format!("folder: {} is no folder", self.folder.display()))
    }

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, std::io::Error> {
        for host in self.store.hosts() {
            TcpStream::connect(host).await?;
        }
        let routes = Router::new()
            .route("/held", get(held))
            .with_state(self.folder.clone());
        Ok(Service::new(
            Face::new(Self::NAME).http(routes),
            platform.shutdown,
        ))
    }
}

async fn held(State(folder): State<PathBuf>) -> &'static str {
    // The test sees what is wrong with it.
    let _ = std::fs::write(folder.join("entered"), b"");
    while !folder.join("release").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    "released"
}

fn main() -> ExitCode {
    marquee_process::main::<Args>()
}
