//! Commits in groups: what waits while others are being committed goes together into one transaction of the server.
//!
//! A transaction of the server costs a round trip for each command and one for its commit, however much is in it. So one
//! that comes alone is sent at once, and those that come meanwhile share the next. Two groups that run at the same time
//! never touch the same document or counter, so that transactions of one process do not fail because of each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::commit::{self, Outcome, Refusal};
use super::plan::{Prepared, Touch};
use super::server::Server;
use crate::{Committed, Error};

/// Groups that are being committed at once.
const GROUPS: usize = 2;
/// Transactions of one group.
const MOST_MEMBERS: usize = 128;
/// Writes of one group, but for a transaction that has more.
const MOST_WRITES: usize = 1_000;
/// Transactions that wait; further ones wait for a place.
const QUEUE: usize = 1_024;
/// After so long without a commit a transaction is given up, if it was not being committed.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

struct Queued {
    prepared: Prepared,
    state: Arc<AtomicU8>,
    since: Instant,
    answer: oneshot::Sender<Result<Committed, Error>>,
}

/// Where transactions are queued. The task that commits them ends when this is dropped, after the last one.
pub(super) struct Committer {
    queue: mpsc::Sender<Queued>,
}

impl Committer {
    pub(super) fn begin(server: Arc<Server>) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        tokio::spawn(Groups::new(server).run(queued));
        Self { queue }
    }

    /// Commits it with others. What has begun goes on when the caller goes away.
    pub(super) async fn commit(&self, prepared: Prepared) -> Result<Committed, Error> {
        let state = Arc::new(AtomicU8::new(WAITING));
        let (answer, mut answered) = oneshot::channel();
        let since = Instant::now();
        let queued = Queued {
            prepared,
            state: state.clone(),
            since,
            answer,
        };
        let busy = || Error::Unavailable("mongodb: too many transactions wait".to_owned());
        let place = tokio::time::timeout(PATIENCE, self.queue.reserve()).await;
        place.map_err(|_| busy())?.map_err(|_| closed())?.send(queued);
        if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut answered).await {
            return answer.unwrap_or_else(|_| Err(closed()));
        }
        let given_up = state.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        if given_up.is_ok() {
            return Err(busy());
        }
        // It may be committed already: its outcome is found out, or the caller gives up itself.
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> Error {
    Error::Unavailable("mongodb: the store is closed".to_owned())
}

struct Groups {
    server: Arc<Server>,
    waiting: VecDeque<Queued>,
    /// What the groups touch that are being committed.
    touched: HashSet<u64>,
}

impl Groups {
    fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            waiting: VecDeque::new(),
            touched: HashSet::new(),
        }
    }

    async fn run(mut self, mut queued: mpsc::Receiver<Queued>) {
        let mut running = FuturesUnordered::new();
        let mut open = true;
        loop {
            while running.len() < GROUPS {
                let group = self.next();
                if group.is_empty() {
                    break;
                }
                let touches: Vec<u64> = touches(&group).map(|touch| touch.hash).collect();
                self.touched.extend(&touches);
                let server = self.server.clone();
                running.push(async move {
                    settle(&server, group).await;
                    touches
                });
            }
            if !open && running.is_empty() && self.waiting.is_empty() {
                return;
            }
            tokio::select! {
                Some(touches) = running.next() => {
                    for touch in touches {
                        self.touched.remove(&touch);
                    }
                }
                next = queued.recv(), if open && self.waiting.len() < QUEUE => {
                    open = next.is_some();
                    self.waiting.extend(next);
                    while let Ok(next) = queued.try_recv() {
                        self.waiting.push_back(next);
                    }
                }
            }
        }
    }

    /// Those that wait and can go together, the oldest first; none that would overtake another on the same document.
    fn next(&mut self) -> Vec<Queued> {
        let mut group = Vec::new();
        let mut in_group: HashMap<u64, bool> = HashMap::new();
        let mut overtaken: HashSet<u64> = HashSet::new();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        let mut writes = 0;
        while let Some(next) = self.waiting.pop_front() {
            let full = group.len() >= MOST_MEMBERS || writes >= MOST_WRITES;
            let size = next.prepared.ops.len();
            let fits = !full
                && (group.is_empty() || (next.prepared.reorderable && writes + size <= MOST_WRITES))
                && next.prepared.touches.iter().all(|touch| {
                    !self.touched.contains(&touch.hash)
                        && !overtaken.contains(&touch.hash)
                        && in_group
                            .get(&touch.hash)
                            .is_none_or(|shared| *shared && touch.shared)
                });
            if !fits {
                overtaken.extend(next.prepared.touches.iter().map(|touch| touch.hash));
                left.push_back(next);
                if full {
                    break;
                }
                continue;
            }
            let begun = next
                .state
                .compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire);
            if begun.is_err() || next.answer.is_closed() {
                // Nobody waits for it any more, and nothing of it was done.
                continue;
            }
            writes += size;
            in_group.extend(
                next.prepared
                    .touches
                    .iter()
                    .map(|touch| (touch.hash, touch.shared)),
            );
            let alone = !next.prepared.reorderable;
            group.push(next);
            if alone {
                break;
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        group
    }
}

