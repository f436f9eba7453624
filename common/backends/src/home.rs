use std::path::{Path, PathBuf};

use crate::{Backend, Error, Result, files};

/// Where the servers' software is kept: `$MARQUEE_BACKENDS`, or `marquee/backends` in the user's cache folder.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The user's.
    ///
    /// # Errors
    /// When the environment names no home folder.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn default() -> Result<Home> {
        if let Some(folder) = std::env::var_os("MARQUEE_BACKENDS").filter(|folder| !folder.is_empty()) {
            return Ok(Home::at(Path::new(&folder)));
        }
        Ok(Home::at(&cache()?.join("backends")))
    }

    /// That folder. It is made when something is installed.
    #[must_use]
    pub fn at(folder: &Path) -> Home {
        Home {
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the installed software of that server is.
    pub(crate) fn of(&self, backend: Backend) -> PathBuf {
        self.folder
            .join(format!("{}-{}", backend.name(), backend.version()))
    }

    /// One at a time, over all processes of the machine.
    pub(crate) fn lock(&self, what: &str) -> Result<std::fs::File> {
        files::make(&self.folder)?;
        files::lock(&self.folder.join(format!(".{what}.lock")))
    }
}

/// The project's folder in the user's cache folder.
///
/// # Errors
/// When the environment names no home folder.
pub fn cache() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    set("XDG_CACHE_HOME")
        .or_else(|| Some(set("HOME")?.join(".cache")))
        .map(|cache| cache.join("marquee"))
        .ok_or_else(|| {
            Error::Unpinned("neither MARQUEE_BACKENDS nor XDG_CACHE_HOME nor HOME names a folder".into())
        })
}
