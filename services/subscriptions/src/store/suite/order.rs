//! Many at once, and the order in which messages wait.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use marquee_bus::Message;
use marquee_proto::subscriptions::v1::{AccountChanged, account_changed};
use prost::Message as _;

use super::*;
use crate::domain::attempts::Guesser;

pub(crate) async fn of_two_registrations_at_once_with_one_address_one_is_refused(backend: &impl Backend) {
    let store = backend.open().await;
    for n in 0..10 {
        let [mut first, mut second] = [account(&format!("a{n}")), account(&format!("b{n}"))];
        let email = Email::parse(&format!("same{n}@example.org")).unwrap();
        (first.email, second.email) = (email.clone(), email.clone());
        let (a, b) = tokio::join!(
            store.create_account(new(&first)),
            store.create_account(new(&second))
        );
        let (winner, refused) = match (a, b) {
            (Ok(()), refused) => (first, refused),
            (refused, Ok(())) => (second, refused),
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(refused, Err(Error::AlreadyExists(Unique::Email))),
            "{refused:?}"
        );
        assert_eq!(store.credential(&email).await.unwrap().unwrap().account, winner);
    }
    assert_eq!(waiting(&*store).await.len(), 10, "the messages of those who won");
}

pub(crate) async fn of_two_registrations_at_once_with_one_request_id_one_is_refused(backend: &impl Backend) {
    let store = backend.open().await;
    for n in 0..10 {
        let with = |id: String| {
            let mut reply = reply("Create", "x");
            reply.key.request_id = format!("r{n}");
            NewAccount {
                reply: Some(reply),
                ..new(&account(&id))
            }
        };
        let (a, b) = tokio::join!(
            store.create_account(with(format!("a{n}"))),
            store.create_account(with(format!("b{n}")))
        );
        let refused = match (a, b) {
            (Ok(()), refused) | (refused, Ok(())) => refused,
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(refused, Err(Error::AlreadyExists(Unique::RequestId))),
            "{refused:?}"
        );
    }
    assert_eq!(waiting(&*store).await.len(), 10);
}

pub(crate) async fn different_changes_at_the_same_time_are_all_made(backend: &impl Backend) {
    let store = backend.open().await;
    let people = join_all((0..8).map(|n| {
        let store = &store;
        async move { registered(&**store, &format!("user{n}")).await }
    }))
    .await;
    join_all(people.iter().map(|person| async {
        joined(&*store, person, at(0)).await;
        for n in 0..5 {
            let follow = follow(person, &format!("c{n}"), n);
            let events = vec![publish::follow_created(&follow)];
            store.create_follow(follow, events).await.unwrap();
            let reminder = reminder(person, &format!("e{n}"), 60);
            let events = vec![publish::reminder_created(&reminder)];
            store.create_reminder(reminder, 3, events).await.unwrap();
        }
    }))
    .await;
    for person in &people {
        assert_eq!(
            store
                .follows(&person.name, page(10, None))
                .await
                .unwrap()
                .rows
                .len(),
            5
        );
        assert_eq!(
            store
                .reminders(&person.name, page(10, None))
                .await
                .unwrap()
                .rows
                .len(),
            5
        );
        assert_eq!(
            store
                .payments(&person.name, page(10, None))
                .await
                .unwrap()
                .rows
                .len(),
            1
        );
    }
    // The account, membership and payment, five follows and five reminders of each.
    assert_eq!(waiting(&*store).await.len(), 8 * 13);
}

pub(crate) async fn attempts_to_sign_in_run_out_and_come_back(backend: &impl Backend) {
    let store = backend.open().await;
    let (ada, grace) = (Guesser::new("ada", None), Guesser::new("grace", None));
    for _ in 0..LOGIN_LIMIT.burst {
        assert_eq!(store.take_attempt(ada, at(0)).await.unwrap(), Attempt::Taken);
    }
    let wait = LOGIN_LIMIT.refill;
    assert_eq!(
        store.take_attempt(ada, at(0)).await.unwrap(),
        Attempt::Refused(wait)
    );
    assert_eq!(store.take_attempt(grace, at(0)).await.unwrap(), Attempt::Taken);
    assert_eq!(store.take_attempt(ada, at(30)).await.unwrap(), Attempt::Taken);
    assert!(matches!(
        store.take_attempt(ada, at(30)).await.unwrap(),
        Attempt::Refused(_)
    ));
    store.clear_attempts(ada).await.unwrap();
    assert_eq!(store.take_attempt(ada, at(30)).await.unwrap(), Attempt::Taken);
}

