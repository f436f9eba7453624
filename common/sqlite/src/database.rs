use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::Error;
use crate::checkpoint::Checkpoints;
use crate::lock::Lock;
use crate::readers::{MAX_BLOCKING, Readers};
use crate::writer::{self, Job, Outcome, job};

/// How a file is laid out and cached. The defaults suit documents; a log of large blobs wants larger pages.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a page; counts when the file is made.
    pub page_size: u32,
    /// Pages of the write-ahead log after which they are moved into the file.
    pub wal_pages: u32,
    /// KiB of page cache of each connection.
    pub cache_kib: u32,
    /// Bytes of the file that are mapped rather than read; 0 for none.
    pub mmap_size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_size: 4096,
            wal_pages: 2000,
            cache_kib: 4096,
            mmap_size: 0,
        }
    }
}

impl Options {
    pub(crate) fn apply(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.pragma_update(None, "cache_size", -i64::from(self.cache_kib))?;
        connection.pragma_update(None, "mmap_size", i64::try_from(self.mmap_size).unwrap_or(0))?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "memory")
    }
}

/// Writes that wait for the writer thread; further callers wait for a place.
const QUEUE: usize = 1024;

/// One SQLite file of this process. Cheap to clone; the last clone's drop writes what is queued and closes the file.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` once closing.
    jobs: Option<mpsc::Sender<Job>>,
    committed: watch::Sender<u64>,
    readers: Readers,
    blocking: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    _lock: Lock,
}

impl Database {
    /// Opens the file with the default [`Options`]; see [`Database::open_with`].
    pub fn open(path: &Path, migrations: &[&str]) -> Result<Self, Error> {
        Self::open_with(path, migrations, Options::default())
    }

    /// Opens or makes the file (and its folder) and runs the migrations that it lacks, each in a transaction;
    /// `PRAGMA user_version` counts them. Migrations are only ever appended to.
    ///
    /// # Errors
    /// [`Error::Unwritable`], [`Error::Locked`], [`Error::NewerSchema`], [`Error::Corrupt`], [`Error::Full`].
    pub fn open_with(path: &Path, migrations: &[&str], options: Options) -> Result<Self, Error> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|source| Error::unwritable(folder, source))?;
        let lock = Lock::take(path)?;
        Error::blame(folder);
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "page_size", options.page_size)?;
        options.apply(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        // A log that grew during a burst is cut back, rather than kept for ever at its largest.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        migrate(&mut connection, path, migrations)?;
        let checkpoints = Checkpoints::begin(path, &connection, options.wal_pages)?;

        let (sender, receiver) = mpsc::channel(QUEUE);
        let (committed, _) = watch::channel(0);
        let thread = {
            let (folder, committed) = (folder.to_owned(), committed.clone());
            std::thread::Builder::new()
                .name("sqlite-writer".to_owned())
                .spawn(move || writer::run(connection, checkpoints, &folder, receiver, &committed))
                .map_err(|source| Error::unwritable(folder_of(path), source))?
        };
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                jobs: Some(sender),
                committed,
                readers: Readers::new(path.to_owned(), options),
                blocking: Arc::new(Semaphore::new(MAX_BLOCKING)),
                writer: Some(thread),
                _lock: lock,
            }),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs the closure in a savepoint of the current group of writes.
    ///
    /// `Ok` is returned after the group's commit was synced to disk. `Err` rolls back this closure alone. The closure
    /// runs on the writer thread, so it must be short; once it has been queued it runs even if the caller goes away.
    /// A panic in it is carried to the caller.
    ///
    /// # Errors
    /// The closure's own; [`Error::Full`] and the like when the group cannot be committed; [`Error::Closed`].
    pub async fn write<T, E>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs()?;
        jobs.send(job(f, |outcome| drop(answer.send(outcome))))
            .await
            .map_err(|_| Error::Closed)?;
        match answered.await {
            Ok(Outcome::Returned(result)) => result,
            Ok(Outcome::Panicked(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Closed.into()),
        }
    }

    /// Like [`write`](Self::write) where nothing is asynchronous yet: while a store is being opened. It blocks the
    /// thread until the commit.
    pub fn write_now<T, E>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let queued = self
            .jobs()?
            .try_send(job(f, move |outcome| drop(answer.send(outcome))));
        queued.map_err(|_| Error::Busy)?;
        match answered.recv() {
            Ok(Outcome::Returned(result)) => result,
            Ok(Outcome::Panicked(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Closed.into()),
        }
    }

    /// Waits for a place in the queue of writes. What is sent with the permit cannot be refused any more, which lets a
    /// caller change its own state and queue the write in one step.
    pub async fn reserve(&self) -> Result<Permit<'_>, Error> {
        self.jobs()?
            .reserve()
            .await
            .map(Permit)
            .map_err(|_| Error::Closed)
    }

    fn jobs(&self) -> Result<&mpsc::Sender<Job>, Error> {
        self.inner.jobs.as_ref().ok_or(Error::Closed)
    }

    /// Reads on the calling thread, from the last commit. For reads of microseconds: a point look-up, a page.
    pub fn read<T, E: From<Error>>(&self, f: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        self.inner.readers.with(f)
    }

    /// Reads off the runtime's threads. For scans and large values; a few at a time.
    pub async fn read_blocking<T, E>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = self
            .inner
            .blocking
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let database = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = database.read(f);
            drop(permit);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Error::Closed.into()),
            },
        }
    }

    /// Counts commits; changes after each group that wrote something.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.inner.committed.subscribe()
    }
}

/// A place in the queue of writes.
pub struct Permit<'a>(mpsc::Permit<'a, Job>);

impl Permit<'_> {
    /// Queues a write. `done` runs on the writer thread after the group's fate is known, before the next group begins:
    /// follow-ups run in the order of the commits. It must be short, and must not write to the same database.
    pub fn send<T, E>(
        self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        done: impl FnOnce(Result<T, E>) + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.0.send(job(f, |outcome| match outcome {
            Outcome::Returned(result) => done(result),
            Outcome::Panicked(panic) => resume_unwind(panic),
        }));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            // A write that held the last clone drops it on the writer's own thread, which cannot wait for itself.
            && writer.thread().id() != std::thread::current().id()
        {
            drop(writer.join());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), Error> {
    let found: usize = connection
        .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        .map(|version| usize::try_from(version).unwrap_or(usize::MAX))?;
    if found > migrations.len() {
        return Err(Error::NewerSchema {
            path: path.to_owned(),
            found,
            known: migrations.len(),
        });
    }
    for (version, migration) in migrations.iter().enumerate().skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(version + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}
