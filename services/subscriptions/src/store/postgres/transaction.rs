//! Transactions that are done again when they collide, and single reads.

use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep};

use super::connections::{Connections, Lent};
use super::error::{Abort, Trouble};
use crate::store::Error;
use crate::store::measure::{Measured, Operation};

/// `transaction!(connections, operation, |tx| { work })` runs the work in a SERIALIZABLE transaction and commits it: the
/// isolation that CockroachDB has as its default and PostgreSQL checks. What collides with another transaction leaves no
/// trace and is done again, which is why the work may run more than once and must do nothing but ask the server.
///
/// A connection that is lost before the commit is replaced by another one. Lost while committing, nobody knows whether
/// the change was made: it is not made a second time, and the caller is told.
///
/// A macro, since the compiler cannot prove yet that the future of a closure that is handed around is `Send`.
macro_rules! transaction {
    ($connections:expr, $operation:expr, |$tx:ident| $work:block) => {{
        let mut run = $crate::store::postgres::transaction::Run::begin(&$connections, $operation);
        loop {
            let attempt = async {
                let mut lent = run.open().await?;
                let $tx = lent.connection();
                let result: Result<_, $crate::store::postgres::error::Abort> = async { $work }.await;
                $crate::store::postgres::transaction::close(lent, result).await
            };
            let attempt = tokio::time::timeout($crate::store::postgres::transaction::ATTEMPT, attempt).await;
            if let Some(result) = run.end(attempt).await {
                break result;
            }
        }
    }};
}
pub(super) use transaction;

/// `read!(connections, operation, |connection| { ask })` asks with one statement, which needs no transaction of ours.
/// It may be run again, after a connection was lost.
macro_rules! read {
    ($connections:expr, $operation:expr, |$connection:ident| $ask:block) => {{
        let mut run = $crate::store::postgres::transaction::Run::begin(&$connections, $operation);
        loop {
            let attempt = async {
                let mut lent = run.lend().await?;
                let $connection = lent.connection();
                let result: Result<_, sqlx::Error> = async { $ask }.await;
                $crate::store::postgres::transaction::hand_back(lent, result)
            };
            let attempt = tokio::time::timeout($crate::store::postgres::transaction::ATTEMPT, attempt).await;
            if let Some(result) = run.end(attempt).await {
                break result;
            }
        }
    }};
}
pub(super) use read;

/// How long one attempt may take, with everything: a server that stands still without closing its connections is given up.
pub(super) const ATTEMPT: Duration = Duration::from_secs(8);
/// No attempt begins after so long.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a transaction is done at most. Among as many as there are connections one always commits, so that this
/// suffices for any load that the server keeps up with.
const ATTEMPTS: u32 = 50;
/// How often a unique value may turn out to be taken: once by somebody who was faster, and again by somebody else.
const TAKEN: u32 = 3;
/// How often a connection may be lost.
const LOST: u32 = 3;
/// The longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Counts what went wrong with one transaction.
struct Retries {
    begun: Instant,
    attempts: u32,
    taken: u32,
    lost: u32,
}

impl Retries {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            attempts: 0,
            taken: 0,
            lost: 0,
        }
    }

    /// How long to pause before the next attempt, if there is to be one.
    fn after(&mut self, trouble: &Trouble) -> Option<Duration> {
        self.attempts += 1;
        let again = match trouble {
            Trouble::Contended(_) => true,
            Trouble::Taken(_) => {
                self.taken += 1;
                self.taken < TAKEN
            }
            Trouble::Lost(_) => {
                self.lost += 1;
                self.lost < LOST
            }
            Trouble::Unavailable { .. } | Trouble::Full(_) | Trouble::Broken(_) => false,
        };
        if !again || self.attempts >= ATTEMPTS || self.begun.elapsed() > PATIENCE {
            return None;
        }
        // Full jitter over a growing window: those who collided do not meet again.
        let window = Duration::from_millis(2 << self.attempts.min(7)).min(MAX_PAUSE);
        Some(window.mul_f64(rand::random_range(0.0..1.0)))
    }
}

/// One transaction or read, with all its attempts.
pub(super) struct Run<'a> {
    connections: &'a Connections,
    operation: Operation,
    measured: Option<Measured>,
    retries: Retries,
}

impl<'a> Run<'a> {
    pub(super) fn begin(connections: &'a Connections, operation: Operation) -> Self {
        Self {
            connections,
            operation,
            measured: Some(operation.begin()),
            retries: Retries::new(),
        }
    }

    /// A connection.
    pub(super) async fn lend(&self) -> Result<Lent<'a>, Abort> {
        if !self.connections.prepared() {
            return Err(Error::Unavailable("the database is not prepared yet".into()).into());
        }
        self.connections.acquire().await.map_err(Abort::Trouble)
    }

    /// A connection on which a transaction was begun.
    pub(super) async fn open(&self) -> Result<Lent<'a>, Abort> {
        let mut lent = self.lend().await?;
        lent.connection()
            .execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            .await?;
        Ok(lent)
    }

    /// What the attempt came to, unless there is to be another one.
    pub(super) async fn end<T>(
        &mut self,
        attempt: Result<Result<T, Abort>, Elapsed>,
    ) -> Option<Result<T, Error>> {
        let result = match attempt {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(Abort::Decided(error))) => Err(error),
            Ok(Err(Abort::Trouble(trouble))) => {
                if matches!(trouble, Trouble::Lost(_)) {
                    self.connections.forget_idle();
                }
                if let Some(pause) = self.retries.after(&trouble) {
                    tracing::debug!(operation = self.operation.name, %trouble, "trying again");
                    sleep(pause).await;
                    return None;
                }
                Err(trouble.into())
            }
            Err(_) => {
                let text = format!("{} does not answer", self.connections.server());
                Err(Trouble::unavailable(text).into())
            }
        };
        if let Some(measured) = self.measured.take() {
            measured.end(&result);
        }
        Some(result)
    }
}

/// Commits what went well, and rolls back what did not.
pub(super) async fn close<T>(mut lent: Lent<'_>, result: Result<T, Abort>) -> Result<T, Abort> {
    match result {
        Ok(result) => match commit(lent.connection()).await {
            Ok(()) => {
                lent.give_back();
                Ok(result)
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Contended(_) | Trouble::Taken(_)) {
                    lent.give_back();
                }
                Err(Abort::Trouble(trouble))
            }
        },
        Err(abort) => {
            let lost = matches!(abort, Abort::Trouble(Trouble::Lost(_)));
            if !lost && lent.connection().execute("ROLLBACK").await.is_ok() {
                lent.give_back();
            }
            Err(abort)
        }
    }
}

async fn commit(connection: &mut PgConnection) -> Result<(), Trouble> {
    match connection.execute("COMMIT").await.map_err(Trouble::from) {
        Ok(_) => Ok(()),
        Err(Trouble::Lost(error)) => Err(Trouble::Unavailable {
            text: "the connection was lost while committing: the change may have been made".to_owned(),
            source: Some(error),
        }),
        Err(trouble) => Err(trouble),
    }
}

/// Keeps the connection unless it is lost.
pub(super) fn hand_back<T>(lent: Lent<'_>, result: Result<T, sqlx::Error>) -> Result<T, Abort> {
    let result = result.map_err(Trouble::from);
    if !matches!(result, Err(Trouble::Lost(_))) {
        lent.give_back();
    }
    result.map_err(Abort::Trouble)
}
