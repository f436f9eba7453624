//! Cases about transactions.

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::Outgoing;
use tokio::task::JoinSet;

use super::tools::{get, insert, message};
use super::{Fixture, Show, show};
use crate::{Error, Etag, Query, RequestKey, Store, Transaction};

fn with_handle(id: &str, handle: &str) -> Show {
    Show {
        handle: Some(handle.to_owned()),
        ..show(id, 1)
    }
}

fn outgoing(text: &str) -> Outgoing {
    message(text, text)
}

async fn published(store: &Store) -> Vec<String> {
    let outbox = store.outbox();
    let pending = outbox.pending(1000).await.unwrap();
    // So that a store that is opened after this one can look.
    outbox.release().await;
    pending
        .into_iter()
        .map(|(_, outgoing)| outgoing.message.id)
        .collect()
}

pub async fn a_document_comes_out_as_it_went_in<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let show = Show {
        channel: "käse \"' \u{0}x".to_owned(),
        ..show("a", i64::MAX)
    };
    let etag = insert(&store, &show).await;
    let stored = store.get::<Show>("a").await.unwrap().unwrap();
    assert_eq!((&*stored.value, &stored.etag), (&show, &etag));
    assert_eq!(stored.etag, etag.to_string().parse::<Etag>().unwrap());
    assert!(store.get::<Show>("b").await.unwrap().is_none());
}

pub async fn an_id_is_taken_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    let again = store
        .commit(Transaction::new().insert(&show("a", 2)).unwrap())
        .await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { collection, index }) if collection == "shows" && index == "id")
    );
    assert_eq!(get(&store, "a").await, Some(show("a", 1)));
}

pub async fn a_unique_index_is_kept_by_inserts_and_replacements<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &with_handle("a", "x")).await;
    let etag = insert(&store, &with_handle("b", "y")).await;
    for transaction in [
        Transaction::new().insert(&with_handle("c", "x")).unwrap(),
        Transaction::new().replace(&with_handle("b", "x"), &etag).unwrap(),
        Transaction::new().put(&with_handle("b", "x")).unwrap(),
    ] {
        let taken = store.commit(transaction).await;
        assert!(matches!(taken, Err(Error::AlreadyExists { index, .. }) if index == "handle"));
    }
    let freed = Transaction::new()
        .delete::<Show>("a", None)
        .insert(&with_handle("c", "x"))
        .unwrap();
    store.commit(freed).await.unwrap();
}

pub async fn documents_without_the_field_are_not_compared<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    insert(&store, &show("b", 1)).await;
}

pub async fn a_stale_etag_conflicts_and_changes_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let first = insert(&store, &show("a", 1)).await;
    let replaced = store
        .commit(Transaction::new().replace(&show("a", 2), &first).unwrap())
        .await
        .unwrap();
    assert_ne!(replaced.etags[0], first);
    let stale = store
        .commit(Transaction::new().replace(&show("a", 3), &first).unwrap())
        .await;
    assert!(matches!(stale, Err(Error::Conflict)));
    let stale = store
        .commit(Transaction::new().delete::<Show>("a", Some(&first)))
        .await;
    assert!(matches!(stale, Err(Error::Conflict)));
    assert_eq!(get(&store, "a").await, Some(show("a", 2)));
}

pub async fn of_concurrent_replacements_one_wins_each_round<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 0)).await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..10 {
                loop {
                    let current = store.get::<Show>("a").await.unwrap().unwrap();
                    let next = show("a", current.value.time.start.map(|start| start + 1));
                    match store
                        .commit(Transaction::new().replace(&next, &current.etag).unwrap())
                        .await
                    {
                        Ok(_) => break,
                        Err(Error::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(
        get(&store, "a").await,
        Some(show("a", 80)),
        "no increment was lost"
    );
}

pub async fn an_etag_of_a_deleted_document_does_not_fit_its_successor<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let etag = insert(&store, &show("a", 1)).await;
    store
        .commit(Transaction::new().delete::<Show>("a", Some(&etag)))
        .await
        .unwrap();
    assert_eq!(get(&store, "a").await, None);
    insert(&store, &show("a", 1)).await;
    let stale = store
        .commit(Transaction::new().replace(&show("a", 2), &etag).unwrap())
        .await;
    assert!(matches!(stale, Err(Error::Conflict)));
}

pub async fn what_is_gone_cannot_be_replaced_or_deleted<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let etag: Etag = "whatever".parse().unwrap();
    for transaction in [
        Transaction::new().replace(&show("a", 1), &etag).unwrap(),
        Transaction::new().delete::<Show>("a", None),
        Transaction::new().delete::<Show>("a", Some(&etag)),
    ] {
        assert!(matches!(store.commit(transaction).await, Err(Error::NotFound { id, .. }) if id == "a"));
    }
}

pub async fn put_writes_whatever_was_there<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    for start in [1, 2] {
        let committed = store
            .commit(Transaction::new().put(&show("a", start)).unwrap())
            .await
            .unwrap();
        let stored = store.get::<Show>("a").await.unwrap().unwrap();
        assert_eq!(
            (&*stored.value, &stored.etag),
            (&show("a", start), &committed.etags[0])
        );
    }
}

pub async fn counters_count_with_their_transaction<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    assert_eq!(store.counter("shows").await.unwrap(), 0);
    let mut writers = JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        writers.spawn(async move {
            let id = (n / 2).to_string(); // every second one is refused
            store
                .commit(
                    Transaction::new()
                        .insert(&show(&id, 1))
                        .unwrap()
                        .increment("shows", 1),
                )
                .await
                .is_ok()
        });
    }
    assert_eq!(writers.join_all().await.into_iter().filter(|ok| *ok).count(), 10);
    assert_eq!(store.counter("shows").await.unwrap(), 10);
    let committed = store
        .commit(Transaction::new().increment("shows", -3))
        .await
        .unwrap();
    assert_eq!(committed.counters, [7]);
}

