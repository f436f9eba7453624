//! `cargo xtask fleet up`: six processes on real servers behind NGINX, one command, one Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use marquee_fleet::backends::Home;
use marquee_fleet::{Fleet, Gateway, Kind, Options};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::run::{cargo, check, target_dir, top};
use crate::{tools, web};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Fleets,
}

#[derive(clap::Subcommand)]
enum Fleets {
    /// Build and start everything, and stop it on Ctrl-C
    Up(Up),
}

#[derive(clap::Args)]
struct Up {
    /// Folder that everything is kept in
    #[arg(long, value_name = "FOLDER", default_value = "data/fleet")]
    data: PathBuf,
    /// Port of the pages, HLS, REST and grpc-web
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// Port of gRPC in clear text
    #[arg(long, default_value_t = 9090)]
    grpc_port: u16,
    /// Port of all of it over TLS
    #[arg(long, default_value_t = 8443)]
    https_port: u16,
    /// Port that encoders publish to
    #[arg(long, default_value_t = 1935)]
    rtmp_port: u16,
    /// The same over TLS
    #[arg(long, default_value_t = 1936)]
    rtmps_port: u16,
    /// Send traces to this OTLP receiver (gRPC), for example http://127.0.0.1:4317
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Make a demo creator, viewer, channel and event, and print how to publish
    #[arg(long)]
    demo: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Fleets::Up(up) => start(&up),
    }
}

/// Builds the services for real servers; where they are.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--package", "marquee"]);
    for kind in Kind::ALL {
        build.args(["--package", kind.program()]);
    }
    build.args(["--features", &features()]);
    if release {
        build.arg("--release");
    }
    check(&mut build)?;
    Ok(target_dir().join(if release { "release" } else { "debug" }))
}

/// Every service with its real stores.
pub(crate) fn features() -> String {
    let features: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| format!("{}/fleet", kind.program()))
        .collect();
    features.join(",")
}

/// What a fleet needs of the machine beside its servers.
pub(crate) const TOOLS: &[&tools::Tool] = &[
    &tools::CC,
    &tools::CXX,
    &tools::NODE,
    &tools::NPM,
    &tools::NGINX_STREAM,
    &tools::OPENSSL,
];

/// A fleet of what [`build`] has built, with the pages of this checkout.
pub(crate) fn options(home: Home, folder: PathBuf, gateway: Gateway) -> Result<Options> {
    Ok(Options {
        folder,
        programs: target_dir().join("debug"),
        nginx: top().join("deploy/nginx"),
        pages: web::build()?,
        home,
        gateway,
        otlp: None,
        calls_per_second: 1_000,
        settings: Vec::new(),
    })
}

fn start(up: &Up) -> Result<()> {
    tools::require(TOOLS)?;
    let programs = build(up.release)?;
    let folder = top().join(&up.data);
    let gateway = Gateway {
        http: up.http_port,
        grpc: up.grpc_port,
        https: up.https_port,
        rtmp: up.rtmp_port,
        rtmps: up.rtmps_port,
    };
    let mut options = options(Home::default()?, folder.clone(), gateway)?;
    options.programs.clone_from(&programs);
    options.otlp.clone_from(&up.otlp_endpoint);
    let interrupted = Arc::new(AtomicBool::new(false));
    // A terminal that is closed is a Ctrl-C too.
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let mut fleet = Fleet::start(options, &interrupted, &mut |line| println!("  {line}"))?;
    print(&mut fleet, up, &programs.join("marquee"), &folder)?;
    let watched = watch(&mut fleet, &interrupted);
    println!("\n  stopping");
    fleet.stop()?;
    watched
}

/// Until somebody stops it, or a part ends by itself.
fn watch(fleet: &mut Fleet, interrupted: &AtomicBool) -> Result<()> {
    while !interrupted.load(Ordering::Relaxed) {
        fleet.check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn print(fleet: &mut Fleet, up: &Up, marquee: &Path, folder: &Path) -> Result<()> {
    let gateway = fleet.gateway();
    let demo = if up.demo {
        Some(demo(marquee, gateway, folder)?)
    } else {
        None
    };
    println!("\n  The fleet is ready\n");
    for kind in Kind::ALL {
        let process = fleet.service(kind);
        println!(
            "  {:14} http://{}   pid {}   {}",
            kind.name(),
            process.address(),
            process.pid().unwrap_or_default(),
            process.log().display()
        );
    }
    println!("\n  watch     http://127.0.0.1:{}/", gateway.http);
    println!(
        "  api       http://127.0.0.1:{}/openapi.json  (REST, grpc-web)",
        gateway.http
    );
    println!("  grpc      127.0.0.1:{}  (clear text)", gateway.grpc);
    println!(
        "  tls       https://127.0.0.1:{}/  (everything; a certificate that signs itself)",
        gateway.https
    );
    println!(
        "  publish   rtmp://127.0.0.1:{}/live/<stream key>, rtmps on {}",
        gateway.rtmp, gateway.rtmps
    );
    if let Some(demo) = demo {
        let text = |name: &str| demo[name].as_str().unwrap_or_default().to_owned();
        println!(
            "\n  The demo: http://127.0.0.1:{}/watch/{}",
            gateway.http,
            text("event")
        );
        println!(
            "  marquee publish services/marquee/assets/demo.flv {} --loop",
            text("publish_url")
        );
    }
    println!("\n  Ctrl-C stops everything\n");
    Ok(())
}

fn demo(marquee: &Path, gateway: Gateway, folder: &Path) -> Result<serde_json::Value> {
    let output = Command::new(marquee)
        .arg("demo")
        .arg("--grpc")
        .arg(format!("http://127.0.0.1:{}", gateway.grpc))
        .arg("--http")
        .arg(format!("http://127.0.0.1:{}", gateway.http))
        .arg("--rtmp")
        .arg(format!("rtmp://127.0.0.1:{}", gateway.rtmp))
        .arg("--data")
        .arg(folder)
        .output()
        .with_context(|| marquee.display().to_string())?;
    if !output.status.success() {
        bail!(
            "cannot make the demo: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
