//! What a process leaves behind that is killed in the middle of writing.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::*;

/// In the environment of the process that is killed: the place that it writes to.
pub(super) const PLACE: &str = "MARQUEE_TEST_KILLED_WRITER";
const WRITERS: usize = 4;
/// Longer than it lives.
const LIFE: Duration = Duration::from_secs(60);

/// The test runs itself once more, in a process that writes until it is killed and says what was acknowledged.
pub(crate) async fn a_process_that_is_killed_leaves_state_and_message_both_or_neither<B: Backend>(
    backend: &B,
) {
    if let Ok(place) = std::env::var(PLACE) {
        let (place, round) = place.rsplit_once('#').unwrap();
        let store = B::open_place(place).await;
        let writing = join_writers(&*store, round);
        let _never_ends = timeout(LIFE, writing).await;
        return;
    }
    drop(backend.open().await);
    let mut acknowledged = HashMap::new();
    for (round, after) in [1, 17, 40, 90].into_iter().enumerate() {
        acknowledged.extend(killed(backend, round, after).await);
    }

    let store = backend.open().await;
    let told: HashSet<String> = store
        .outbox()
        .pending(100_000)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, outgoing)| outgoing.message.key)
        .collect();
    let mut found = 0;
    for (writer, count) in acknowledged {
        // What was being written when the process was killed may be there or not.
        for n in 0..=count {
            let name = AccountName::new(format!("{writer}n{n}")).unwrap();
            let there = store.account(&name).await.unwrap().is_some();
            assert!(there || n == count, "{name} was acknowledged");
            assert_eq!(there, told.contains(&name.to_string()), "{name}");
            found += usize::from(there);
        }
    }
    assert_eq!(found, told.len());
}

async fn join_writers(store: &dyn Store, round: &str) {
    futures::future::join_all((0..WRITERS).map(|writer| async move {
        for n in 0.. {
            let writer = format!("r{round}w{writer}");
            registered(store, &format!("{writer}n{n}")).await;
            println!("acknowledged {writer} {n}.");
        }
    }))
    .await;
}

/// How many were acknowledged to each writer of a process that is killed after so many in all.
async fn killed<B: Backend>(backend: &B, round: usize, after: usize) -> HashMap<String, usize> {
    let module = std::any::type_name::<B>();
    let module = module.rsplit_once("::").unwrap().0;
    let module = module.split_once("::").unwrap().1;
    let name = format!("{module}::a_process_that_is_killed_leaves_state_and_message_both_or_neither");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            &name,
            "--exact",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(PLACE, format!("{}#{round}", backend.place()))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut counts = HashMap::new();
    let mut all = 0;
    while let Some(line) = timeout(LIFE, lines.next_line())
        .await
        .expect("it writes nothing")
        .unwrap()
    {
        // A line without its end was cut off by the kill.
        let line = line
            .strip_suffix('.')
            .and_then(|line| line.split_once("acknowledged "));
        let Some((writer, n)) = line.and_then(|(_, line)| line.split_once(' ')) else {
            continue;
        };
        counts.insert(writer.to_owned(), n.parse::<usize>().unwrap() + 1);
        all += 1;
        if all == after {
            child.start_kill().unwrap();
        }
    }
    child.wait().await.unwrap();
    assert!(all >= after, "the process ended by itself");
    for writer in 0..WRITERS {
        counts.entry(format!("r{round}w{writer}")).or_insert(0);
    }
    counts
}
