//! Changes as they are told.

use std::time::Duration;

use super::tools::{Fixture, Show, insert, message, show};
use crate::{Change, Changes, Store, Transaction};

/// Nothing in here takes longer when it works.
const PATIENCE: Duration = Duration::from_secs(20);

/// The next change of any document but `probe`s, in short.
pub async fn told(changes: &mut Changes<Show>) -> String {
    told_of(changes, |_| true).await
}

async fn told_of(changes: &mut Changes<Show>, wanted: impl Fn(&str) -> bool + Send + Sync) -> String {
    let change = tokio::time::timeout(PATIENCE, changes.next(wanted)).await;
    match change.expect("told within patience").expect("the store is open") {
        Change::Anew => "anew".to_owned(),
        Change::Written(show) => {
            let start = show.value.time.start.unwrap_or_default();
            format!("{}={start}", show.value.id)
        }
        Change::Deleted(id) => format!("-{id}"),
    }
}

/// Changes of the store from now on.
pub async fn follow(store: &Store) -> Changes<Show> {
    let mut changes = store.changes::<Show>();
    assert_eq!(told(&mut changes).await, "anew");
    changes
}

pub async fn who_follows_is_told_first_to_read_what_is_there<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    let mut changes = follow(&store).await;
    insert(&store, &show("b", 1)).await;
    assert_eq!(told(&mut changes).await, "b=1", "not what was there before");
}

pub async fn changes_are_told_in_the_order_of_their_commits<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let mut changes = follow(&store).await;
    let etag = insert(&store, &show("a", 1)).await;
    let replaced = Transaction::new().replace(&show("a", 2), &etag).unwrap();
    store.commit(replaced).await.unwrap();
    // Together with what is no document, which takes a transaction of the server.
    let together = Transaction::new()
        .insert(&show("b", 1))
        .unwrap()
        .put(&show("a", 3))
        .unwrap()
        .publish(message("m", "k"));
    store.commit(together).await.unwrap();
    store
        .commit(Transaction::new().put(&show("b", 2)).unwrap())
        .await
        .unwrap();
    store
        .commit(Transaction::new().delete::<Show>("a", None))
        .await
        .unwrap();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let told = told(&mut changes).await;
        if told.contains('a') { &mut a } else { &mut b }.push(told);
    }
    assert_eq!(a, ["a=1", "a=2", "a=3", "-a"]);
    assert_eq!(b, ["b=1", "b=2"]);
}

pub async fn what_another_process_commits_is_told_too<F: Fixture>() {
    let fixture = F::start().await;
    let (store, another) = (fixture.store(), fixture.another().await);
    let mut changes = follow(&store).await;
    insert(&another, &show("theirs", 1)).await;
    assert_eq!(told(&mut changes).await, "theirs=1");
    insert(&store, &show("ours", 2)).await;
    assert_eq!(told(&mut changes).await, "ours=2");
}

pub async fn nothing_is_told_of_what_failed_or_is_not_wanted<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    let mut changes = follow(&store).await;
    let taken = Transaction::new()
        .put(&show("b", 1))
        .unwrap()
        .insert(&show("a", 2))
        .unwrap();
    store.commit(taken).await.unwrap_err();
    insert(&store, &show("c", 1)).await;
    insert(&store, &show("d", 1)).await;
    assert_eq!(told_of(&mut changes, |id| id != "c").await, "d=1");
}

pub async fn every_follower_is_told<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let (mut one, mut two) = (follow(&store).await, follow(&store).await);
    insert(&store, &show("a", 1)).await;
    assert_eq!(told(&mut one).await, "a=1");
    assert_eq!(told(&mut two).await, "a=1");
}