pub(crate) async fn attempts_at_the_same_time_are_no_more_than_there_are(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = Guesser::new("ada", None);
    let all = join_all((0..20).map(|_| store.take_attempt(ada, at(0)))).await;
    let taken = all.iter().filter(|one| matches!(one, Ok(Attempt::Taken)));
    assert_eq!(taken.count(), 3);
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

pub(crate) async fn of_payments_begun_at_once_one_is_pending(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let all = join_all((0..10).map(|n| store.begin_payment(intent(&ada, &format!("r{n}"))))).await;
    let new: Vec<&Intent> = all
        .iter()
        .filter_map(|one| match one.as_ref().unwrap() {
            Begun::New(intent) => Some(intent),
            _ => None,
        })
        .collect();
    let [winner] = new.as_slice() else {
        panic!("{new:?}")
    };
    for one in &all {
        match one.as_ref().unwrap() {
            Begun::New(_) => {}
            Begun::Blocked(by) => assert_eq!(by, *winner),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn reminders_set_at_once_are_no_more_than_are_allowed(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let all = join_all((0..12).map(|lead| store.create_reminder(reminder(&ada, "e", lead), 4, vec![]))).await;
    let new = all.iter().filter(|one| matches!(one, Ok(Added::New(_))));
    assert_eq!(new.count(), 4);
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

pub(crate) async fn the_same_reminder_at_once_is_set_once(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let all = join_all((0..10).map(|_| {
        let reminder = reminder(&ada, "e", 60);
        let events = vec![publish::reminder_created(&reminder)];
        store.create_reminder(reminder, 10, events)
    }))
    .await;
    let names: HashSet<String> = all
        .iter()
        .map(|one| match one.as_ref().unwrap() {
            Added::New(reminder) | Added::Existing(reminder) => reminder.name.to_string(),
            Added::TooMany => panic!("there is room"),
        })
        .collect();
    assert_eq!(names.len(), 1);
    assert_eq!(waiting(&*store).await.len(), 2, "the account and one reminder");
}

pub(crate) async fn a_list_that_is_read_while_others_write_shows_each_old_row_once(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    for n in 0..30 {
        let old = follow(&ada, &format!("old{n:02}"), n);
        store.create_follow(old, vec![]).await.unwrap();
    }
    let writing = async {
        for n in 0..60 {
            let newer = follow(&ada, &format!("new{n}"), 1_000 + n);
            store.create_follow(newer.clone(), vec![]).await.unwrap();
            if n % 2 == 0 {
                store.delete_follow(newer, vec![]).await.unwrap();
            }
        }
    };
    let reading = async {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let rows = store.follows(&ada.name, page(3, after)).await.unwrap();
            seen.extend(rows.rows.into_iter().map(|follow| follow.name.channel));
            after = rows.next;
            if after.is_none() {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), seen) = tokio::join!(writing, reading);
    let old: Vec<String> = seen
        .into_iter()
        .filter(|channel| channel.starts_with("old"))
        .collect();
    let expected: Vec<String> = (0..30).rev().map(|n| format!("old{n:02}")).collect();
    assert_eq!(old, expected);
}

/// Renames until it works, as often as others are faster.
pub(crate) async fn rename(store: &dyn Store, name: &AccountName, to: &str) {
    loop {
        let account = store.account(name).await.unwrap().unwrap();
        let changed = renamed(&account, to);
        let events = vec![publish::account_updated(&changed)];
        match store.update_account(changed, account.version, events).await {
            Ok(()) => return,
            Err(Error::Conflict) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The version that a message about an account tells of.
pub(crate) fn told(message: &Message) -> i64 {
    use account_changed::Change;
    let change = AccountChanged::decode(message.value.clone()).unwrap().change;
    let account = match change.unwrap() {
        Change::Created(created) => created.account,
        Change::Updated(updated) => updated.account,
    };
    i64::from_str_radix(account.unwrap().etag.trim_start_matches('v'), 16).unwrap()
}

pub(crate) async fn messages_of_a_key_wait_in_the_order_of_its_versions(backend: &impl Backend) {
    let store = backend.open().await;
    let mut names = Vec::new();
    for n in 0..3 {
        names.push(registered(&*store, &format!("user{n}")).await.name);
    }
    join_all(names.iter().flat_map(|name| {
        let store = &store;
        (0..4).map(move |writer| async move {
            for n in 0..8 {
                rename(&**store, name, &format!("name {writer} {n}")).await;
            }
        })
    }))
    .await;
    let mut versions: HashMap<String, Vec<i64>> = HashMap::new();
    for (_, outgoing) in store.outbox().pending(1_000).await.unwrap() {
        versions
            .entry(outgoing.message.key.clone())
            .or_default()
            .push(told(&outgoing.message));
    }
    assert_eq!(versions.len(), 3);
    for versions in versions.into_values() {
        assert_eq!(versions, (1..=33).collect::<Vec<_>>());
    }
}

pub(crate) async fn messages_that_are_added_while_others_are_published_are_not_forgotten(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let accounts: Vec<Account> = (0..100).map(|n| account(&format!("user{n}"))).collect();
    let writing = join_all(accounts.iter().map(|account| store.create_account(new(account))));
    let publishing = async {
        let outbox = store.outbox();
        let mut published = Vec::new();
        while published.len() < accounts.len() {
            let pending = outbox.pending(7).await.unwrap();
            match pending.last() {
                Some((last, _)) => outbox.published(*last).await.unwrap(),
                None => outbox.wait().await,
            }
            published.extend(pending.into_iter().map(|(_, outgoing)| outgoing.message.key));
        }
        published
    };
    let publishing = tokio::time::timeout(Duration::from_secs(30), publishing);
    let (written, published) = tokio::join!(writing, publishing);
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let published = published.expect("a message was lost");
    let different: HashSet<&String> = published.iter().collect();
    assert_eq!(different.len(), 100);
    assert_eq!(waiting(&*store).await, [""; 0]);
}

pub(crate) async fn the_outbox_wakes_at_a_commit(backend: &impl Backend) {
    let store = backend.open().await;
    let outbox = store.outbox();
    assert_eq!(outbox.pending(10).await.unwrap(), []);
    let (account, ()) = tokio::join!(registered(&*store, "ada"), outbox.wait());
    let waited = async {
        while outbox.pending(10).await.unwrap().is_empty() {
            outbox.wait().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited)
        .await
        .expect("nothing came");
    assert_eq!(outbox.depth().await.unwrap(), 1);
    drop(account);
}
