//! Changes while servers go and come, and where there is nothing to go on from.

use marquee_documents::testing::following::{follow, told};
use marquee_documents::testing::show;
use marquee_documents::{Store, Transaction};
use mongodb::bson::Document;

use super::outages::own;
use super::{Database, until};

async fn put(store: &Store, id: &str) {
    until("it is written", async || {
        store
            .commit(Transaction::new().put(&show(id, 1)).unwrap())
            .await
            .ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn changes_go_on_where_they_broke_off_when_the_server_was_away() {
    let mut own = own();
    let store = own.database.store().await;
    let mut changes = follow(&store).await;
    put(&store, "a").await;
    assert_eq!(told(&mut changes).await, "a=1");
    for n in 0..2 {
        own.server.kill();
        own.server.restart().unwrap();
        // Before who follows has looked again.
        put(&store, &n.to_string()).await;
        assert_eq!(
            told(&mut changes).await,
            format!("{n}=1"),
            "nothing between, nothing anew"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn changes_begin_when_the_server_comes() {
    let mut own = own();
    own.server.stop().unwrap();
    let store = own.database.store().await;
    let restarted = tokio::task::spawn_blocking(move || {
        own.server.restart().unwrap();
        own
    });
    let mut changes = follow(&store).await;
    let _own = restarted.await.unwrap();
    put(&store, "a").await;
    assert_eq!(told(&mut changes).await, "a=1");
}

/// As when the server has forgotten the place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs mongodb"]
async fn where_the_server_cannot_go_on_all_is_read_anew() {
    let database = Database::new();
    let store = database.store().await;
    let mut changes = follow(&store).await;
    let shows = database.client().await.collection::<Document>("shows");
    shows.drop().await.unwrap();
    assert_eq!(told(&mut changes).await, "anew");
    put(&store, "a").await;
    assert_eq!(told(&mut changes).await, "a=1");
}
