//! One index that is searched, and while it is rebuilt another that is filled.
//!
//! ```text
//!  index/                  the first index lies here itself
//!  index/current           the name of the generation that is searched, once there was a rebuild
//!  index/generation-…/     another generation: the one that is searched, or one that is being filled
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Error, Followed};
use super::Inner;

/// Names the generation that is searched.
const CURRENT: &str = "current";

/// What folders of generations begin with.
const GENERATION: &str = "generation-";

/// The indices of one folder.
pub(super) struct Generations {
    folder: PathBuf,
    /// Name of the generation that is searched; `None` for the first.
    current: Option<String>,
    searched: Arc<Inner>,
    next: Option<Next>,
}

/// An index that is filled.
struct Next {
    name: String,
    inner: Arc<Inner>,
    /// Whether it is written already.
    is_followed: bool,
}

impl Generations {
    /// Opens what is there, also an index that was not filled to the end.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let current = current(folder);
        let searched = Arc::new(Inner::open(&place(folder, current.as_deref()))?);
        let mut generations = Self {
            folder: folder.to_owned(),
            current,
            searched,
            next: None,
        };
        // The lock of the one that is searched guards the rest.
        let mut others = generations.others();
        if let Some(name) = others.pop() {
            generations.fill(name)?;
        }
        for name in others {
            remove(&folder.join(name));
        }
        generations.tidy();
        Ok(generations)
    }

    pub(super) fn searched(&self) -> Arc<Inner> {
        self.searched.clone()
    }

    pub(super) fn written(&self) -> Arc<Inner> {
        match &self.next {
            Some(next) if next.is_followed => next.inner.clone(),
            _ => self.searched(),
        }
    }

    /// Makes an index to be filled, unless there is one.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        match self.next {
            Some(_) => Ok(()),
            None => self.fill(format!("{GENERATION}{}", uuid::Uuid::now_v7().simple())),
        }
    }

    pub(super) fn follow(&mut self) -> Followed {
        let Some(next) = &mut self.next else {
            return Followed {
                is_another: false,
                is_filling: false,
            };
        };
        Followed {
            is_another: !std::mem::replace(&mut next.is_followed, true),
            is_filling: true,
        }
    }

    /// Lets the one that was filled answer. Searches that run go on with the old one.
    pub(super) fn promote(&mut self) -> Result<(), Error> {
        let Some(next) = self.next.take_if(|next| next.is_followed) else {
            return Ok(());
        };
        if let Err(error) = point(&self.folder, &next.name) {
            self.next = Some(next);
            return Err(Error::Unavailable(format!(
                "`{}`: {error}",
                self.folder.display()
            )));
        }
        self.searched = next.inner;
        if let Some(before) = self.current.replace(next.name) {
            remove(&self.folder.join(before));
        }
        self.tidy();
        Ok(())
    }

    /// Gives up the one that is filled.
    pub(super) fn forget_next(&mut self) {
        if let Some(next) = self.next.take() {
            drop(next.inner);
            remove(&self.folder.join(next.name));
        }
    }

    fn fill(&mut self, name: String) -> Result<(), Error> {
        let inner = Arc::new(Inner::open(&self.folder.join(&name))?);
        self.next = Some(Next {
            name,
            inner,
            is_followed: false,
        });
        Ok(())
    }

    /// Generations that are not searched, the newest last.
    fn others(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(GENERATION) && Some(name) != self.current.as_ref())
            .collect();
        names.sort_unstable();
        names
    }

    /// Removes the files of the first index when it is not searched any more.
    fn tidy(&self) {
        if self.current.is_none() {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name() != CURRENT && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                // What stays is removed at the next start.
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

fn current(folder: &Path) -> Option<String> {
    let name = fs::read_to_string(folder.join(CURRENT)).ok()?;
    (name.starts_with(GENERATION) && !name.contains(['/', '\\']) && folder.join(&name).is_dir())
        .then_some(name)
}

fn place(folder: &Path, current: Option<&str>) -> PathBuf {
    current.map_or_else(|| folder.to_owned(), |name| folder.join(name))
}

/// Makes `name` the generation that is searched, once and for all.
fn point(folder: &Path, name: &str) -> io::Result<()> {
    let written = folder.join("current.new");
    fs::write(&written, name)?;
    fs::File::open(&written)?.sync_all()?;
    fs::rename(&written, folder.join(CURRENT))?;
    fs::File::open(folder)?.sync_all()
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove an old search index");
    }
}
