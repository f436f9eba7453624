//! Servers that are away, killed and started again, on one of the test's own; and processes that leave a mess.

use std::collections::BTreeSet;
use std::time::Duration;

use marquee_backends::{Backend, Home, Server};
use marquee_bus::{Message, Outgoing};
use marquee_documents::testing::{Show, show};
use marquee_documents::{Error, Query, Store, Transaction};
use mongodb::bson::{Document, doc};
use tempfile::TempDir;

use super::{Database, until};

/// A server that may be stopped.
pub(super) struct Own {
    pub(super) server: Server,
    pub(super) database: Database,
    _data: TempDir,
}

pub(super) fn own() -> Own {
    let data = tempfile::tempdir().unwrap();
    let home = Home::default().unwrap();
    marquee_backends::install(&home, Backend::MongoDb, &mut |_| {}).unwrap();
    let server = Server::start(&home, Backend::MongoDb, data.path()).unwrap();
    let database = Database::on(server.address());
    Own {
        server,
        database,
        _data: data,
    }
}

fn transaction(id: &str) -> Transaction {
    let message = Message {
        id: id.to_owned(),
        key: id.to_owned(),
        ..Message::default()
    };
    let outgoing = Outgoing {
        topic: "marquee.test.v1".into(),
        message,
    };
    Transaction::new().insert(&show(id, 1)).unwrap().publish(outgoing)
}

async fn documents(store: &Store) -> BTreeSet<String> {
    let page = store.query::<Show>(Query::all().limit(1000)).await.unwrap();
    assert!(page.next_page_token.is_none(), "more than the test can compare");
    page.items
        .into_iter()
        .map(|stored| stored.value.id.clone())
        .collect()
}

