//! `bench grpc`: GetEvent of the whole product beside a bare tonic server, by the same client.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::Args;
use super::api::Api;
use super::folder::Folder;
use super::marquee::Marquee;
use super::process::Running;
use super::table::{Table, median, met, thousands};

const TARGET: f64 = 0.70;
const START: Duration = Duration::from_secs(10);
const TITLE: &str = "Owls at night";

/// What the client prints.
#[derive(Deserialize)]
struct Load {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Calls with those of the warm-up.
    calls: f64,
    /// Of an answer.
    bytes: u64,
}

struct Run {
    load: Load,
    /// User and system time of the server per call, microseconds.
    cpu: f64,
}

/// A server and what is asked of it.
struct Side<'a> {
    name: &'static str,
    server: &'a Running,
    address: &'a str,
    method: &'static str,
    argument: &'a str,
    runs: Vec<Run>,
}

const GET_EVENT: &str = "/marquee.events.v1.EventService/GetEvent";

pub(super) fn run(args: &Args) -> Result<()> {
    let binaries = args.build(&["--package", "marquee", "--package", "marquee-bench"])?;
    let (data, bare) = (Folder::new()?, Folder::new()?);
    let marquee = Marquee::start(&binaries, data.path())?;
    let api = Api::sign_up(&marquee.ready.rest)?;
    let event = api.event(&api.channel(1)?, TITLE, &"A camera in a barn. ".repeat(10))?;
    let (hello, hello_address) = hello(&binaries, &bare)?;

    let side = |name, server, address, method, argument| Side {
        name,
        server,
        address,
        method,
        argument,
        runs: Vec::new(),
    };
    let mut sides = [
        side(
            "marquee, GetEvent",
            &marquee.server,
            &marquee.ready.grpc,
            GET_EVENT,
            &*event,
        ),
        side(
            "bare tonic, hello-world",
            &hello,
            &hello_address,
            "/helloworld.Greeter/SayHello",
            "world",
        ),
        side(
            "bare tonic, GetEvent of the same size",
            &hello,
            &hello_address,
            GET_EVENT,
            &*event,
        ),
    ];
    for _ in 0..args.rounds {
        for side in &mut sides {
            side.measure(&binaries)?;
        }
    }
    println!("command: cargo xtask bench grpc --rounds {}", args.rounds);
    print(&sides);
    Ok(())
}

fn hello(binaries: &Path, folder: &Folder) -> Result<(Running, String)> {
    let file = folder.join("address");
    let mut command = Command::new(binaries.join("hello"));
    let mut server = Running::start(command.arg(&file).arg(TITLE), folder.join("hello.log"))?;
    let address = server.wait_for("address", START, || {
        Ok(std::fs::read_to_string(&file)
            .ok()
            .filter(|address| address.ends_with('\n')))
    })?;
    Ok((server, format!("http://{}", address.trim())))
}

impl Side<'_> {
    fn measure(&mut self, binaries: &Path) -> Result<()> {
        let before = self.server.usage()?;
        let output = Command::new(binaries.join("load"))
            .args([self.address, self.method, self.argument])
            .output()?;
        let after = self.server.usage()?;
        if !output.status.success() {
            bail!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        let load: Load =
            serde_json::from_slice(&output.stdout).context("the client's figures are no JSON")?;
        let cpu = (after.cpu - before.cpu).as_secs_f64() * 1e6 / load.calls;
        println!("{}: {} requests/s", self.name, thousands(load.per_second));
        self.runs.push(Run { load, cpu });
        Ok(())
    }

    fn middle(&self, figure: fn(&Run) -> f64) -> f64 {
        median(&self.runs.iter().map(figure).collect::<Vec<_>>())
    }
}

fn print(sides: &[Side<'_>]) {
    let mut table = Table::new([
        "server",
        "requests/s (median)",
        "each run",
        "p50, ms",
        "p99, ms",
        "server CPU/request, us",
        "answer, bytes",
    ]);
    for side in sides {
        let runs: Vec<_> = side
            .runs
            .iter()
            .map(|run| thousands(run.load.per_second))
            .collect();
        table.row([
            side.name.to_owned(),
            thousands(side.middle(|run| run.load.per_second)),
            runs.join(" "),
            format!("{:.2}", side.middle(|run| run.load.p50_us) / 1_000.0),
            format!("{:.2}", side.middle(|run| run.load.p99_us) / 1_000.0),
            format!("{:.1}", side.middle(|run| run.cpu)),
            side.runs
                .first()
                .map(|run| run.load.bytes.to_string())
                .unwrap_or_default(),
        ]);
    }
    table.print();
    let Some((marquee, bare)) = sides.split_first() else {
        return;
    };
    let mut table = Table::new(["marquee beside", "ratio of requests/s", "target", "met"]);
    for side in bare {
        let ratio = marquee.middle(|run| run.load.per_second) / side.middle(|run| run.load.per_second);
        table.row([
            side.name.to_owned(),
            format!("{ratio:.2}"),
            format!(">= {TARGET:.2}"),
            met(ratio >= TARGET),
        ]);
    }
    table.print();
}
