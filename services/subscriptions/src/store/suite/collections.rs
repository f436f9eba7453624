//! Follows, reminders, and lists.

use super::*;

pub(crate) async fn pages_are_stable_while_rows_are_added(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    for n in 0..5 {
        store
            .create_follow(follow(&ada, &format!("c{n}"), n), vec![])
            .await
            .unwrap();
    }
    let channels = |rows: &[Follow]| {
        rows.iter()
            .map(|follow| follow.name.channel.clone())
            .collect::<Vec<_>>()
    };
    let first = store.follows(&ada.name, page(2, None)).await.unwrap();
    assert_eq!(channels(&first.rows), ["c4", "c3"]);
    store
        .create_follow(follow(&ada, "newer", 100), vec![])
        .await
        .unwrap();
    store.delete_follow(first.rows[1].clone(), vec![]).await.unwrap();
    let second = store.follows(&ada.name, page(2, first.next)).await.unwrap();
    assert_eq!(channels(&second.rows), ["c2", "c1"]);
    let last = store.follows(&ada.name, page(2, second.next)).await.unwrap();
    assert_eq!(channels(&last.rows), ["c0"]);
    assert_eq!(last.next, None);
}

pub(crate) async fn rows_of_one_moment_are_paged_without_loss(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    for n in 0..7 {
        let reminder = reminder(&ada, &format!("e{n}"), 60);
        store.create_reminder(reminder, 10, vec![]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let rows = store.reminders(&ada.name, page(3, after)).await.unwrap();
        seen.extend(rows.rows.into_iter().map(|reminder| reminder.event.event));
        after = rows.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
}

pub(crate) async fn another_accounts_rows_are_not_listed(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let grace = registered(&*store, "grace").await;
    joined(&*store, &ada, at(0)).await;
    store.create_follow(follow(&ada, "c", 0), vec![]).await.unwrap();
    store
        .create_reminder(reminder(&ada, "e", 0), 10, vec![])
        .await
        .unwrap();
    assert!(
        store
            .follows(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .reminders(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .memberships(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .payments(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

pub(crate) async fn following_twice_is_one_follow(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let all = futures::future::join_all((0..10).map(|n| {
        let follow = follow(&ada, "c", n);
        let events = vec![publish::follow_created(&follow)];
        store.create_follow(follow, events)
    }))
    .await;
    let new = all.iter().filter(|one| matches!(one, Ok(Added::New(_))));
    assert_eq!(new.count(), 1);
    assert_eq!(waiting(&*store).await.len(), 2, "the account and one follow");
}

pub(crate) async fn a_follow_that_was_made_again_is_not_deleted_for_the_old_one(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let old = follow(&ada, "c", 0);
    let again = follow(&ada, "c", 1);
    store.create_follow(old.clone(), vec![]).await.unwrap();
    store.delete_follow(old.clone(), vec![]).await.unwrap();
    store.create_follow(again.clone(), vec![]).await.unwrap();
    let late = store.delete_follow(old, vec![]).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    assert_eq!(store.follow(&again.name).await.unwrap(), Some(again));
}

pub(crate) async fn the_same_reminder_is_set_once(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let first = reminder(&ada, "e", 60);
    let set = store
        .create_reminder(first.clone(), 10, vec![publish::reminder_created(&first)])
        .await;
    assert_eq!(set.unwrap(), Added::New(first.clone()));
    let same = reminder(&ada, "e", 60);
    let set = store
        .create_reminder(same.clone(), 10, vec![publish::reminder_created(&same)])
        .await;
    assert_eq!(set.unwrap(), Added::Existing(first.clone()));
    assert_eq!(store.same_reminder(&same).await.unwrap(), Some(first.clone()));
    assert_eq!(waiting(&*store).await.len(), 2, "the account and one reminder");
    store.delete_reminder(&first.name, vec![]).await.unwrap();
    let late = store.delete_reminder(&first.name, vec![]).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
}

pub(crate) async fn reminders_of_one_event_are_limited(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    for lead in 0..3 {
        store
            .create_reminder(reminder(&ada, "e", lead), 3, vec![])
            .await
            .unwrap();
    }
    let one_more = store.create_reminder(reminder(&ada, "e", 3), 3, vec![]).await;
    assert_eq!(one_more.unwrap(), Added::TooMany);
    let other = store.create_reminder(reminder(&ada, "other", 3), 3, vec![]).await;
    assert!(matches!(other, Ok(Added::New(_))), "{other:?}");
}
