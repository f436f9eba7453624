//! Where one server lives: its folder, its ports, and the user that it runs as.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::tools::{self, User};
use crate::{Backend, Error, Home, Result, elasticsearch, files, hash, postgres};

/// A server's folder and what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) backend: Backend,
    pub(crate) version: String,
    pub(crate) home: Home,
    /// The installed software.
    pub(crate) software: PathBuf,
    /// The folder that the caller gave, for servers of any kind.
    pub(crate) given: PathBuf,
    /// This server's own.
    pub(crate) data: PathBuf,
    /// Empty until they are chosen.
    pub(crate) ports: Vec<u16>,
    /// The user to be, when we are root and the server will not be.
    pub(crate) user: Option<User>,
}

/// `server.json`: written when the data is complete, so that what has no such file was interrupted while it was made.
#[derive(Serialize, Deserialize)]
struct Kept {
    backend: Backend,
    version: String,
    ports: Vec<u16>,
}

const KEPT: &str = "server.json";
/// In a folder whose data is being made.
const NEW: &str = ".new";

impl Place {
    /// The place of that server in that folder, as it was left or empty.
    pub(crate) fn open(home: &Home, backend: Backend, given: &Path) -> Result<Place> {
        let given = std::path::absolute(given).map_err(Error::at("find", given))?;
        files::make(&given)?;
        let user = user_of(backend);
        let data = folder(backend, &given, user)?;
        files::make(&data)?;
        let kept = read(&data)?;
        let (version, software) = match backend {
            Backend::Postgres => {
                let major = kept.as_ref().and_then(|kept| postgres::major(&kept.version));
                let found = postgres::find(major)?;
                (found.version, found.programs)
            }
            _ => {
                let software = software(home, backend)?;
                if !software.join(crate::install::DONE).is_file() {
                    return Err(Error::NotInstalled { backend });
                }
                (backend.version().to_owned(), software)
            }
        };
        let ports = match kept {
            None => Vec::new(),
            Some(kept) if kept.backend != backend || !same_data(backend, &kept.version, &version) => {
                return Err(Error::Data {
                    data,
                    reason: format!(
                        "holds the data of {} {}, not of {backend} {version}: remove it (`cargo xtask backends down --purge`)",
                        kept.backend, kept.version
                    ),
                });
            }
            Some(kept) => kept.ports,
        };
        Ok(Place {
            backend,
            version,
            home: home.clone(),
            software,
            given,
            data,
            ports,
            user,
        })
    }

    /// Whether there is data already.
    pub(crate) fn kept(&self) -> bool {
        !self.ports.is_empty()
    }

    /// An empty folder for new data; what an interrupted start has left is removed.
    pub(crate) fn clear(&self) -> Result<()> {
        let empty = std::fs::read_dir(&self.data)
            .map_err(Error::at("list", &self.data))?
            .next()
            .is_none();
        if !empty && !self.data.join(NEW).exists() {
            return Err(Error::Data {
                data: self.data.clone(),
                reason: format!("is no folder of {}, and not empty", self.backend),
            });
        }
        files::remove(&self.data)?;
        files::make(&self.data)?;
        files::write(&self.data.join(NEW), "")?;
        self.give()
    }

    /// Gives the folder to the user that the server runs as.
    pub(crate) fn give(&self) -> Result<()> {
        match self.user {
            Some(user) => user.own(&self.data),
            None => Ok(()),
        }
    }

    /// From now on the data is complete, and bound to these ports.
    pub(crate) fn keep(&self) -> Result<()> {
        let kept = Kept {
            backend: self.backend,
            version: self.version.clone(),
            ports: self.ports.clone(),
        };
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| Error::Data {
            data: self.data.clone(),
            reason: error.to_string(),
        })?;
        files::replace(&self.data.join(KEPT), text)?;
        let _ = std::fs::remove_file(self.data.join(NEW));
        Ok(())
    }

    /// What the server prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("log")
    }
}

/// Removes the data of all servers that were started in that folder. They must not run.
pub(crate) fn purge(given: &Path) -> Result<()> {
    let given = std::path::absolute(given).map_err(Error::at("find", given))?;
    for backend in Backend::ALL {
        let data = given.join(backend.name());
        if data.is_symlink() {
            std::fs::remove_file(&data).map_err(Error::at("remove", &data))?;
        } else {
            files::remove(&data)?;
        }
    }
    if tools::root() {
        files::remove(&elsewhere(&given))?;
    }
    Ok(())
}

