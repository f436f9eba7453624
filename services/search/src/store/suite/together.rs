//! Cases of several writers, restarts and rebuilds.

use std::collections::BTreeSet;

use super::{Fixture, channel, concert, event, find, ids, put, query};
use crate::domain::{ChannelDocument, Document, EventDocument, Version};
use crate::store::{Batch, Followed, Positions, Store};

fn at(partition: u32, next: u64) -> Positions {
    Positions::from([(("t".to_owned(), partition), next)])
}

pub(crate) async fn two_writers_of_different_partitions_lose_nothing(fixture: &mut impl Fixture) {
    let (one, two) = (fixture.store().clone(), fixture.another());
    let write = async |store: &dyn Store, partition: u32| {
        for n in 0..10 {
            let documents = (0..5)
                .map(|m| concert(&format!("p{partition}-{n}-{m}"), "Jazz"))
                .collect();
            let positions = at(partition, n + 1);
            store.apply(Batch { documents, positions }).await.unwrap();
        }
    };
    futures::join!(write(&one, 0), write(&two, 1));
    assert_eq!(find(fixture.store(), &query("jazz")).await.len(), 100);
    let expected = at(0, 10).into_iter().chain(at(1, 10)).collect();
    assert_eq!(fixture.store().positions().await.unwrap(), expected);
}

pub(crate) async fn the_newest_version_wins_whichever_of_two_writers_has_it(fixture: &mut impl Fixture) {
    let (one, two) = (fixture.store().clone(), fixture.another());
    let write = async |store: &dyn Store, versions: Vec<i64>| {
        for version in versions {
            let documents = (0..4)
                .map(|n| {
                    Document::Event(EventDocument {
                        version: Version(version),
                        ..event(&format!("e{n}"), &format!("Take {version}"))
                    })
                })
                .collect();
            let batch = Batch {
                documents,
                ..Batch::default()
            };
            store.apply(batch).await.unwrap();
        }
    };
    // The newest comes in the middle of one, while the other is at work.
    futures::join!(
        write(&one, vec![2, 4, 6, 21, 8, 10]),
        write(&two, vec![1, 3, 5, 7, 9, 20]),
    );
    assert_eq!(ids(fixture.store(), "21 ").await, ["e0", "e1", "e2", "e3"]);
    assert_eq!(ids(fixture.store(), "take ").await.len(), 4);
}

pub(crate) async fn an_event_and_its_renamed_channel_meet_when_two_writers_bring_them_at_once(
    fixture: &mut impl Fixture,
) {
    let (one, two) = (fixture.store().clone(), fixture.another());
    let mut expected = BTreeSet::from(["c".to_owned()]);
    for round in 1..=10 {
        let renamed = ChannelDocument {
            version: Version(1 + round),
            ..channel("c", &format!("Hall {round}"))
        };
        let name = format!("e{round:02}");
        let events = put(&one, [concert(&name, "Monday")]);
        futures::join!(events, put(&two, [Document::Channel(renamed)]));
        expected.insert(name);
        let found = ids(fixture.store(), &format!("hall {round} ")).await;
        assert_eq!(BTreeSet::from_iter(found), expected, "round {round}");
    }
}

pub(crate) async fn pages_are_stable_while_another_writer_is_at_work(fixture: &mut impl Fixture) {
    let another = fixture.another();
    let store = fixture.store();
    let names = (0..40).map(|n| format!("m{n:02}"));
    put(store, names.clone().map(|name| concert(&name, "Jazz"))).await;
    let insert = async {
        for n in 0..10 {
            put(
                &another,
                ["a", "m00-", "z"].map(|place| concert(&format!("{place}{n}"), "Jazz")),
            )
            .await;
        }
    };
    let read = async {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.search(&query("jazz"), after.take(), 3).await.unwrap();
            seen.extend(page.hits.into_iter().map(|hit| hit.document.name().to_owned()));
            match page.next {
                Some(next) => after = Some(next),
                None => return seen,
            }
        }
    };
    let ((), seen) = futures::join!(insert, read);
    let unique = BTreeSet::from_iter(&seen);
    assert_eq!(unique.len(), seen.len(), "nothing comes twice");
    for name in names {
        assert!(unique.contains(&format!("channels/c/events/{name}")), "{name}");
    }
}

pub(crate) async fn documents_and_positions_survive_a_restart(fixture: &mut impl Fixture) {
    let batch = Batch {
        documents: vec![concert("e1", "Jazz Night")],
        positions: at(3, 17),
    };
    fixture.store().apply(batch).await.unwrap();
    fixture.reopen();
    assert_eq!(fixture.store().positions().await.unwrap(), at(3, 17));
    assert_eq!(ids(fixture.store(), "jazz").await, ["e1"]);
}

