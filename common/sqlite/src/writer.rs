use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::checkpoint::Checkpoints;

/// A write that waits in the queue. Given the group's transaction it runs; given the error that kept the group from
/// beginning it fails with that. Returns what to do once the group's fate is known.
pub(crate) type Job = Box<dyn FnOnce(Result<&Transaction<'_>, &Error>) -> Ran + Send>;

/// Answers a write; gets the group's error if the commit failed.
type Finish = Box<dyn FnOnce(Result<(), &Error>) + Send>;

/// A write that ran inside the group.
pub(crate) struct Ran {
    /// Whether its changes go into the commit.
    keep: bool,
    finish: Finish,
}

/// What a closure came to: its result, or its panic, which is carried to whoever called.
pub(crate) enum Outcome<T, E> {
    Returned(Result<T, E>),
    Panicked(Box<dyn Any + Send>),
}

/// Makes a job of a closure and of what is to be done with its outcome.
pub(crate) fn job<T, E>(
    f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    done: impl FnOnce(Outcome<T, E>) + Send + 'static,
) -> Job
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    Box::new(move |transaction| {
        let outcome = match transaction.map(|transaction| catch_unwind(AssertUnwindSafe(|| f(transaction)))) {
            Ok(Ok(result)) => Outcome::Returned(result),
            Ok(Err(panic)) => Outcome::Panicked(panic),
            Err(error) => Outcome::Returned(Err(error.again().into())),
        };
        Ran {
            keep: matches!(outcome, Outcome::Returned(Ok(_))),
            finish: Box::new(move |committed| {
                done(match (outcome, committed) {
                    (Outcome::Returned(Ok(_)), Err(error)) => Outcome::Returned(Err(error.again().into())),
                    (outcome, _) => outcome,
                });
            }),
        }
    })
}

/// More writes than this do not share a commit, so that the first of them need not wait for ever.
const MAX_GROUP: usize = 512;

/// The writer thread: takes what waits, runs it in one transaction, commits, answers. Ends when the queue is closed and
/// empty, so that whatever was queued before the database was dropped is still written.
pub(crate) fn run(
    mut connection: Connection,
    checkpoints: Checkpoints,
    folder: &Path,
    mut jobs: mpsc::Receiver<Job>,
    committed: &watch::Sender<u64>,
) {
    Error::blame(folder);
    while let Some(first) = jobs.blocking_recv() {
        let mut ran = Vec::new();
        let result = group(&mut connection, first, &mut jobs, &mut ran);
        if let Err(error) = &result {
            tracing::warn!(%error, writes = ran.len(), "could not commit a group of writes");
        } else if ran.iter().any(|ran| ran.keep) {
            committed.send_modify(|commits| *commits += 1);
        }
        for ran in ran {
            // What follows a commit is the caller's; its panic must not take the writer of everybody else with it.
            let finish = AssertUnwindSafe(|| (ran.finish)(result.as_ref().copied()));
            if catch_unwind(finish).is_err() {
                tracing::error!("the follow-up of a write panicked");
            }
        }
        checkpoints.after_commit(&connection);
    }
}

fn group(
    connection: &mut Connection,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    ran: &mut Vec<Ran>,
) -> Result<(), Error> {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = Error::from(error);
            ran.push(first(Err(&error)));
            return Err(error);
        }
    };
    let mut next = Some(first);
    while let Some(job) = next {
        if let Err(error) = savepoint(&transaction) {
            // A job that is dropped would leave whoever waits for its follow-up waiting for ever.
            ran.push(job(Err(&error)));
            return Err(error);
        }
        let one = job(Ok(&transaction));
        let keep = one.keep;
        ran.push(one);
        if transaction.is_autocommit() {
            // SQLite itself rolls everything back on a full disk and on I/O errors: nothing of the group is left.
            return Err(Error::TakenAlong);
        }
        if !keep {
            transaction.prepare_cached("ROLLBACK TO write")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE write")?.execute([])?;
        next = if ran.len() < MAX_GROUP {
            jobs.try_recv().ok()
        } else {
            None
        };
    }
    if ran.iter().any(|ran| ran.keep) {
        transaction.commit()?
    } else {
        transaction.rollback()?
    }
    Ok(())
}

fn savepoint(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.prepare_cached("SAVEPOINT write")?.execute([])?;
    Ok(())
}
