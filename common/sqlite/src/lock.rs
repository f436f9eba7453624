use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;

/// Says that this process uses the database; the kernel takes it back when the process dies, however it dies.
///
/// A file of its own (`<database>.lock`), since closing any descriptor of the database itself would drop SQLite's
/// POSIX locks.
pub(crate) struct Lock {
    _file: File,
}

const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

impl Lock {
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = Path::new(&path);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|source| Error::unwritable(path, source))?;
        // A process that was killed may take a moment to go, and its successor is often there before.
        for _ in 0..ATTEMPTS {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
                Err(errno) => return Err(Error::unwritable(path, errno.into())),
            }
        }
        Err(Error::Locked {
            path: database.to_owned(),
        })
    }
}