fn read(data: &Path) -> Result<Option<Kept>> {
    let bytes = match std::fs::read(data.join(KEPT)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::at("read", &data.join(KEPT))(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Data {
            data: data.to_owned(),
            reason: format!("{KEPT}: {error}"),
        })
}

/// PostgreSQL reads the data of its own major version; the others are pinned to one.
fn same_data(backend: Backend, kept: &str, version: &str) -> bool {
    match backend {
        Backend::Postgres => postgres::major(kept) == postgres::major(version),
        _ => kept == version,
    }
}

/// PostgreSQL and the stock Elasticsearch refuse to run as root.
fn user_of(backend: Backend) -> Option<User> {
    match backend {
        Backend::Postgres if tools::root() => Some(postgres::USER),
        Backend::Elasticsearch8 if tools::root() => Some(elasticsearch::stock::USER),
        _ => None,
    }
}

/// Where the software of that server is, or will be: a folder that nobody else could have put there.
pub(crate) fn software(home: &Home, backend: Backend) -> Result<PathBuf> {
    let folder = home.of(backend);
    let Some(user) = user_of(backend) else {
        return Ok(folder);
    };
    let above = home.folder().ancestors().find(|folder| folder.exists());
    if above.is_some_and(|above| user.reaches(above)) {
        return Ok(folder);
    }
    // A home below /root: that user may not even look there.
    let name = folder.file_name().map(ToOwned::to_owned).unwrap_or_default();
    // Before anything is believed that is found in there: a file of somebody else's may say that it is installed.
    make_shared()?;
    Ok(shared().join("backends").join(name))
}

/// The server's own folder: in the given one, or, where its user cannot get, in a folder of /var/tmp with a link to it.
fn folder(backend: Backend, given: &Path, user: Option<User>) -> Result<PathBuf> {
    let data = given.join(backend.name());
    let Some(user) = user else { return Ok(data) };
    if data.is_symlink() {
        return Ok(elsewhere(given).join(backend.name()));
    }
    // The folder was given to us for servers, so that we may let them through it (mode 0700 is usual for temporary
    // folders); what is above it is not ours to change.
    let mode = std::fs::metadata(given).map_err(Error::at("read", given))?.mode();
    std::fs::set_permissions(given, Permissions::from_mode(mode | 0o011))
        .map_err(Error::at("change", given))?;
    if user.reaches(given) {
        return Ok(data);
    }
    make_shared()?;
    let there = elsewhere(given).join(backend.name());
    files::make(&there)?;
    std::os::unix::fs::symlink(&there, &data).map_err(Error::at("make", &data))?;
    Ok(there)
}

/// Where the data goes that cannot be in the given folder.
fn elsewhere(given: &Path) -> PathBuf {
    let name = hash::of(given.as_os_str().as_encoded_bytes());
    shared().join("data").join(&name[..16])
}

/// A folder of root's that every user gets into.
fn shared() -> PathBuf {
    PathBuf::from("/var/tmp/marquee-root")
}

/// Makes it, and makes sure that nobody else has: /var/tmp is everybody's.
fn make_shared() -> Result<()> {
    make_ours(&shared(), 0)
}

/// Makes a folder in one of everybody's; one that is there must belong to that user.
fn make_ours(folder: &Path, user: u32) -> Result<()> {
    files::make(folder)?;
    let found = std::fs::symlink_metadata(folder).map_err(Error::at("read", folder))?;
    if !found.is_dir() || found.uid() != user {
        return Err(Error::Data {
            data: folder.to_owned(),
            reason: "belongs to somebody else".into(),
        });
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(Error::at("change", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> Place {
        Place {
            backend: Backend::Kafka,
            version: "4.3.1".into(),
            home: Home::at(folder),
            software: folder.to_owned(),
            given: folder.to_owned(),
            data: folder.join("kafka"),
            ports: vec![20_001, 20_002],
            user: None,
        }
    }

    #[test]
    fn ports_are_kept_with_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        files::make(&place.data).unwrap();
        place.keep().unwrap();
        let kept = read(&place.data).unwrap().unwrap();
        assert_eq!((kept.backend, kept.ports), (Backend::Kafka, vec![20_001, 20_002]));
    }

    #[test]
    fn a_first_start_that_was_interrupted_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        files::make(&place.data).unwrap();
        place.clear().unwrap();
        files::write(&place.data.join("half"), "x").unwrap();
        assert!(read(&place.data).unwrap().is_none());
        place.clear().unwrap();
        assert!(!place.data.join("half").exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        files::make(&place.data).unwrap();
        files::write(&place.data.join("thesis"), "x").unwrap();
        assert!(matches!(place.clear(), Err(Error::Data { .. })));
        assert!(place.data.join("thesis").exists());
    }

    #[test]
    fn a_folder_that_somebody_else_has_put_where_ours_would_be_is_refused() {
        let everybodys = tempfile::tempdir().unwrap();
        let user = std::fs::metadata(everybodys.path()).unwrap().uid();
        let folder = everybodys.path().join("marquee");
        make_ours(&folder, user).unwrap();
        make_ours(&folder, user).unwrap();
        assert!(matches!(make_ours(&folder, user + 1), Err(Error::Data { .. })));
        let link = everybodys.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(matches!(make_ours(&link, user), Err(Error::Data { .. })));
    }

    #[test]
    fn postgres_reads_the_data_of_its_major_version() {
        assert!(same_data(Backend::Postgres, "15.2", "15.12"));
        assert!(!same_data(Backend::Postgres, "15.2", "16.1"));
        assert!(!same_data(Backend::Kafka, "4.3.0", "4.3.1"));
    }
}
