//! The lease of the outbox.

use marquee_bus::{Message, Outgoing};
use marquee_documents::{Store, Transaction};

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
    let rows = database
        .client()
        .await
        .collection::<mongodb::bson::Document>("marquee_outbox");
    let mut early = rows
        .find_one(mongodb::bson::doc! { "id": "1" })
        .await
        .unwrap()
        .unwrap();
    early.insert("_id", mongodb::bson::oid::ObjectId::new());
    early.insert("id", "0");
    early.insert(
        "at",
        mongodb::bson::Timestamp {
            time: 1,
            increment: 1,
        },
    );
    rows.insert_one(early).await.unwrap();
    outbox.published(read[1].0).await.unwrap();
    assert_eq!(pending(&store).await, ["0"]);
}
