//! Cases of what a store keeps: versions, visibility, channels, positions.

use super::{channel, concert, event, ids, in_state, put, query, suggested};
use crate::domain::{ChannelDocument, Document, EventDocument, State, Version};
use crate::store::{Batch, Positions, Store};

pub(crate) async fn a_newer_version_replaces_and_an_older_is_ignored(store: &impl Store) {
    let version = |title: &str, version| {
        Document::Event(EventDocument {
            version: Version(version),
            ..event("e1", title)
        })
    };
    put(store, [version("Second", 2)]).await;
    put(store, [version("First", 1)]).await;
    assert!(ids(store, "first ").await.is_empty());
    put(store, [version("Third", 3), version("Second", 2)]).await;
    assert_eq!(ids(store, "third ").await, ["e1"]);
    assert!(ids(store, "second ").await.is_empty());
}

pub(crate) async fn an_unlisted_event_is_not_found_by_anything(store: &impl Store) {
    put(
        store,
        [Document::Event(EventDocument {
            listed: false,
            ..event("e1", "Secret")
        })],
    )
    .await;
    assert!(ids(store, "secret").await.is_empty());
    assert!(ids(store, "").await.is_empty());
    assert!(suggested(store, "sec").await.is_empty());
}

pub(crate) async fn an_event_that_becomes_unlisted_disappears_and_an_older_version_does_not_bring_it_back(
    store: &impl Store,
) {
    put(store, [concert("e1", "Secret")]).await;
    put(
        store,
        [Document::Event(EventDocument {
            listed: false,
            version: Version(2),
            ..event("e1", "Secret")
        })],
    )
    .await;
    assert!(ids(store, "secret").await.is_empty());
    put(store, [concert("e1", "Secret")]).await;
    assert!(ids(store, "secret").await.is_empty());
}

pub(crate) async fn a_cancelled_event_is_found_with_its_state(store: &impl Store) {
    put(store, [in_state("e1", "Jazz", State::Cancelled)]).await;
    let page = store.search(&query("jazz"), None, 10).await.unwrap();
    assert!(matches!(&page.hits[0].document, Document::Event(event) if event.state == State::Cancelled));
}

pub(crate) async fn a_renamed_channel_reaches_its_events(store: &impl Store) {
    put(
        store,
        [
            concert("e1", "Monday"),
            Document::Channel(channel("c", "Blue Room")),
        ],
    )
    .await;
    let renamed = ChannelDocument {
        version: Version(2),
        ..channel("c", "Red Hall")
    };
    put(store, [concert("e2", "Tuesday"), Document::Channel(renamed)]).await;
    assert_eq!(ids(store, "red hall").await, ["c", "e1", "e2"]);
    assert!(ids(store, "blue room").await.is_empty());
}

pub(crate) async fn an_event_with_an_older_channel_keeps_the_newer_name(store: &impl Store) {
    put(
        store,
        [Document::Channel(ChannelDocument {
            version: Version(2),
            ..channel("c", "Red Hall")
        })],
    )
    .await;
    put(store, [concert("e1", "Monday")]).await;
    assert_eq!(ids(store, "red hall").await, ["c", "e1"]);
}

pub(crate) async fn positions_add_up(store: &impl Store) {
    let at = |partition, next| Positions::from([(("t".to_owned(), partition), next)]);
    store
        .apply(Batch {
            positions: at(0, 5),
            ..Batch::default()
        })
        .await
        .unwrap();
    store
        .apply(Batch {
            positions: at(1, 2),
            ..Batch::default()
        })
        .await
        .unwrap();
    store
        .apply(Batch {
            positions: at(0, 6),
            ..Batch::default()
        })
        .await
        .unwrap();
    let expected = Positions::from([(("t".to_owned(), 0), 6), (("t".to_owned(), 1), 2)]);
    assert_eq!(store.positions().await.unwrap(), expected);
}

pub(crate) async fn a_cleared_store_is_empty(store: &impl Store) {
    let positions = Positions::from([(("t".to_owned(), 0), 5)]);
    store
        .apply(Batch {
            documents: vec![concert("e1", "Jazz")],
            positions,
        })
        .await
        .unwrap();
    store.clear().await.unwrap();
    assert!(ids(store, "").await.is_empty());
    assert!(store.positions().await.unwrap().is_empty());
}

pub(crate) async fn a_batch_applied_again_changes_nothing(store: &impl Store) {
    let renamed = ChannelDocument {
        version: Version(2),
        ..channel("c", "Red Hall")
    };
    let batch = Batch {
        documents: vec![
            concert("e1", "Monday"),
            Document::Channel(channel("c", "Blue Room")),
            Document::Channel(renamed),
            in_state("e2", "Tuesday", State::Live),
        ],
        positions: Positions::from([(("t".to_owned(), 0), 5)]),
    };
    store.apply(batch.clone()).await.unwrap();
    let query = query("red hall");
    let before = store.search(&query, None, 10).await.unwrap();
    assert_eq!(before.total, 3);
    store.apply(batch.clone()).await.unwrap();
    assert_eq!(store.search(&query, None, 10).await.unwrap(), before);
    assert_eq!(store.positions().await.unwrap(), batch.positions);
}