/// A store with one event, and another index that is written from here on.
async fn rebuilding(fixture: &impl Fixture) {
    let batch = Batch {
        documents: vec![concert("old", "Jazz")],
        positions: at(0, 5),
    };
    fixture.store().apply(batch).await.unwrap();
    fixture.store().rebuild().await.unwrap();
    let followed = fixture.store().follow().await.unwrap();
    let expected = Followed {
        is_another: true,
        is_filling: true,
    };
    assert_eq!(followed, expected);
}

pub(crate) async fn a_new_index_is_searched_when_it_is_promoted_and_not_before(fixture: &mut impl Fixture) {
    rebuilding(fixture).await;
    let store = fixture.store();
    assert!(store.positions().await.unwrap().is_empty());
    let batch = Batch {
        documents: vec![concert("new", "Jazz")],
        positions: at(0, 2),
    };
    store.apply(batch).await.unwrap();
    assert_eq!(ids(store, "jazz").await, ["old"]);
    assert_eq!(store.positions().await.unwrap(), at(0, 2));

    store.promote().await.unwrap();
    assert_eq!(ids(store, "jazz").await, ["new"]);
    put(store, [concert("newer", "Jazz")]).await;
    let followed = store.follow().await.unwrap();
    assert!(!followed.is_another && !followed.is_filling, "{followed:?}");

    fixture.reopen();
    let store = fixture.store();
    assert_eq!(ids(store, "jazz").await, ["new", "newer"]);
    assert_eq!(store.positions().await.unwrap(), at(0, 2));
}

pub(crate) async fn no_search_comes_back_empty_while_the_index_is_rebuilt(fixture: &mut impl Fixture) {
    put(fixture.store(), [concert("e1", "Jazz")]).await;
    let searching = fixture.another();
    let done = std::sync::atomic::AtomicBool::new(false);
    let search = async {
        let mut searches = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(ids(&searching, "jazz").await, ["e1"]);
            searches += 1;
        }
        searches
    };
    let rebuild = async {
        for _ in 0..2 {
            let store = fixture.store();
            store.rebuild().await.unwrap();
            assert!(store.follow().await.unwrap().is_another);
            put(store, [concert("e1", "Jazz")]).await;
            store.promote().await.unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (searches, ()) = futures::join!(search, rebuild);
    assert!(searches > 1, "{searches}");
}

pub(crate) async fn a_second_rebuild_changes_nothing_while_one_goes_on(fixture: &mut impl Fixture) {
    rebuilding(fixture).await;
    let store = fixture.store();
    put(store, [concert("new", "Jazz")]).await;
    store.rebuild().await.unwrap();
    assert!(!store.follow().await.unwrap().is_another);
    store.promote().await.unwrap();
    assert_eq!(ids(store, "jazz").await, ["new"]);
}

pub(crate) async fn an_index_that_is_being_filled_goes_on_after_a_restart(fixture: &mut impl Fixture) {
    rebuilding(fixture).await;
    let batch = Batch {
        documents: vec![concert("new", "Jazz")],
        positions: at(0, 2),
    };
    fixture.store().apply(batch).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    assert_eq!(ids(store, "jazz").await, ["old"]);
    assert!(store.follow().await.unwrap().is_filling);
    assert_eq!(store.positions().await.unwrap(), at(0, 2));
    store.promote().await.unwrap();
    assert_eq!(ids(store, "jazz").await, ["new"]);
}

pub(crate) async fn clearing_forgets_the_index_that_is_being_filled_too(fixture: &mut impl Fixture) {
    rebuilding(fixture).await;
    let store = fixture.store();
    put(store, [concert("new", "Jazz")]).await;
    store.clear().await.unwrap();
    assert!(ids(store, "").await.is_empty());
    assert!(store.positions().await.unwrap().is_empty());
    assert!(!store.follow().await.unwrap().is_filling);
    put(store, [concert("again", "Jazz")]).await;
    assert_eq!(ids(store, "jazz").await, ["again"]);
}

pub(crate) async fn an_index_without_a_rebuild_stays_as_it_is(fixture: &mut impl Fixture) {
    let store = fixture.store();
    store.follow().await.unwrap();
    put(store, [concert("e1", "Jazz")]).await;
    let followed = store.follow().await.unwrap();
    assert!(!followed.is_another && !followed.is_filling, "{followed:?}");
    store.promote().await.unwrap();
    assert_eq!(ids(store, "jazz").await, ["e1"]);
}
