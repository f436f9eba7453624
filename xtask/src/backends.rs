//! `cargo xtask backends`: the real servers of the fleet, on loopback, for development.

mod plan;
mod suites;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use marquee_backends::{Backend, Home, Record, Server, install};

pub(crate) use suites::run as suites;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Backends,
}

#[derive(clap::Subcommand)]
enum Backends {
    /// Fetch what is not there yet, start what does not run, and print where everything is
    Up(Chosen),
    /// Stop the servers; their data and ports are kept
    Down {
        #[command(flatten)]
        chosen: Chosen,
        /// Remove their data too
        #[arg(long, conflicts_with = "servers")]
        purge: bool,
    },
    /// Say what runs and whether it answers; fails when something does not
    Status(Chosen),
}

#[derive(clap::Args)]
struct Chosen {
    /// kafka, mongodb, postgres, elasticsearch, elasticsearch8, s3 [default: all but the last two; `down` and `status`: all]
    #[arg(value_name = "SERVER", value_parser = named)]
    servers: Vec<Backend>,
    /// Folder of their data [default: marquee/run in your cache folder]
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn named(name: &str) -> Result<Backend, String> {
    Backend::named(name).ok_or_else(|| {
        let names: Vec<_> = Backend::ALL.iter().map(|backend| backend.name()).collect();
        format!("the servers are {}", names.join(", "))
    })
}

impl Chosen {
    fn folder(&self) -> Result<PathBuf> {
        match &self.folder {
            Some(folder) => Ok(std::path::absolute(folder)?),
            None => Ok(marquee_backends::cache()?.join("run")),
        }
    }

    fn or<'a>(&'a self, all: &'a [Backend]) -> &'a [Backend] {
        if self.servers.is_empty() {
            all
        } else {
            &self.servers
        }
    }
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Backends::Up(chosen) => up(&chosen.folder()?, chosen.or(&Backend::FLEET)),
        Backends::Down { chosen, purge } => down(&chosen.folder()?, chosen.or(&Backend::ALL), purge),
        Backends::Status(chosen) => status(&chosen.folder()?, chosen.or(&Backend::ALL)),
    }
}

fn up(folder: &Path, backends: &[Backend]) -> Result<()> {
    let home = Home::default()?;
    let _alone = lock(folder)?;
    let started = each(backends, |backend, say| match running(folder, backend, say) {
        Some(server) => Ok(server),
        None => started(&home, backend, folder, say),
    });
    // Those that are up stay up, whatever became of the others.
    let mut failed = Vec::new();
    for (backend, result) in started {
        match result {
            Ok(server) => drop(server.detach()),
            Err(error) => failed.push(format!("{backend}: {error}")),
        }
    }
    table(&records(folder, &Backend::ALL));
    write(folder)?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("\n"))
}

/// All at once, since each is mostly waiting; lines are printed with the server's name as they come.
pub(crate) fn each<R: Send>(
    backends: &[Backend],
    work: impl Fn(Backend, &mut dyn FnMut(&str)) -> R + Sync,
) -> Vec<(Backend, R)> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = backends
            .iter()
            .map(|&backend| {
                let thread =
                    scope.spawn(move || work(backend, &mut |line| println!("  {backend:14} {line}")));
                (backend, thread)
            })
            .collect();
        threads
            .into_iter()
            .map(|(backend, thread)| match thread.join() {
                Ok(result) => (backend, result),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// Fetched when that has not been done, and started.
pub(crate) fn started(
    home: &Home,
    backend: Backend,
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Server, marquee_backends::Error> {
    install(home, backend, say)?;
    let begun = Instant::now();
    let server = Server::start(home, backend, folder)?;
    say(&format!(
        "answers at {} (pid {}, {:.1} s, {} MB)",
        server.address(),
        server.pid(),
        begun.elapsed().as_secs_f64(),
        server.resident_bytes() / 1_000_000
    ));
    Ok(server)
}

/// What runs there and answers. What does not is stopped, so that it can be started again.
fn running(folder: &Path, backend: Backend, say: &mut dyn FnMut(&str)) -> Option<Server> {
    let mut server = Record::running(folder, backend)?.attach()?;
    match server.answers() {
        Ok(()) => {
            say(&format!("runs at {}", server.address()));
            Some(server)
        }
        Err(reason) => {
            say(&format!(
                "does not answer ({reason}): stopping process {}",
                server.pid()
            ));
            if let Err(error) = server.stop() {
                say(&error.to_string());
            }
            None
        }
    }
}

fn down(folder: &Path, backends: &[Backend], purge: bool) -> Result<()> {
    let _alone = lock(folder)?;
    // What others may still write to goes last.
    for &backend in backends.iter().rev() {
        let Some(mut server) = Record::running(folder, backend).and_then(|record| record.attach()) else {
            continue;
        };
        let begun = Instant::now();
        server.stop()?;
        println!("  {backend:14} stopped ({:.1} s)", begun.elapsed().as_secs_f64());
    }
    if purge {
        marquee_backends::purge(folder)?;
        println!("  removed the data in {}", folder.display());
    }
    write(folder)
}

fn status(folder: &Path, backends: &[Backend]) -> Result<()> {
    let records = records(folder, backends);
    if records.is_empty() {
        bail!(
            "no server runs in {}: `cargo xtask backends up`",
            folder.display()
        );
    }
    let mut silent = Vec::new();
    for record in &records {
        let Some(server) = record.attach() else { continue };
        let state = match server.answers() {
            Ok(()) => "answers".to_owned(),
            Err(reason) => {
                silent.push(record.backend.name());
                format!("does not answer: {reason}")
            }
        };
        println!(
            "  {:14} {:9} pid {:<8} {:>5} MB  {}  {state}",
            record.backend,
            record.version,
            record.pid,
            server.resident_bytes() / 1_000_000,
            record.address
        );
    }
    if silent.is_empty() {
        return Ok(());
    }
    bail!("no answer from {}", silent.join(", "))
}

fn records(folder: &Path, backends: &[Backend]) -> Vec<Record> {
    let running = |backend: &Backend| Record::running(folder, *backend);
    backends.iter().filter_map(running).collect()
}

fn table(records: &[Record]) {
    let width = records
        .iter()
        .map(|record| record.address.len())
        .max()
        .unwrap_or(0);
    println!(
        "\n  {:14} {:9} {:width$}  {:8} data",
        "server", "version", "address", "pid"
    );
    for record in records {
        println!(
            "  {:14} {:9} {:width$}  {:<8} {}",
            record.backend,
            record.version,
            record.address,
            record.pid,
            record.place.display()
        );
    }
    println!("\n  for tests on these servers:\n");
    for record in records {
        println!("export {}='{}'", record.backend.variable(), record.address);
    }
}

/// `backends.json`: the records of what runs, for programs.
fn write(folder: &Path) -> Result<()> {
    let file = folder.join("backends.json");
    let text = serde_json::to_vec_pretty(&records(folder, &Backend::ALL))?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// One of these commands at a time in a folder.
fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(".lock");
    let lock = File::create(&file).with_context(|| format!("cannot open {}", file.display()))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", file.display()))?;
    Ok(lock)
}
