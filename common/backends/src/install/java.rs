//! Compiling the few Java sources of this crate.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::Say;
use crate::{Error, Result, files, tools};

/// Compiles to `<folder>/classes`.
pub(super) fn compile(folder: &Path, jars: &Path, sources: &[(&str, &str)], say: Say<'_>) -> Result<()> {
    let written = folder.join("sources");
    files::make(&written)?;
    let mut javac = Command::new(tools::javac()?);
    javac
        .args(["-nowarn", "--release", "17", "-encoding", "UTF-8"])
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("-d")
        .arg(folder.join("classes"));
    for (name, text) in sources {
        let file = written.join(name);
        files::write(&file, text)?;
        javac.arg(file);
    }
    tools::run(&mut javac)?;
    say(&format!("compiled {} sources of ours", sources.len()));
    Ok(())
}

/// Makes a jar of compiled classes.
pub(super) fn archive(file: &Path, classes: &Path) -> Result<()> {
    let mut jar = Command::new(tools::jar()?);
    jar.arg("cf").arg(file).arg("-C").arg(classes).arg(".");
    tools::run(&mut jar).map(drop)
}

/// Lets everybody run the files of that folder.
pub(super) fn executable(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)
        .map_err(Error::at("list", folder))?
        .flatten()
    {
        std::fs::set_permissions(entry.path(), Permissions::from_mode(0o755))
            .map_err(Error::at("change", &entry.path()))?;
    }
    Ok(())
}
