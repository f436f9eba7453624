//! The pages: packages from the lock file, then Vite.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;

use crate::run::{check, program, top};

/// Builds `web/dist` when something in `web/` is newer than it, and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    let web = top().join("web");
    let dist = web.join("dist");
    install()?;
    let built = modified(&dist.join("index.html"));
    let newest = newest(&web).max(newest_in(&top().join("proto/marquee")));
    if built.is_none() || built < newest {
        check(program("npm", &web).args(["run", "--silent", "build"]))?;
    }
    Ok(dist)
}

/// Installs the packages that `package-lock.json` names, when it changed since the last time.
pub(crate) fn install() -> Result<()> {
    let web = top().join("web");
    let installed = modified(&web.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < modified(&web.join("package-lock.json")) {
        check(program("npm", &web).args(["ci", "--no-audit", "--no-fund"]))?;
    }
    Ok(())
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// The newest source of the pages, without what is generated or installed.
fn newest(web: &std::path::Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(web).ok()?;
    entries
        .flatten()
        .filter(|entry| !matches!(entry.file_name().to_str(), Some("dist" | "node_modules")))
        .filter_map(|entry| {
            if entry.path().is_dir() {
                newest_in(&entry.path())
            } else {
                modified(&entry.path())
            }
        })
        .max()
}

fn newest_in(folder: &std::path::Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            if entry.path().is_dir() {
                newest_in(&entry.path())
            } else {
                modified(&entry.path())
            }
        })
        .max()
}
