//! Cases about several writers and readers, also of several processes where the backend can be shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_bus::Outgoing;
use tokio::task::JoinSet;

use super::tools::{get, insert, message};
use super::{Fixture, Show, show};
use crate::{Error, Query, Store, Transaction};

/// The store, and the same one as another process has it.
async fn two<F: Fixture>(fixture: &F) -> [Store; 2] {
    [fixture.store(), fixture.another().await]
}

pub async fn counters_of_concurrent_writers_lose_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let stores = two(&fixture).await;
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let store = stores[n % 2].clone();
        writers.spawn(async move {
            let mut values = Vec::new();
            for _ in 0..10 {
                let transaction = Transaction::new().increment("shows", 1).increment("twice", 2);
                values.push(store.commit(transaction).await.unwrap().counters);
            }
            values
        });
    }
    let values: Vec<Vec<i64>> = writers.join_all().await.into_iter().flatten().collect();
    let seen: BTreeSet<i64> = values.iter().map(|values| values[0]).collect();
    assert_eq!(seen, (1..=80).collect(), "each writer learns a value of its own");
    assert!(
        values.iter().all(|values| values[1] == 2 * values[0]),
        "both at once"
    );
    assert_eq!(stores[0].counter("twice").await.unwrap(), 160);
}

pub async fn etags_of_concurrent_writers_lose_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let stores = two(&fixture).await;
    insert(&stores[0], &show("a", 0)).await;
    let mut writers = JoinSet::new();
    for n in 0..6 {
        let store = stores[n % 2].clone();
        writers.spawn(async move {
            for round in 0..8 {
                loop {
                    let current = store.get::<Show>("a").await.unwrap().unwrap();
                    let next = show("a", current.value.time.start.map(|start| start + 1));
                    let transaction = Transaction::new().replace(&next, &current.etag).unwrap();
                    // Some alone, some with others: both ways to commit meet.
                    let transaction = if round % 2 == 0 {
                        transaction
                    } else {
                        transaction.increment("rounds", 1)
                    };
                    match store.commit(transaction).await {
                        Ok(_) => break,
                        Err(Error::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(get(&stores[1], "a").await, Some(show("a", 48)));
    assert_eq!(
        stores[1].counter("rounds").await.unwrap(),
        24,
        "what failed counted nothing"
    );
}

pub async fn of_concurrent_inserts_with_one_unique_value_one_wins<F: Fixture>() {
    let fixture = F::start().await;
    let stores = two(&fixture).await;
    for round in 0..5 {
        let mut writers = JoinSet::new();
        for n in 0..8 {
            let store = stores[n % 2].clone();
            writers.spawn(async move {
                let show = Show {
                    handle: Some(format!("h{round}")),
                    ..show(&format!("{round}-{n}"), 1)
                };
                let transaction = Transaction::new().insert(&show).unwrap();
                // Alone and in a transaction.
                let transaction = if n < 4 {
                    transaction
                } else {
                    transaction.increment("won", 1)
                };
                match store.commit(transaction).await {
                    Ok(_) => true,
                    Err(Error::AlreadyExists { collection, index }) => {
                        assert_eq!((collection.as_str(), index.as_str()), ("shows", "handle"));
                        false
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let won = writers.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "round {round}");
        let kept = stores[0].count::<Show>(Query::by("handle").equals(format!("h{round}")));
        assert_eq!(kept.await.unwrap(), 1);
    }
}

pub async fn pages_are_stable_while_documents_come_and_go<F: Fixture>() {
    let fixture = F::start().await;
    let stores = two(&fixture).await;
    for n in 0..40 {
        insert(&stores[0], &show(&format!("{n:02}"), 10 * n)).await;
    }
    let (mut seen, mut token, mut gone) = (Vec::new(), String::new(), Vec::new());
    for round in 0.. {
        assert!(round < 50, "the pages do not end");
        let query = Query::by("channel_start").equals("c").limit(4).after(&token);
        let page = stores[0].query::<Show>(query).await.unwrap();
        seen.extend(page.items.iter().map(|stored| stored.value.id.clone()));
        // The last one of the page goes, at whose place the next begins; so does one that was not seen yet. Others come
        // before and after.
        let last = seen.last().cloned().unwrap_or_default();
        let ahead = format!("{:02}", 39 - round);
        let mut changes = Transaction::new();
        if !page.items.is_empty() {
            changes = changes.delete::<Show>(&last, None);
        }
        if !seen.contains(&ahead) {
            changes = changes.delete::<Show>(&ahead, None);
            gone.push(ahead);
        }
        changes = changes.insert(&show(&format!("before-{round}"), -1)).unwrap();
        stores[1].commit(changes).await.unwrap();
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    let all = (0..40).map(|n| format!("{n:02}"));
    let expected: Vec<_> = all.filter(|id| !gone.contains(id)).collect();
    assert_eq!(
        seen, expected,
        "each once, in order, and none that went before it was reached"
    );
}

pub async fn messages_of_a_key_are_in_the_order_of_its_commits<F: Fixture>() {
    let fixture = F::start().await;
    let stores = two(&fixture).await;
    let keys = ["a", "b", "c"];
    let commits = 20;
    for key in keys {
        insert(&stores[0], &show(key, 0)).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let relays: Vec<_> = stores
        .iter()
        .take(if F::SHARED { 2 } else { 1 })
        .map(|store| tokio::spawn(relay(store.clone(), done.clone())))
        .collect();
    let mut writers = JoinSet::new();
    for n in 0..6 {
        let (store, key) = (stores[n % 2].clone(), keys[n / 2]);
        writers.spawn(async move {
            for _ in 0..commits {
                advance(&store, key).await;
            }
        });
    }
    writers.join_all().await;
    let empty = async {
        while stores[0].outbox().depth().await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), empty)
        .await
        .expect("the outbox is emptied");
    done.store(true, Ordering::Relaxed);
    let mut relayed: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut by = 0;
    for relay in relays {
        let messages = relay.await.unwrap();
        by += usize::from(!messages.is_empty());
        for (key, version) in messages {
            relayed.entry(key).or_default().push(version);
        }
    }
    assert_eq!(by, 1, "one of them relays");
    for key in keys {
        assert_eq!(relayed[key], (1..=2 * commits).collect::<Vec<i64>>(), "{key}");
    }
}

/// The next version of a document, and a message of its key that says which.
async fn advance(store: &Store, key: &str) {
    loop {
        let current = store.get::<Show>(key).await.unwrap().unwrap();
        let version = current.value.time.start.unwrap_or_default() + 1;
        let outgoing: Outgoing = message(&version.to_string(), key);
        let transaction = Transaction::new()
            .replace(&show(key, version), &current.etag)
            .unwrap()
            .publish(outgoing);
        match store.commit(transaction).await {
            Ok(_) => return,
            Err(Error::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a relay does, with a list for a bus.
async fn relay(store: Store, done: Arc<AtomicBool>) -> Vec<(String, i64)> {
    let outbox = store.outbox();
    let mut relayed = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let pending = outbox.pending(7).await.unwrap();
        let Some((last, _)) = pending.last() else {
            outbox.wait().await;
            continue;
        };
        let last = *last;
        for (_, outgoing) in pending {
            relayed.push((outgoing.message.key, outgoing.message.id.parse().unwrap()));
        }
        outbox.published(last).await.unwrap();
    }
    relayed
}
