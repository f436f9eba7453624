//! Whoever starts a fleet may be killed: what it has left behind is ended by the next start in the folder.

#![expect(clippy::print_stdout, reason = "what is started is of use when it fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::backends::{Home, Identity};
use marquee_fleet::{Error, Fleet, Gateway, Kind, Options};
use marquee_testkit::program;

const FOLDER: &str = "MARQUEE_TEST_STARTER_FOLDER";
static NEVER: AtomicBool = AtomicBool::new(false);

fn start(folder: &Path, gateway: Gateway) -> Result<Fleet, Error> {
    let programs = program(Kind::Events.program()).unwrap_or_default();
    let options = Options {
        folder: folder.to_owned(),
        programs: programs.parent().map(Path::to_owned).unwrap_or_default(),
        nginx: Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx"),
        pages: folder.join("pages"),
        home: Home::default()?,
        gateway,
        otlp: None,
        calls_per_second: 1_000,
        settings: Vec::new(),
    };
    Fleet::start(options, &NEVER, &mut |line| println!("  {line}"))
}

/// The gateway's ports of that folder's fleet.
fn gateway(folder: &Path) -> Result<Gateway> {
    let text = std::fs::read_to_string(folder.join("ports"))?;
    let ports: Vec<u16> = serde_json::from_str(&text)?;
    let [http, grpc, https, rtmp, rtmps] = ports[..] else {
        anyhow::bail!("{text}");
    };
    Ok(Gateway {
        http,
        grpc,
        https,
        rtmp,
        rtmps,
    })
}

/// The starter. It lives until it is killed.
#[test]
#[ignore = "a child process of another test"]
fn starts_and_waits() -> Result<()> {
    // Run by itself it is no test.
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return Ok(());
    };
    let mut fleet = start(&folder, gateway(&folder)?)?;
    let mut pids: BTreeMap<&str, u32> = BTreeMap::new();
    for kind in Kind::ALL {
        let pid = fleet.service(kind).pid().context("it does not run")?;
        pids.insert(kind.name(), pid);
    }
    pids.insert("nginx", fleet.nginx().pid().context("it does not run")?);
    println!("\nstarted {}", serde_json::to_string(&pids)?);
    loop {
        std::thread::park();
    }
}

#[test]
#[ignore = "needs programs"]
fn a_fleet_starts_where_a_killed_starter_has_left_one_running() -> Result<()> {
    // PostgreSQL is another user, who must get there: no folder of `tempfile`.
    let folder = std::env::temp_dir().join(format!("marquee-starter-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("pages"))?;
    std::fs::write(folder.join("pages/index.html"), "<title>Marquee</title>")?;
    let chosen = Gateway::on_free_ports()?;
    let ports = [chosen.http, chosen.grpc, chosen.https, chosen.rtmp, chosen.rtmps];
    std::fs::write(folder.join("ports"), serde_json::to_string(&ports)?)?;
    let outcome = story(&folder, chosen);
    if outcome.is_ok() {
        marquee_fleet::backends::purge(&folder.join("servers"))?;
        std::fs::remove_dir_all(&folder)?;
    } else {
        // What still runs would go on for ever; a start takes it over, and ends it when it is dropped.
        drop(start(&folder, chosen));
        println!("the logs are in {}", folder.display());
    }
    outcome
}

fn story(folder: &Path, gateway: Gateway) -> Result<()> {
    let mut starter = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "--nocapture", "starts_and_waits"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = starter.stdout.take().context("no output")?;
    let started = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .inspect(|line| println!("{line}"))
        .find_map(|line| line.strip_prefix("started ").map(str::to_owned))
        .context("it did not start")?;
    let pids: BTreeMap<String, u32> = serde_json::from_str(&started)?;
    let old: BTreeMap<_, _> = pids
        .into_iter()
        .map(|(name, pid)| (name, Identity::of(pid)))
        .collect();
    // As long as it lives the fleet is its own.
    ensure!(matches!(start(folder, gateway), Err(Error::Runs(_))));

    // As `kill -9` does.
    starter.kill()?;
    starter.wait()?;
    for (name, identity) in &old {
        ensure!(
            identity.as_ref().is_some_and(Identity::runs),
            "{name} went with it"
        );
    }
    let mut fleet = start(folder, gateway)?;
    for (name, identity) in &old {
        ensure!(
            !identity.as_ref().is_some_and(Identity::runs),
            "the old {name} runs"
        );
    }
    // The gateway that answers is the new one.
    fleet.wait_ready()?;
    fleet.stop()?;
    Ok(())
}
