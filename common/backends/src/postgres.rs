//! PostgreSQL from the machine's packages, with a cluster of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::tools::User;
use crate::{Error, Result, files, tools};

/// What the packages of current distributions have.
const OLDEST: u32 = 14;
const NEWEST: u32 = 18;
pub(crate) const VERSIONS: &str = "14 to 18";

const INSTALL: &str = "sudo apt-get install -y postgresql";

/// The packages make it; `initdb` and `postgres` refuse to be root.
pub(crate) const USER: User = User("postgres");

/// Fast shutdown: SIGTERM would wait for clients to leave.
pub(crate) const STOP: Signal = Signal::INT;
pub(crate) const PORTS: usize = 1;

const SUPERUSER: &str = "marquee";
const PASSWORD: &str = "secret";

pub(crate) fn address(ports: &[u16]) -> String {
    format!(
        "postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres",
        ports[0]
    )
}

/// An installed PostgreSQL.
pub(crate) struct Found {
    pub(crate) version: String,
    /// The folder of `initdb`, `postgres` and `pg_isready`.
    pub(crate) programs: PathBuf,
}

/// The newest that will do, or the one of that major version.
pub(crate) fn find(wanted: Option<u32>) -> Result<Found> {
    let mut found = Vec::new();
    for programs in folders() {
        let Ok(text) = tools::run(Command::new(programs.join("postgres")).arg("--version")) else {
            continue;
        };
        if let Some(version) = version(&text)
            && let Some(major) = major(&version)
        {
            found.push((major, Found { version, programs }));
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let seen: Vec<String> = found.iter().map(|(_, found)| found.version.clone()).collect();
    let fits = |major: &u32| wanted.map_or((OLDEST..=NEWEST).contains(major), |wanted| wanted == *major);
    if let Some((_, found)) = found.into_iter().find(|(major, _)| fits(major)) {
        return Ok(found);
    }
    let wanted = wanted.map_or_else(|| VERSIONS.to_owned(), |major| major.to_string());
    Err(Error::Missing {
        what: if seen.is_empty() {
            format!("PostgreSQL {wanted} is not on this machine")
        } else {
            format!(
                "PostgreSQL {wanted} is not on this machine, only {}",
                seen.join(", ")
            )
        },
        install: INSTALL,
    })
}

/// Debian keeps every major version in a folder of its own, off the PATH.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    if let Some(initdb) = tools::find("initdb").and_then(|initdb| initdb.canonicalize().ok()) {
        folders.extend(initdb.parent().map(Path::to_owned));
    }
    folders.retain(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    folders.sort();
    folders.dedup();
    folders
}

/// `postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)`
fn version(text: &str) -> Option<String> {
    let version = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    Some(version.to_owned())
}

/// The major version; a release candidate's is of its release.
pub(crate) fn major(version: &str) -> Option<u32> {
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

fn program(place: &Place, name: &str) -> Command {
    let program = place.software.join(name);
    match place.user {
        Some(user) => user.command(&program),
        None => Command::new(program),
    }
}

/// Makes the cluster.
pub(crate) fn prepare(place: &Place) -> Result<()> {
    let password = place.data.join("password");
    files::write(&password, format!("{PASSWORD}\n"))?;
    place.give()?;
    let mut initdb = program(place, "initdb");
    initdb
        .current_dir(&place.data)
        .arg("-D")
        .arg(place.data.join("cluster"))
        .args([
            "-U",
            SUPERUSER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ])
        .arg(format!("--pwfile={}", password.display()));
    tools::run(&mut initdb).map(drop)
}

/// fsync, full page writes and synchronous commit stay on: what was committed survives SIGKILL, and the machine's end.
pub(crate) fn command(place: &Place) -> Command {
    let mut command = program(place, "postgres");
    command
        .arg("-D")
        .arg(place.data.join("cluster"))
        .args(["-p", &place.ports[0].to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args(["-c", "shared_buffers=64MB", "-c", "max_connections=200"]);
    command
}

/// It takes connections: after a kill not before it has replayed its log.
pub(crate) fn ready(place: &Place) -> Result<(), String> {
    let mut ask = Command::new(place.software.join("pg_isready"));
    ask.args(["-h", "127.0.0.1", "-p", &place.ports[0].to_string(), "-t", "5"]);
    tools::run(&mut ask).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_what_postgres_prints() {
        let text = "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n";
        assert_eq!(version(text).as_deref(), Some("15.12"));
        assert_eq!(version("mysqld 8"), None);
    }

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major("15.12"), Some(15));
        assert_eq!(major("18rc1"), Some(18));
        assert_eq!(major("devel"), None);
    }

    #[test]
    fn a_version_that_is_not_there_is_named_with_the_install_line() {
        let error = find(Some(9)).err().map(|error| error.to_string()).unwrap();
        assert!(
            error.starts_with("PostgreSQL 9 is not on this machine"),
            "{error}"
        );
        assert!(error.ends_with("sudo apt-get install -y postgresql"), "{error}");
    }
}
