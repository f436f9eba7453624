//! `cargo xtask test --backends`: every test that needs real servers, on fresh ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use marquee_backends::{Backend, Home, Server};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::plan::{Package, Plan};
use super::{each, started};
use crate::run::{cargo, target_dir, top};
use crate::{fleet, tools};

/// Options are those of `cargo test`; `-p` selects packages.
pub(crate) fn run(options: &[String]) -> Result<()> {
    tools::require(&[&tools::CC, &tools::CXX])?;
    let (only, options) = split(options)?;
    let sources = sources()?;
    let sources = sources.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let plan = Plan::read(sources, &packages()?, &only)?;
    if plan.is_empty() {
        bail!("no test needs a server");
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let folder = std::env::temp_dir().join(format!("marquee-servers-{}", std::process::id()));
    let begun = Instant::now();
    let outcome = servers(&plan, &folder).and_then(|servers| {
        if plan.fleet {
            fleet::build(false)?;
        }
        let results = tests(&plan, &servers, &options, &interrupted)?;
        drop(servers);
        conclude(&results, begun.elapsed())
    });
    if outcome.is_err() {
        keep_logs(&folder);
    }
    marquee_backends::purge(&folder)?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    outcome
}

/// `-p package` and all else.
fn split(options: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut only, mut others) = (Vec::new(), Vec::new());
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.as_str() {
            "-p" | "--package" => only.push(options.next().context("-p needs a package")?.clone()),
            _ => others.push(option.clone()),
        }
    }
    Ok((only, others))
}

/// Installs what any test needs, and starts what they share. All of it must be there.
fn servers(plan: &Plan, folder: &Path) -> Result<Vec<Server>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let home = Home::default()?;
    let installed: Vec<Backend> = plan.installed().into_iter().collect();
    let results = each(&installed, |backend, say| {
        if plan.running.contains(&backend) {
            started(&home, backend, folder, say).map(Some)
        } else {
            marquee_backends::install(&home, backend, say).map(|()| None)
        }
    });
    let mut servers = Vec::new();
    let mut failed = Vec::new();
    for (backend, result) in results {
        match result {
            Ok(server) => servers.extend(server),
            Err(error) => failed.push(format!("{backend}: {error}")),
        }
    }
    if failed.is_empty() {
        return Ok(servers);
    }
    bail!("{}", failed.join("\n"))
}

/// What the test harness said of one target: its closing line.
struct Closing {
    line: String,
    ran: bool,
}

#[derive(Default)]
struct Results {
    closing: Vec<Closing>,
    failed: Vec<String>,
}

/// Two runs of cargo with the same features, so that the second builds nothing: test targets are run whole, of libraries only
/// the modules that have a server's name.
fn tests(plan: &Plan, servers: &[Server], options: &[String], interrupted: &AtomicBool) -> Result<Results> {
    let mut results = Results::default();
    let features: Vec<_> = plan.features.iter().map(String::as_str).collect();
    let mut go = |packages: &mut dyn Iterator<Item = &String>, selection: &[String], filters: &[String]| {
        let mut test = cargo();
        test.args(["test", "--no-fail-fast"]);
        for package in packages {
            test.args(["--package", package]);
        }
        test.args(["--features", &features.join(",")])
            .args(selection)
            .args(options);
        test.args(["--", "--ignored"]).args(filters);
        for server in servers {
            test.env(server.backend().variable(), server.address());
        }
        watched(test, &mut results, interrupted)
    };
    // One run per set of targets would do, but a target of that name may be elsewhere too and need no server.
    let mut by_targets: BTreeMap<&BTreeSet<String>, Vec<&String>> = BTreeMap::new();
    for (package, targets) in &plan.targets {
        by_targets.entry(targets).or_default().push(package);
    }
    for (targets, packages) in by_targets {
        let selection: Vec<_> = targets
            .iter()
            .flat_map(|target| ["--test".into(), target.clone()])
            .collect();
        go(&mut packages.into_iter(), &selection, &[])?;
    }
    if !plan.modules.is_empty() {
        let filters: BTreeSet<String> = plan.modules.values().flatten().cloned().collect();
        let filters: Vec<_> = filters.into_iter().collect();
        go(&mut plan.modules.keys(), &["--lib".into()], &filters)?;
    }
    Ok(results)
}

/// Runs it, passes its output on, and keeps the closing lines.
fn watched(mut command: Command, results: &mut Results, interrupted: &AtomicBool) -> Result<()> {
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = format!("cargo {}", words.join(" "));
    println!("+ {line}");
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let output = child.stdout.take().context("no output")?;
    let reader = std::thread::spawn(move || {
        let mut closing = Vec::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            if line.starts_with("test result: ") {
                let ran = !line.contains(" 0 passed; 0 failed");
                closing.push(Closing { line, ran });
            }
        }
        closing
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) {
            // From a terminal it has heard of it too and is ending; a little time for that.
            std::thread::sleep(Duration::from_secs(2));
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let closing = reader.join().unwrap_or_default();
    if !status.success() {
        results.failed.push(format!("`{line}` failed ({status})"));
    }
    if let Some(idle) = closing.iter().find(|closing| !closing.ran) {
        // A filter that finds nothing would otherwise pass for ever.
        results
            .failed
            .push(format!("`{line}` has a target that ran no test: {}", idle.line));
    }
    results.closing.extend(closing);
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

fn conclude(results: &Results, took: Duration) -> Result<()> {
    println!(
        "\non real servers, {} targets in {} s:",
        results.closing.len(),
        took.as_secs()
    );
    for closing in &results.closing {
        println!("{}", closing.line);
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

/// The packages of the workspace, by `cargo metadata`.
fn packages() -> Result<Vec<Package>> {
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
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let mut packages = Vec::new();
    for found in metadata.packages {
        let folder = found.manifest_path.parent().unwrap_or(&found.manifest_path);
        let folder = folder.strip_prefix(top()).unwrap_or(folder);
        packages.push(Package {
            name: found.name,
            folder: format!("{}/", folder.display()),
            features: found.features.into_keys().collect(),
        });
    }
    Ok(packages)
}
