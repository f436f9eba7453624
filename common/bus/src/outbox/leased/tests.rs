//! The lease, by a paused clock, over rows that two processes share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::*;
use crate::Message;

#[derive(Default)]
struct Table {
    rows: BTreeMap<u32, ()>,
    /// What a read still finds although it was deleted.
    remains: BTreeMap<u32, ()>,
    lease: Option<(String, Instant)>,
    asked: usize,
}

/// A table with the store's own clock, which here is everybody's.
#[derive(Clone, Default)]
struct Shared {
    table: Arc<Mutex<Table>>,
    /// Reads wait for it, if there is one.
    gate: Option<Arc<Notify>>,
}

#[async_trait]
impl Rows for Shared {
    type Id = u32;

    async fn take(&self, holder: &str, lease: Duration) -> Result<bool, Error> {
        let mut table = self.table.lock();
        table.asked += 1;
        let now = Instant::now();
        let free = table
            .lease
            .as_ref()
            .is_none_or(|(other, until)| other == holder || *until <= now);
        if free {
            table.lease = Some((holder.to_owned(), now + lease));
        }
        Ok(free)
    }

    async fn read(&self, limit: usize) -> Result<Vec<(u32, Outgoing)>, Error> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let table = self.table.lock();
        let mut ids: Vec<u32> = table.rows.keys().chain(table.remains.keys()).copied().collect();
        ids.sort_unstable();
        let row = |id: u32| {
            let message = Message {
                id: id.to_string(),
                ..Message::default()
            };
            let topic = "t".into();
            (id, Outgoing { topic, message })
        };
        Ok(ids.into_iter().take(limit).map(row).collect())
    }

    async fn forget(&self, ids: &[u32]) -> Result<(), Error> {
        let mut table = self.table.lock();
        for id in ids {
            table.rows.remove(id);
            table.remains.insert(*id, ());
        }
        Ok(())
    }

    async fn release(&self, holder: &str) -> Result<(), Error> {
        let mut table = self.table.lock();
        if table.lease.as_ref().is_some_and(|(other, _)| other == holder) {
            table.lease = None;
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64, Error> {
        Ok(self.table.lock().rows.len() as u64)
    }

    fn name(&self) -> &str {
        "shared"
    }
}

impl Shared {
    fn with(ids: impl IntoIterator<Item = u32>) -> Self {
        let shared = Self::default();
        shared.add(ids);
        shared
    }

    fn add(&self, ids: impl IntoIterator<Item = u32>) {
        self.table.lock().rows.extend(ids.into_iter().map(|id| (id, ())));
    }
}

/// A process on the table.
fn process(shared: &Shared) -> Leased<Shared> {
    Leased::new(shared.clone(), watch::Sender::new(0))
}

async fn read(outbox: &impl Outbox) -> Vec<String> {
    let pending = outbox.pending(10).await.unwrap();
    pending
        .into_iter()
        .map(|(_, outgoing)| outgoing.message.id)
        .collect()
}

const NOTHING: [&str; 0] = [];

#[tokio::test(start_paused = true)]
async fn one_process_at_a_time_reads() {
    let shared = Shared::with([1, 2]);
    let (one, two) = (process(&shared), process(&shared));
    assert_eq!(read(&one).await, ["1", "2"]);
    assert_eq!(read(&two).await, NOTHING);
    one.release().await;
    two.wait().await;
    assert_eq!(read(&two).await, ["1", "2"]);
    assert_eq!(read(&one).await, NOTHING);
}

#[tokio::test(start_paused = true)]
async fn who_gave_the_lease_back_may_have_it_again_at_once() {
    let shared = Shared::with([1]);
    let one = process(&shared);
    assert_eq!(read(&one).await, ["1"]);
    one.release().await;
    assert_eq!(read(&one).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_holder_stops_before_another_one_may_begin() {
    let shared = Shared::with([1]);
    let (one, two) = (process(&shared), process(&shared));
    assert_eq!(read(&one).await, ["1"]);
    sleep(LEASE - MARGIN).await;
    assert!(!one.state.lock().holds());
    assert_eq!(read(&two).await, NOTHING, "it is not over by the store's clock");
    sleep(MARGIN).await;
    assert_eq!(read(&two).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_until_after_the_lease_is_not_given_out() {
    let mut shared = Shared::with([1]);
    let gate = Arc::new(Notify::new());
    shared.gate = Some(gate.clone());
    let one = process(&shared);
    let slow = async {
        sleep(LEASE).await;
        gate.notify_one();
    };
    let (found, ()) = tokio::join!(read(&one), slow);
    assert_eq!(found, NOTHING);
    gate.notify_one();
    assert_eq!(read(&one).await, ["1"], "with a new lease");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_it_is_held() {
    let shared = Shared::with([1]);
    let (one, two) = (process(&shared), process(&shared));
    assert_eq!(read(&one).await, ["1"]);
    assert!(timeout(LEASE * 3, one.hold()).await.is_err());
    assert_eq!(read(&two).await, NOTHING);
    assert_eq!(read(&one).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_asks_now_and_then() {
    let shared = Shared::with([1]);
    let (one, two) = (process(&shared), process(&shared));
    read(&one).await;
    for _ in 0..10 {
        read(&two).await;
    }
    assert_eq!(shared.table.lock().asked, 2);
    two.wait().await;
    read(&two).await;
    assert_eq!(shared.table.lock().asked, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_and_still_seen_is_not_given_out_again() {
    let shared = Shared::with(1..=3);
    let one = process(&shared);
    let pending = one.pending(2).await.unwrap();
    one.published(pending[1].0).await.unwrap();
    assert_eq!(read(&one).await, ["3"]);
    assert_eq!(one.state.lock().forgotten.len(), 2);
    shared.table.lock().remains.clear();
    assert_eq!(read(&one).await, ["3"]);
    assert_eq!(one.state.lock().forgotten.len(), 0, "they are gone for good");
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_before_rows_that_were_read_is_not_forgotten_with_them() {
    let shared = Shared::with([5, 6]);
    let one = process(&shared);
    let pending = one.pending(10).await.unwrap();
    shared.add([1]);
    one.published(pending[1].0).await.unwrap();
    assert_eq!(read(&one).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_wakes_its_holder_and_others_are_looked_for() {
    let shared = Shared::with([1]);
    let one = process(&shared);
    read(&one).await;
    let begun = Instant::now();
    one.wake();
    one.wait().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    read(&one).await;
    one.wait().await;
    assert!(begun.elapsed() >= LOOK);
}
