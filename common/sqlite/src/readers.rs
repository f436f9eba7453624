use std::path::PathBuf;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};

use crate::{Error, Options};

/// Reader connections, made when first needed and kept.
///
/// A statement that reads sees the last commit before it began and never waits for the writer (WAL).
pub(crate) struct Readers {
    path: PathBuf,
    options: Options,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
}

/// More readers than this wait for each other; a read holds its connection for microseconds.
const MAX_OPEN: usize = 8;

/// Of those, as many may be used by longer reads, so that a short one always finds a connection.
pub(crate) const MAX_BLOCKING: usize = 4;

impl Readers {
    pub(crate) fn new(path: PathBuf, options: Options) -> Self {
        Self {
            path,
            options,
            pool: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    pub(crate) fn with<T, E: From<Error>>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let lease = self.lease()?;
        // A closure that panics half way through a statement gives its connection back all the same: statements are
        // reset when they are dropped.
        f(&lease)
    }

    fn lease(&self) -> Result<Lease<'_>, Error> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(Lease {
                    readers: self,
                    connection: Some(connection),
                });
            }
            if pool.open < MAX_OPEN {
                pool.open += 1;
                drop(pool);
                return match self.open() {
                    Ok(connection) => Ok(Lease {
                        readers: self,
                        connection: Some(connection),
                    }),
                    Err(error) => {
                        self.pool.lock().open -= 1;
                        self.returned.notify_one();
                        Err(error)
                    }
                };
            }
            self.returned.wait(&mut pool);
        }
    }

    fn open(&self) -> Result<Connection, Error> {
        // Not SQLITE_OPEN_READ_ONLY: the first reader of a WAL file may have to make its index.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        self.options.apply(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl std::ops::Deref for Lease<'_> {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "only drop takes the connection out")]
    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("the lease has its connection until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.readers.pool.lock().idle.extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}