async fn messages(store: &Store) -> BTreeSet<String> {
    let pending = until("the lease", async || {
        let pending = store.outbox().pending(10_000).await.unwrap();
        (!pending.is_empty()).then_some(pending)
    })
    .await;
    let ids: BTreeSet<String> = pending
        .iter()
        .map(|(_, outgoing)| outgoing.message.id.clone())
        .collect();
    assert_eq!(ids.len(), pending.len(), "no message is there twice");
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn a_store_goes_on_after_its_server_was_stopped_and_started() {
    let mut own = own();
    let store = own.database.store().await;
    store.commit(transaction("a")).await.unwrap();
    store.ready().await.unwrap();
    own.server.stop().unwrap();
    let said = store.ready().await.unwrap_err();
    assert!(said.contains("mongodb"), "{said}");
    let read = store.get::<Show>("a").await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    let written = store.commit(transaction("b")).await;
    assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
    own.server.restart().unwrap();
    until("the store is ready again", async || store.ready().await.ok()).await;
    assert!(store.get::<Show>("a").await.unwrap().is_some());
    store.commit(transaction("c")).await.unwrap();
    assert_eq!(documents(&store).await, ["a", "c"].map(str::to_owned).into());
    assert_eq!(messages(&store).await, ["a", "c"].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn a_store_opens_while_its_server_is_away() {
    let mut own = own();
    own.server.stop().unwrap();
    let store = own.database.store().await;
    let said = store.ready().await.unwrap_err();
    assert!(said.contains("mongodb"), "{said}");
    own.server.restart().unwrap();
    until("the store is ready", async || store.ready().await.ok()).await;
    store.commit(transaction("a")).await.unwrap();
}

/// What is acknowledged has been written to the majority's journals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn a_killed_server_has_all_that_was_acknowledged_and_no_half() {
    let mut own = own();
    let store = own.database.store().await;
    let mut acknowledged = BTreeSet::new();
    let mut alone = BTreeSet::new();
    for round in 0..3 {
        let writers: Vec<_> = (0..4)
            .map(|writer| tokio::spawn(write_until_away(store.clone(), format!("{round}-{writer}"))))
            .collect();
        let enough = format!("{round}-0-");
        until("some were written", async || {
            let page = store.query::<Show>(Query::all().limit(1000)).await.unwrap();
            let ours = page
                .items
                .iter()
                .filter(|show| show.value.id.starts_with(&enough));
            (ours.count() > 5).then_some(())
        })
        .await;
        own.server.kill();
        // While the outcome of some commits is being asked for.
        own.server.restart().unwrap();
        for writer in writers {
            let (committed, put) = writer.await.unwrap();
            acknowledged.extend(committed);
            alone.extend(put);
        }
        until("the store is ready again", async || store.ready().await.ok()).await;
    }
    let documents = documents(&store).await;
    let lost: Vec<_> = acknowledged
        .union(&alone)
        .filter(|id| !documents.contains(*id))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let published: BTreeSet<_> = documents.into_iter().filter(|id| !id.ends_with('p')).collect();
    assert_eq!(messages(&store).await, published, "state and message, or neither");
}

/// Writes some in transactions and some alone, until the server has been away or there are enough; what was
/// acknowledged.
async fn write_until_away(store: Store, name: String) -> (Vec<String>, Vec<String>) {
    let (mut committed, mut put) = (Vec::new(), Vec::new());
    for n in 0..40 {
        let id = format!("{name}-{n}");
        match store.commit(transaction(&id)).await {
            Ok(_) => committed.push(id),
            Err(Error::Unavailable(_)) => return (committed, put),
            Err(error) => panic!("{error}"),
        }
        let id = format!("{name}-{n}-p");
        match store.commit(Transaction::new().put(&show(&id, 1)).unwrap()).await {
            Ok(_) => put.push(id),
            Err(Error::Unavailable(_)) => return (committed, put),
            Err(error) => panic!("{error}"),
        }
    }
    (committed, put)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn a_server_that_stands_still_is_away_and_comes_back() {
    let own = own();
    let store = own.database.store().await;
    store.commit(transaction("a")).await.unwrap();
    own.server.pause();
    let read = tokio::time::timeout(Duration::from_secs(30), store.get::<Show>("a")).await;
    assert!(matches!(read, Ok(Err(Error::Unavailable(_)))), "{read:?}");
    own.server.resume();
    until("it answers again", async || store.get::<Show>("a").await.ok()).await;
    store.commit(transaction("b")).await.unwrap();
}

/// A process that was killed within a transaction: the server would hold what it wrote for a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn what_a_dead_process_left_open_is_ended() {
    let database = Database::new();
    let store = database.store().await;
    for id in ["a", "b"] {
        store.commit(transaction(id)).await.unwrap();
    }
    let mut options = mongodb::options::ClientOptions::parse(&database.0.uri)
        .await
        .unwrap();
    options.app_name = Some(format!("marquee-{}", database.0.database));
    let dead = mongodb::Client::with_options(options).unwrap();
    let mut session = dead.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let shows = dead
        .database(&database.0.database)
        .collection::<Document>("shows");
    let update = doc! { "$set": { "etag": "never committed" } };
    shows
        .update_many(doc! {}, update)
        .session(&mut session)
        .await
        .unwrap();
    let (alone, together) = tokio::join!(
        store.commit(Transaction::new().put(&show("a", 2)).unwrap()),
        store.commit(Transaction::new().put(&show("b", 2)).unwrap().increment("n", 1)),
    );
    alone.unwrap();
    together.unwrap();
    let late = session.commit_transaction().await;
    assert!(late.is_err(), "what was ended cannot be committed");
}

/// As when thousands of streams end together. Each of them is in the driver's queue or on a connection when it goes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodb"]
async fn callers_that_leave_while_they_wait_hold_up_nobody() {
    let database = Database::new();
    let store = database.store().await;
    store
        .commit(Transaction::new().insert(&show("a", 1)).unwrap())
        .await
        .unwrap();
    for _ in 0..3 {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..3_000 {
            let store = store.clone();
            readers.spawn(async move { store.query::<Show>(Query::all()).await.map(drop) });
        }
        // Some have an answer, all others wait.
        readers.join_next().await;
        readers.shutdown().await;
    }
    assert!(store.get::<Show>("a").await.unwrap().is_some());
    assert_eq!(store.query::<Show>(Query::all()).await.unwrap().items.len(), 1);
}