pub async fn a_failed_transaction_leaves_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    insert(&store, &show("a", 1)).await;
    let transaction = Transaction::new()
        .insert(&show("b", 1))
        .unwrap()
        .increment("shows", 1)
        .publish(outgoing("b"))
        .delete::<Show>("a", None)
        .insert(&show("b", 2))
        .unwrap();
    assert!(store.commit(transaction).await.is_err());
    assert_eq!(get(&store, "a").await, Some(show("a", 1)));
    assert_eq!(get(&store, "b").await, None);
    assert_eq!(store.counter("shows").await.unwrap(), 0);
    assert_eq!(published(&store).await, Vec::<String>::new());
}

pub async fn messages_go_into_the_outbox_with_their_transaction_in_the_order_of_commits<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let outbox = store.outbox();
    for n in 0..3 {
        let transaction = Transaction::new().insert(&show(&n.to_string(), 1)).unwrap();
        let transaction = transaction
            .publish(outgoing(&format!("{n}-a")))
            .publish(outgoing(&format!("{n}-b")));
        store.commit(transaction).await.unwrap();
    }
    assert_eq!(
        published(&store).await,
        ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]
    );
    let pending = outbox.pending(3).await.unwrap();
    outbox.published(pending[2].0).await.unwrap();
    assert_eq!(published(&store).await, ["1-b", "2-a", "2-b"]);
    let waiting = async { outbox.wait().await };
    let committing = store.commit(Transaction::new().publish(outgoing("3")));
    let both = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(waiting, committing).1
    });
    both.await.expect("whoever waits is woken").unwrap();
}

pub async fn a_message_that_no_bus_takes_is_refused_with_its_transaction<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let mut large = outgoing("large");
    large.message.value = vec![0; marquee_bus::MAX_MESSAGE_BYTES + 1].into();
    let transaction = Transaction::new().insert(&show("a", 1)).unwrap();
    let transaction = transaction.publish(outgoing("small")).publish(large);
    let refused = store.commit(transaction).await.unwrap_err();
    assert!(refused.to_string().contains("bytes"), "{refused}");
    assert_eq!(get(&store, "a").await, None);
    assert_eq!(published(&store).await, Vec::<String>::new());
}

#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(string, tag = "1")]
    text: String,
}

fn body(text: &str) -> Body {
    Body {
        text: text.to_owned(),
    }
}

pub async fn a_replayed_request_gets_the_first_answer<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let key = RequestKey::new("accounts/a", "Create", "1", &body("request"));
    assert_eq!(store.replay::<Body>(&key).await.unwrap(), None);
    let transaction = Transaction::new()
        .insert(&show("a", 1))
        .unwrap()
        .remember(key.clone(), &body("answer"));
    store.commit(transaction).await.unwrap();
    assert_eq!(store.replay(&key).await.unwrap(), Some(body("answer")));
    let other_body = RequestKey::new("accounts/a", "Create", "1", &body("another request"));
    assert!(matches!(
        store.replay::<Body>(&other_body).await,
        Err(Error::RequestIdReused)
    ));
    let other_caller = RequestKey::new("accounts/b", "Create", "1", &body("request"));
    assert_eq!(store.replay::<Body>(&other_caller).await.unwrap(), None);
    let none = RequestKey::new("accounts/a", "Create", "", &body("request"));
    store
        .commit(Transaction::new().remember(none.clone(), &body("answer")))
        .await
        .unwrap();
    assert_eq!(
        store.replay::<Body>(&none).await.unwrap(),
        None,
        "without a request id nothing is kept"
    );
}

pub async fn of_concurrent_requests_with_one_id_one_is_handled<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.store();
    let mut calls = JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        calls.spawn(async move {
            let key = RequestKey::new("accounts/a", "Create", "1", &body("request"));
            let transaction = Transaction::new().insert(&show(&n.to_string(), 1)).unwrap();
            match store
                .commit(transaction.remember(key.clone(), &body(&n.to_string())))
                .await
            {
                Ok(_) => true,
                Err(Error::RequestInProgress) => {
                    assert!(
                        store.replay::<Body>(&key).await.unwrap().is_some(),
                        "asked again it has the answer"
                    );
                    false
                }
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(
        calls
            .join_all()
            .await
            .into_iter()
            .filter(|handled| *handled)
            .count(),
        1
    );
    assert_eq!(store.count::<Show>(Query::all()).await.unwrap(), 1);
}

pub async fn everything_survives_a_restart<F: Fixture>() {
    let fixture = F::start().await;
    let key = RequestKey::new("accounts/a", "Create", "1", &body("request"));
    let transaction = Transaction::new()
        .insert(&with_handle("a", "x"))
        .unwrap()
        .increment("shows", 5);
    let transaction = transaction
        .publish(outgoing("m"))
        .remember(key.clone(), &body("answer"));
    let etag = fixture.store().commit(transaction).await.unwrap().etags.remove(0);
    let fixture = fixture.restart().await;
    let store = fixture.store();
    let stored = store.get::<Show>("a").await.unwrap().unwrap();
    assert_eq!(
        (stored.value, stored.etag),
        (Arc::new(with_handle("a", "x")), etag)
    );
    assert_eq!(store.counter("shows").await.unwrap(), 5);
    assert_eq!(published(&store).await, ["m"]);
    assert_eq!(store.replay(&key).await.unwrap(), Some(body("answer")));
    let taken = store
        .commit(Transaction::new().insert(&with_handle("b", "x")).unwrap())
        .await;
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })));
}
