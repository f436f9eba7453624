//! `cargo xtask test --backends`: every test that needs real servers, on fresh ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use marquee_backends::{Backend, Home, Identity, install};
use marquee_fleet::{Fleet, Gateway, Kind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::plan::{Package, Plan, Target};
use super::{each, started};
use crate::run::{cargo, describe, target_dir, top};
use crate::{fleet, tools};

/// Options are those of `cargo test`; `-p` selects packages, and what follows `--` is for the test harness.
pub(crate) fn run(options: &[String]) -> Result<()> {
    tools::require(&[&tools::CC, &tools::CXX])?;
    let (only, chosen) = Chosen::read(options)?;
    let sources = sources()?;
    let sources = sources.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let plan = Plan::read(sources, &packages()?, &only)?;
    if plan.is_empty() {
        bail!("no test needs a server");
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let folder = std::env::temp_dir().join(format!("marquee-servers-{}", std::process::id()));
    let begun = Instant::now();
    let outcome =
        all(&plan, &folder, &chosen, &interrupted).and_then(|results| conclude(&results, begun.elapsed()));
    if outcome.is_err() {
        keep_logs(&folder);
    }
    if folder.exists() {
        marquee_backends::purge(&folder)?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    outcome
}

/// What the command line says beside the packages.
#[derive(Default)]
struct Chosen {
    /// No package is named.
    everything: bool,
    cargo: Vec<String>,
    harness: Vec<String>,
}

impl Chosen {
    /// The packages of `-p`, and all else.
    fn read(options: &[String]) -> Result<(Vec<String>, Chosen)> {
        let mut only = Vec::new();
        let mut chosen = Chosen::default();
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match option.as_str() {
                "-p" | "--package" => only.push(options.next().context("-p needs a package")?.clone()),
                "--" => chosen.harness.extend(options.by_ref().cloned()),
                _ => chosen.cargo.push(option.clone()),
            }
        }
        chosen.everything = only.is_empty();
        Ok((only, chosen))
    }

    /// Names of cases take the place of the plan's.
    fn names(&self) -> bool {
        self.harness.iter().any(|word| !word.starts_with('-'))
    }
}

/// What is missing shows first, and servers do not wait for a build.
fn all(plan: &Plan, folder: &Path, chosen: &Chosen, interrupted: &AtomicBool) -> Result<Results> {
    let home = Home::default()?;
    let installed: Vec<Backend> = plan.installed().into_iter().collect();
    succeeded(each(&installed, |backend, say| install(&home, backend, say)))?;
    if plan.programs {
        tools::require(fleet::TOOLS)?;
    }
    let built = built(plan, chosen, interrupted)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let running: Vec<Backend> = plan.running.iter().copied().collect();
    let servers = succeeded(each(&running, |backend, say| {
        started(&home, backend, folder, say)
    }))?;
    let (in_fleet, others): (Vec<_>, Vec<_>) = built
        .into_iter()
        .partition(|(package, target, _)| plan.in_fleet.contains(&(package.clone(), target.clone())));
    let mut results = Results::default();
    let of_servers = servers
        .iter()
        .map(|server| (server.backend().variable(), server.address()))
        .collect();
    run_programs(plan, others, of_servers, chosen, interrupted, &mut results)?;
    drop(servers);
    if !in_fleet.is_empty() {
        let fleet = TestFleet::start(&home, &folder.join("fleet"), interrupted)?;
        let of_fleet = vec![("MARQUEE_TEST_FLEET", fleet.places.clone())];
        run_programs(plan, in_fleet, of_fleet, chosen, interrupted, &mut results)?;
        fleet.stop()?;
    }
    Ok(results)
}

/// The fleet that tests share.
struct TestFleet {
    fleet: Fleet,
    /// The file that says where everything is.
    places: String,
}

impl TestFleet {
    fn start(home: &Home, folder: &Path, interrupted: &AtomicBool) -> Result<Self> {
        let mut options = fleet::options(home.clone(), folder.to_owned(), Gateway::on_free_ports()?)?;
        // Where a test listens when it wants to see traces.
        let receiver = marquee_backends::ports::choose(1)?[0];
        options.otlp = Some(format!("http://127.0.0.1:{receiver}"));
        // Nobody waits for an encoder for as long as a user would.
        let grace = (Some(Kind::VideoIngest), "RECONNECT_GRACE".into(), "6".into());
        options.settings.push(grace);
        let fleet = Fleet::start(options, interrupted, &mut |line| println!("  {line}"))?;
        let places = folder.join("places.json");
        std::fs::write(&places, fleet.places().to_string())?;
        Ok(Self {
            fleet,
            places: places.display().to_string(),
        })
    }

    fn stop(self) -> Result<()> {
        Ok(self.fleet.stop()?)
    }
}

/// All of it must be there.
fn succeeded<R>(results: Vec<(Backend, Result<R, marquee_backends::Error>)>) -> Result<Vec<R>> {
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for (backend, result) in results {
        match result {
            Ok(result) => done.push(result),
            Err(error) => failed.push(format!("{backend}: {error}")),
        }
    }
    if failed.is_empty() {
        return Ok(done);
    }
    bail!("{}", failed.join("\n"))
}

/// The closing lines of the test harness, and what went wrong.
#[derive(Default)]
struct Results {
    closing: Vec<String>,
    failed: Vec<String>,
}

/// A program that cargo has made of tests, in the words of its messages.
#[derive(serde::Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: PathBuf,
    target: ArtifactTarget,
    profile: ArtifactProfile,
}

#[derive(serde::Deserialize)]
struct ArtifactTarget {
    name: String,
    kind: Vec<String>,
}

#[derive(serde::Deserialize)]
struct ArtifactProfile {
    test: bool,
}

/// Runs each program with the names of its cases, which cargo would give to all alike.
fn run_programs(
    plan: &Plan,
    built: Vec<(String, Target, Artifact)>,
    environment: Vec<(&'static str, String)>,
    chosen: &Chosen,
    interrupted: &AtomicBool,
    results: &mut Results,
) -> Result<()> {
    for (package, target, artifact) in built {
        let Some(filters) = plan.runs.get(&(package.clone(), target)) else {
            continue;
        };
        let Some(program) = artifact.executable else {
            continue;
        };
        let mut test = Command::new(program);
        // As cargo does.
        let folder = artifact.manifest_path.parent().unwrap_or(&artifact.manifest_path);
        test.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
        test.arg("--ignored").args(&chosen.harness);
        if !chosen.names() {
            test.args(filters);
        }
        test.envs(environment.iter().map(|(name, value)| (name, value)));
        let name = format!("{package} {}", artifact.target.name);
        println!(
            "\n+ {name}, ignored cases {}",
            filters.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        );
        let mut closing = String::new();
        let status = watched(&name, test, interrupted, &mut |line| {
            println!("{line}");
            if line.starts_with("test result: ") {
                closing = line;
            }
        })?;
        if !status.success() {
            results.failed.push(format!("{name}: {status}"));
        } else if !chosen.names() && closing.contains(" 0 passed;") {
            // Names that select nothing would otherwise pass for ever.
            results.failed.push(format!("{name}: ran no case"));
        }
        results.closing.push(format!("{name:34} {closing}"));
    }
    Ok(())
}

/// Builds all of them in one run of cargo.
fn built(plan: &Plan, chosen: &Chosen, interrupted: &AtomicBool) -> Result<Vec<(String, Target, Artifact)>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    if chosen.everything {
        // As `cargo xtask test` does it, so that one build serves both.
        build.args(["--workspace", "--all-features"]);
    } else {
        select(&mut build, plan);
    }
    build.args(&chosen.cargo);
    let line = describe(&build);
    println!("+ {line}");
    let mut messages = Vec::new();
    let status = watched(&line, build, interrupted, &mut |line| messages.push(line))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    let names = packages_by_manifest()?;
    let mut built = Vec::new();
    for line in messages {
        // Other messages have other fields.
        let Ok(artifact) = serde_json::from_str::<Artifact>(&line) else {
            continue;
        };
        if !artifact.profile.test {
            continue;
        }
        let target = match artifact.target.kind.first().map(String::as_str) {
            Some("test") => Target::Test(artifact.target.name.clone()),
            Some("lib") => Target::Lib,
            _ => continue,
        };
        if let Some(package) = names.get(&artifact.manifest_path) {
            built.push((package.clone(), target, artifact));
        }
    }
    Ok(built)
}

/// Just what the plan needs.
fn select(build: &mut Command, plan: &Plan) {
    let packages: BTreeSet<_> = plan.runs.keys().map(|(package, _)| package).collect();
    for package in packages {
        build.args(["--package", package]);
    }
    let targets: BTreeSet<_> = plan.runs.keys().map(|(_, target)| target).collect();
    for target in targets {
        match target {
            Target::Lib => build.arg("--lib"),
            Target::Test(name) => build.args(["--test", name]),
        };
    }
    let mut features: BTreeSet<String> = plan.features.clone();
    if plan.programs {
        // Cargo builds a package's programs with its tests.
        build.args(["--package", "marquee", "--test", "cli", "--test", "binary"]);
        for kind in Kind::ALL {
            build.args(["--package", kind.program()]);
            features.insert(format!("{}/fleet", kind.program()));
        }
    }
    let features: Vec<_> = features.iter().map(String::as_str).collect();
    build.args(["--features", &features.join(",")]);
}

/// How long a program may take to end when it is asked to, with what it has started.
const STOP: Duration = Duration::from_secs(20);

/// Runs it and hands over the lines of its output. When we are interrupted it is asked to stop, and killed when it does not.
fn watched(
    name: &str,
    mut command: Command,
    interrupted: &AtomicBool,
    line: &mut (dyn FnMut(String) + Send),
) -> Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let output = child.stdout.take().context("no output")?;
    let status = std::thread::scope(|scope| -> Result<ExitStatus> {
        scope.spawn(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .for_each(line)
        });
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if interrupted.load(Ordering::Relaxed)
                && let Some(running) = Identity::of(child.id())
            {
                running.end(STOP);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    })?;
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(status)
}