fn touches(group: &[Queued]) -> impl Iterator<Item = &Touch> {
    group.iter().flat_map(|queued| &queued.prepared.touches)
}

/// Commits the group, and those that cannot go with others for themselves: only what fails alone has failed.
async fn settle(server: &Server, group: Vec<Queued>) {
    let mut left = VecDeque::from([group]);
    let mut splits = 0;
    while let Some(group) = left.pop_front() {
        match attempts(server, &group).await {
            Settled::Committed(committed) => {
                if group.iter().any(|queued| queued.prepared.publishes) {
                    server.published();
                }
                for (queued, committed) in group.into_iter().zip(committed) {
                    drop(queued.answer.send(Ok(committed)));
                }
            }
            Settled::Failed(error) if group.len() == 1 => answer(group, &|| error.again()),
            Settled::Failed(_) => split_all(&mut left, group),
            Settled::Away(why) => answer(group, &|| Error::Unavailable(format!("mongodb: {why}"))),
            Settled::Unknown(why) => {
                let text = format!("mongodb: it is not known whether the transaction was committed: {why}");
                answer(group, &|| Error::Unavailable(text.clone()));
            }
            Settled::Refused(members) if splits < 3 && members.len() < group.len() => {
                splits += 1;
                let (mut alone, mut others) = (Vec::new(), Vec::new());
                for (at, queued) in group.into_iter().enumerate() {
                    if members.contains(&at) {
                        alone.push(queued);
                    } else {
                        others.push(queued);
                    }
                }
                left.push_front(others);
                split_all(&mut left, alone);
            }
            Settled::Refused(_) => split_all(&mut left, group),
        }
    }
}

fn split_all(left: &mut VecDeque<Vec<Queued>>, group: Vec<Queued>) {
    for queued in group.into_iter().rev() {
        left.push_front(vec![queued]);
    }
}

fn answer(group: Vec<Queued>, error: &dyn Fn() -> Error) {
    for queued in group {
        drop(queued.answer.send(Err(error())));
    }
}

enum Settled {
    Committed(Vec<Committed>),
    Failed(Error),
    /// Because of these, of several.
    Refused(Vec<usize>),
    Away(String),
    Unknown(String),
}

/// Tries until there is an outcome, or those who wait have lost patience.
async fn attempts(server: &Server, group: &[Queued]) -> Settled {
    let prepared: Vec<&Prepared> = group.iter().map(|queued| &queued.prepared).collect();
    let since = group
        .iter()
        .map(|queued| queued.since)
        .min()
        .unwrap_or_else(Instant::now);
    let (mut tries, mut ordered) = (0, false);
    let mut conflicting: Option<Instant> = None;
    loop {
        let why = match commit::attempt(&server.database, &prepared, ordered).await {
            Outcome::Committed(committed) => return Settled::Committed(committed),
            Outcome::Unknown(why) => return Settled::Unknown(why),
            Outcome::Refused(refused) if group.len() > 1 => {
                return match refused.as_slice() {
                    [] => Settled::Failed(Error::Conflict),
                    refused => Settled::Refused(refused.iter().map(|(member, _)| *member).collect()),
                };
            }
            Outcome::Refused(mut refused) => match refused.pop() {
                // One of several deletions; each for itself tells which.
                None if !ordered => {
                    ordered = true;
                    continue;
                }
                None => return Settled::Failed(Error::Conflict),
                Some((_, Refusal::Error(error))) => return Settled::Failed(error),
                Some((_, Refusal::Remembered(row))) => match server.remembered(&row).await {
                    Some(error) => return Settled::Failed(error),
                    None => "an old answer was in the way".to_owned(),
                },
            },
            Outcome::Again { why, conflict } => {
                if conflict {
                    let began = *conflicting.get_or_insert_with(Instant::now);
                    server.end_abandoned(began).await;
                }
                why
            }
        };
        if since.elapsed() >= PATIENCE {
            return Settled::Away(why);
        }
        tries += 1;
        tracing::debug!(why, tries, members = group.len(), "trying a transaction again");
        let most = 2_u64 << tries.min(6);
        tokio::time::sleep(Duration::from_millis(
            1 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) % most,
        ))
        .await;
    }
}
