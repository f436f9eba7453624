//! Moving the write-ahead log into the file, beside the writer rather than in its way.
//!
//! SQLite's own automatic checkpoint runs inside the commit that makes the log too long: tens of milliseconds with two
//! fsyncs, for which that commit and all behind it wait. Here a thread of its own does most of it while writes go on. But
//! a log that is written all the time never gets to its end that way, and would grow for ever; so the writer itself moves
//! the little that has come meanwhile, after which its next commit begins the log anew.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use crate::Error;

thread_local! {
    /// Pages that the log had after this thread's last commit.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

pub(crate) struct Checkpoints {
    limit: u32,
    /// `None` once closing.
    wake: Option<SyncSender<()>>,
    /// Set when the thread has moved all that there was when it began.
    moved: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// So many times the limit, and the writer waits for the log to be moved: the disk cannot keep up otherwise.
const FAR_BEHIND: u32 = 8;

impl Checkpoints {
    /// Of the file that `writer` writes, whenever the log is longer than so many pages.
    pub(crate) fn begin(path: &Path, writer: &Connection, limit: u32) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // It takes the place of the automatic checkpoint.
        writer.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages.unsigned_abs());
            Ok(())
        }));
        let (wake, woken) = sync_channel(1);
        let moved = Arc::new(AtomicBool::new(false));
        let thread = {
            let moved = moved.clone();
            std::thread::Builder::new()
                .name("sqlite-checkpt".to_owned())
                .spawn(move || move_on_demand(&connection, &woken, &moved))
                .map_err(|source| Error::unwritable(path, source))?
        };
        Ok(Self {
            limit,
            wake: Some(wake),
            moved,
            thread: Some(thread),
        })
    }

    /// On the writer thread, after each group has been answered.
    pub(crate) fn after_commit(&self, writer: &Connection) {
        let pages = LOG_PAGES.get();
        if self.moved.swap(false, Ordering::AcqRel) || pages > self.limit.saturating_mul(FAR_BEHIND) {
            checkpoint(writer);
            LOG_PAGES.set(0);
        } else if pages > self.limit
            && let Some(wake) = &self.wake
        {
            // Full means that it has been told already.
            let _told = wake.try_send(());
        }
    }
}

fn move_on_demand(connection: &Connection, woken: &Receiver<()>, moved: &AtomicBool) {
    while woken.recv().is_ok() {
        checkpoint(connection);
        moved.store(true, Ordering::Release);
    }
}

/// Moves what can be moved without waiting for anybody. What fails is tried again with the next one.
fn checkpoint(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "cannot move the write-ahead log into the database");
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
