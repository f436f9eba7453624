//! Folders that are made for a run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::run::target_dir;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty folder on the disk of the target folder (a /tmp in memory would flatter a log that syncs). Gone when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = target_dir()
            .join("bench")
            .join(format!("{}-{next}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What later runs use again.
pub(super) fn cache() -> Result<PathBuf> {
    let path = target_dir().join("bench/cache");
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}