fn conclude(results: &Results, took: Duration) -> Result<()> {
    println!(
        "\non real servers, {} targets in {} s:",
        results.closing.len(),
        took.as_secs()
    );
    for closing in &results.closing {
        println!("{closing}");
    }
    if results.failed.is_empty() {
        return Ok(());
    }
    bail!("{}", results.failed.join("\n"))
}

/// The servers' logs of a failed run go where the build is.
fn keep_logs(folder: &Path) {
    let kept = target_dir().join("backends");
    let _ = std::fs::create_dir_all(&kept);
    for service in Kind::ALL {
        let log = folder.join("fleet/logs").join(format!("{}.log", service.name()));
        let copy = kept.join(format!("{}.log", service.name()));
        if std::fs::copy(log, &copy).is_ok() {
            println!("the log of {}: {}", service.name(), copy.display());
        }
    }
    for backend in Backend::ALL {
        let log = folder.join(backend.name()).join("log");
        if std::fs::copy(log, kept.join(format!("{backend}.log"))).is_ok() {
            println!(
                "the log of {backend}: {}",
                kept.join(format!("{backend}.log")).display()
            );
        }
    }
}

/// Every Rust source of the checkout with its path.
fn sources() -> Result<Vec<(String, String)>> {
    let output = Command::new("git")
        .current_dir(top())
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            "*.rs",
        ])
        .output()
        .context("cannot run git")?;
    let mut sources = Vec::new();
    for path in String::from_utf8(output.stdout)?.lines() {
        // A file that was removed but not yet from the index is none. This one speaks of the marks it looks for.
        if let Ok(text) = std::fs::read_to_string(top().join(path))
            && !path.starts_with("xtask/")
        {
            sources.push((path.to_owned(), text));
        }
    }
    Ok(sources)
}

/// The packages of the workspace.
fn packages() -> Result<Vec<Package>> {
    let package = |found: Found| {
        let folder = found.manifest_path.parent().unwrap_or(&found.manifest_path);
        let folder = folder.strip_prefix(top()).unwrap_or(folder);
        Package {
            name: found.name,
            folder: format!("{}/", folder.display()),
            features: found.features.into_keys().collect(),
        }
    };
    Ok(metadata()?.packages.into_iter().map(package).collect())
}

/// Their names by their manifests.
fn packages_by_manifest() -> Result<BTreeMap<PathBuf, String>> {
    let packages = metadata()?.packages;
    Ok(packages
        .into_iter()
        .map(|found| (found.manifest_path, found.name))
        .collect())
}

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Found>,
}

#[derive(serde::Deserialize)]
struct Found {
    name: String,
    manifest_path: PathBuf,
    features: BTreeMap<String, Vec<String>>,
}

fn metadata() -> Result<Metadata> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}
