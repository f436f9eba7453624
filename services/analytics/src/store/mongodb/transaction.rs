//! Transactions that are tried again as long as that can help.

use std::time::Duration;

use mongodb::ClientSession;
use mongodb::Database;
use mongodb::options::ReadConcern;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::Error;
use super::failure::Failure;
use super::{MongoDb, PATIENCE, server};

/// The wait after the first conflict; doubled up to the most, and a random part of it taken.
const RETRY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));

/// Conflicts after which something else than another flush is in the way: half a second or more.
const PERSISTENT: u32 = 8;

/// How often a commit is sent again whose outcome is unknown, before somebody looks what became of it.
const COMMITS: u32 = 3;

/// What is done in a transaction, maybe more than once.
pub(super) trait Work: Sync {
    /// What comes of it.
    type Done: Send;

    /// Begins a session for it.
    fn begin(&self, database: &Database) -> impl Future<Output = Result<ClientSession, Failure>> + Send;

    /// Does it; commits nothing.
    fn run(
        &self,
        database: &Database,
        session: &mut ClientSession,
    ) -> impl Future<Output = Result<Self::Done, Failure>> + Send;
}

impl MongoDb {
    /// Runs the work in a transaction and commits it. What is transient is tried again within [`PATIENCE`]; after
    /// [`Failure::Unknown`] the caller has to look. A session is begun by `begin` when the slot has none; after what may
    /// have left a transaction open it is dropped.
    pub(super) async fn transaction<W: Work>(
        &self,
        slot: &mut Option<ClientSession>,
        work: &W,
    ) -> Result<W::Done, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut failures = 0;
        loop {
            let attempt = async {
                let database = self.server.database().await?;
                // Out of the slot: should this be given up half-way, nobody goes on with it.
                let mut session = match slot.take() {
                    Some(session) => session,
                    None => work.begin(database).await?,
                };
                session
                    .start_transaction()
                    .read_concern(ReadConcern::snapshot())
                    .write_concern(server::majority())
                    .await?;
                let result = match work.run(database, &mut session).await {
                    Ok(done) => commit(&mut session).await.map(|()| done),
                    Err(failure) => {
                        // When this does not reach the server, the session is ended by who takes the work up.
                        session.abort_transaction().await.ok();
                        Err(failure)
                    }
                };
                // Where the server answered, it is as good as before. Where others are in the way for long, they may be what
                // is left of an owner before, which a new session ends.
                let answered = match &result {
                    Ok(_) | Err(Failure::Moved | Failure::Final(Error::Stale)) => true,
                    Err(Failure::Conflicted(_)) => failures < PERSISTENT,
                    Err(_) => false,
                };
                if answered {
                    *slot = Some(session);
                }
                result
            };
            let result = timeout_at(deadline, attempt).await.unwrap_or_else(|_| {
                let text = format!("no answer within {} s", PATIENCE.as_secs());
                Err(Failure::Unknown(Error::Unavailable(text)))
            });
            match result {
                Err(Failure::Conflicted(_) | Failure::Transient(_)) if Instant::now() < deadline => {
                    metrics::counter!("analytics_store_retries_total").increment(1);
                    let (first, most) = RETRY;
                    let pause = first.saturating_mul(2_u32.saturating_pow(failures)).min(most);
                    failures += 1;
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                }
                result => return result,
            }
        }
    }
}

async fn commit(session: &mut ClientSession) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match session.commit_transaction().await.map_err(Failure::from) {
            // The same commit again: it is carried out once, however often it is asked for.
            Err(Failure::Unknown(_)) if attempts < COMMITS => {}
            result => return result,
        }
    }
}
