//! A process that is killed while it commits: what it acknowledged is there, and of every transaction all or nothing.
//!
//! The process is the test's own program, run again for the one test that [`child`] is.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::tools::{collections, message};
use super::{Fixture, Show, show};
use crate::{Location, Query, Store, Transaction};

/// How often it is killed.
const KILLS: u32 = 12;
/// Transactions of the process that are under way at any time.
const WRITERS: u32 = 4;

const PLACE: &str = "MARQUEE_TEST_CHILD_STORE";
const ROUND: &str = "MARQUEE_TEST_CHILD_ROUND";

fn to_text(location: &Location) -> String {
    match location {
        Location::Sqlite(file) => format!("sqlite {}", file.display()),
        #[cfg(feature = "mongodb")]
        Location::MongoDb(settings) => format!("mongodb {} {}", settings.database, settings.uri),
    }
}

fn from_text(text: &str) -> Location {
    match text.split_once(' ').unwrap() {
        ("sqlite", file) => Location::Sqlite(file.into()),
        #[cfg(feature = "mongodb")]
        ("mongodb", place) => {
            let (database, uri) = place.split_once(' ').unwrap();
            let (database, uri) = (database.to_owned(), uri.to_owned());
            Location::MongoDb(crate::mongodb::Settings { uri, database })
        }
        _ => panic!("no location: {text}"),
    }
}

/// Commits until it is killed, and says what was acknowledged; nothing when it is not run by the test below.
pub fn child() {
    let (Ok(place), Ok(round)) = (std::env::var(PLACE), std::env::var(ROUND)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&from_text(&place), &collections()).await.unwrap();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(store.clone(), format!("{round}-{writer}"))))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write(store: Store, name: String) {
    for n in 0..100_000 {
        let id = format!("{name}-{n}");
        let transaction = Transaction::new()
            .insert(&show(&id, n))
            .unwrap()
            .increment(&name, 1)
            .publish(message(&id, &name));
        store.commit(transaction).await.unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(format!("acknowledged {id}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

pub async fn a_killed_process_leaves_state_and_message_or_neither<F: Fixture>() {
    let fixture = F::start().await;
    let location = to_text(&fixture.location());
    // A file has one process at a time.
    let mut data = fixture.close();
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let place = location.clone();
        // Killed at another moment each time.
        let more = tokio::task::spawn_blocking(move || killed(&place, round, 3 + 7 * round as usize % 40));
        acknowledged.extend(more.await.unwrap());
        let fixture = F::open(data).await;
        compare(&fixture.store(), &acknowledged, round).await;
        data = fixture.close();
    }
}

/// Runs the process until it has acknowledged so many transactions; what it acknowledged.
fn killed(place: &str, round: u32, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "commits_until_it_is_killed",
        ])
        .env(PLACE, place)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut ended = false;
    for line in out.lines() {
        // The test runner prefixes its own words to a line.
        if let Some((_, id)) = line.unwrap().split_once("acknowledged ") {
            acknowledged.push(id.to_owned());
        }
        if acknowledged.len() >= after && !ended {
            child.kill().unwrap();
            ended = true;
        }
    }
    child.wait().unwrap();
    assert!(
        ended,
        "the process ended by itself in round {round}: {acknowledged:?}"
    );
    acknowledged
}

async fn compare(store: &Store, acknowledged: &BTreeSet<String>, round: u32) {
    let mut documents = BTreeSet::new();
    let mut token = String::new();
    loop {
        let page = store
            .query::<Show>(Query::all().limit(1000).after(&token))
            .await
            .unwrap();
        documents.extend(page.items.into_iter().map(|stored| stored.value.id.clone()));
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    let lost: Vec<_> = acknowledged.difference(&documents).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let outbox = store.outbox();
    let pending = outbox.pending(100_000).await.unwrap();
    outbox.release().await;
    let messages: BTreeSet<String> = pending
        .iter()
        .map(|(_, outgoing)| outgoing.message.id.clone())
        .collect();
    assert_eq!(messages.len(), pending.len(), "no message is there twice");
    assert_eq!(messages, documents, "state and message, or neither");
    for writer in 0..WRITERS {
        let name = format!("{round}-{writer}");
        let committed = documents
            .iter()
            .filter(|id| id.starts_with(&format!("{name}-")))
            .count();
        // Patience: the server may hold what the dead process was writing.
        let counted = tokio::time::timeout(Duration::from_secs(20), store.counter(&name)).await;
        assert_eq!(
            counted.unwrap().unwrap(),
            i64::try_from(committed).unwrap(),
            "{name}"
        );
    }
}
