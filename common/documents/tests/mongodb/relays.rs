//! The lease of the outbox.

use marquee_bus::{Message, Outgoing};
use marquee_documents::{Store, Transaction};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, Timestamp, doc};

use super::outages::own;
use super::{Database, until};

async fn publish(store: &Store, id: &str) {
    let message = Message {
        id: id.to_owned(),
        key: "k".to_owned(),
        ..Message::default()
    };
    let outgoing = Outgoing {
        topic: "marquee.test.v1".into(),
        message,
    };
    store.commit(Transaction::new().publish(outgoing)).await.unwrap();
}

async fn pending(store: &Store) -> Vec<String> {
    let pending = store.outbox().pending(100).await.unwrap();
    pending
        .into_iter()
        .map(|(_, outgoing)| outgoing.message.id)
        .collect()
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn one_of_two_processes_relays_what_both_publish() {
    let database = Database::new();
    let (one, two) = (database.store().await, database.store().await);
    publish(&one, "1").await;
    assert_eq!(pending(&one).await, ["1"]);
    publish(&two, "2").await;
    assert_eq!(pending(&two).await, Vec::<String>::new());
    assert_eq!(pending(&one).await, ["1", "2"]);
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_relay_that_ends_lets_another_go_on_at_once() {
    let database = Database::new();
    let (one, two) = (database.store().await, database.store().await);
    publish(&one, "1").await;
    assert_eq!(pending(&one).await, ["1"]);
    one.outbox().release().await;
    assert_eq!(pending(&two).await, ["1"]);
    assert_eq!(pending(&one).await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_relay_that_dies_is_replaced() {
    let database = Database::new();
    let (one, two) = (database.store().await, database.store().await);
    publish(&one, "1").await;
    assert_eq!(pending(&one).await, ["1"]);
    drop(one);
    let taken = until("the lease runs out", async || {
        let pending = pending(&two).await;
        (!pending.is_empty()).then_some(pending)
    });
    assert_eq!(taken.await, ["1"]);
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn a_relay_that_holds_on_keeps_its_lease_however_long_a_batch_takes() {
    let database = Database::new();
    let (one, two) = (database.store().await, database.store().await);
    publish(&one, "1").await;
    assert_eq!(pending(&one).await, ["1"]);
    let outbox = one.outbox();
    // Longer than the lease.
    let busy = tokio::time::sleep(std::time::Duration::from_secs(7));
    tokio::select! {
        () = outbox.hold() => panic!("it ends only with the relay"),
        () = busy => {}
    }
    assert_eq!(pending(&two).await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs mongodb"]
async fn messages_that_are_committed_behind_ones_that_were_read_are_not_forgotten_with_them() {
    let database = Database::new();
    let store = database.store().await;
    publish(&store, "1").await;
    publish(&store, "2").await;
    let outbox = store.outbox();
    let read = outbox.pending(10).await.unwrap();
    // As if its transaction had begun before the others and was committed after they were read.
    let rows = database.client().await.collection::<Document>("marquee_outbox");
    let mut early = rows.find_one(doc! { "id": "1" }).await.unwrap().unwrap();
    early.insert("_id", ObjectId::new());
    early.insert("id", "0");
    early.insert(
        "at",
        Timestamp {
            time: 1,
            increment: 1,
        },
    );
    rows.insert_one(early).await.unwrap();
    outbox.published(read[1].0).await.unwrap();
    assert_eq!(pending(&store).await, ["0"]);
}

/// Commits between which the relay reads, while the server takes a new view of the data after each row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn a_read_that_takes_long_never_shows_a_commit_without_the_one_before_it() {
    const ROWS: usize = 10_000;
    let own = own();
    let store = own.database.store().await;
    let database = own.database.client().await;
    let admin = database.client().database("admin");
    let yields = doc! { "setParameter": 1, "internalQueryExecYieldIterations": 1 };
    admin.run_command(yields).await.unwrap();
    publish(&store, "model").await;
    let rows = database.collection::<Document>("marquee_outbox");
    let model = rows.find_one(doc! {}).await.unwrap().unwrap();
    let row = |id: &str| {
        let mut row = model.clone();
        row.insert("_id", ObjectId::new());
        row.insert("id", id);
        // The server fills in its time.
        row.insert(
            "at",
            Timestamp {
                time: 0,
                increment: 0,
            },
        );
        row
    };
    // How often the server has yielded in the find that runs.
    let yielded = async || {
        let running =
            doc! { "$match": { "ns": rows.namespace().to_string(), "command.find": { "$exists": true } } };
        let mut found = admin
            .aggregate([doc! { "$currentOp": { "allUsers": true } }, running])
            .await
            .unwrap();
        let running = found.advance().await.unwrap();
        running.then(|| found.deserialize_current().unwrap().get_i32("numYields").unwrap())
    };

    let (mut meant, mut tries) = (false, 0);
    while !meant {
        tries += 1;
        assert!(tries < 10, "the find is always over before the second commit");
        rows.delete_many(doc! {}).await.unwrap();
        let mut early = database.client().start_session().await.unwrap();
        early.start_transaction().await.unwrap();
        rows.insert_one(row("first")).session(&mut early).await.unwrap();
        rows.insert_many((0..ROWS).map(|n| row(&n.to_string())))
            .await
            .unwrap();
        let outbox = store.outbox();
        let reading = tokio::spawn(async move { outbox.pending(2 * ROWS).await.unwrap() });
        until("the find is under way, or over", async || {
            (reading.is_finished() || yielded().await.is_some_and(|yields| yields > 10)).then_some(())
        })
        .await;
        early.commit_transaction().await.unwrap();
        rows.insert_one(row("second")).await.unwrap();
        meant = yielded().await.is_some();
        let ids: Vec<_> = reading
            .await
            .unwrap()
            .into_iter()
            .map(|(_, outgoing)| outgoing.message.id)
            .collect();
        let shown = |id: &str| ids.iter().any(|shown| shown == id);
        assert!(ids.len() >= ROWS, "{}", ids.len());
        assert!(
            shown("first") || !shown("second"),
            "the second commit of a key was read without the first"
        );
    }
}
