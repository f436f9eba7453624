//! Accounts, sessions, keys, and what holds for all writes.

use super::*;

pub(crate) async fn an_address_is_unique_without_regard_to_case(backend: &impl Backend) {
    let store = backend.open().await;
    registered(&*store, "ada").await;
    let mut other = account("other");
    other.email = Email::parse("ADA@Example.ORG").unwrap();
    let refused = store.create_account(new(&other)).await;
    assert!(
        matches!(refused, Err(Error::AlreadyExists(Unique::Email))),
        "{refused:?}"
    );
    assert_eq!(store.account(&other.name).await.unwrap(), None);
    let found = store.credential(&other.email).await.unwrap().unwrap();
    assert_eq!(found.account, account("ada"));
}

pub(crate) async fn a_request_id_is_unique_per_rpc_and_caller(backend: &impl Backend) {
    let store = backend.open().await;
    let with = |id: &str, reply| NewAccount {
        reply: Some(reply),
        ..new(&account(id))
    };
    store
        .create_account(with("a", reply("Create", "x")))
        .await
        .unwrap();
    let refused = store.create_account(with("b", reply("Create", "x"))).await;
    assert!(
        matches!(refused, Err(Error::AlreadyExists(Unique::RequestId))),
        "{refused:?}"
    );
    store
        .create_account(with("c", reply("Create", "y")))
        .await
        .unwrap();
    store
        .create_account(with("d", reply("Other", "x")))
        .await
        .unwrap();
    let kept = reply("Create", "x");
    assert_eq!(store.reply(&kept.key).await.unwrap(), Some(kept));
}

pub(crate) async fn what_is_written_is_read_back_after_a_restart(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    store.seed_plans(plan::defaults()).await.unwrap();
    let membership = joined(&*store, &ada, at(5)).await;
    let follow = follow(&ada, "c", 6);
    store.create_follow(follow.clone(), vec![]).await.unwrap();
    let reminder = reminder(&ada, "e", 60);
    store.create_reminder(reminder.clone(), 10, vec![]).await.unwrap();
    let store = backend.reopen(store).await;
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(ada.clone()));
    assert_eq!(store.plans().await.unwrap(), plan::defaults());
    assert_eq!(
        store.membership(&membership.name).await.unwrap(),
        Some(membership.clone())
    );
    let payments = store.payments(&ada.name, page(10, None)).await.unwrap().rows;
    assert_eq!(payments[0].membership, Some(membership.name));
    assert_eq!(store.follow(&follow.name).await.unwrap(), Some(follow));
    assert_eq!(store.reminder(&reminder.name).await.unwrap(), Some(reminder));
}

pub(crate) async fn an_update_of_what_was_changed_meanwhile_is_a_conflict(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let first = renamed(&ada, "first");
    store
        .update_account(first.clone(), ada.version, vec![])
        .await
        .unwrap();
    let second = store
        .update_account(renamed(&ada, "second"), ada.version, vec![])
        .await;
    assert!(matches!(second, Err(Error::Conflict)), "{second:?}");
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(first));

    let read = joined(&*store, &ada, at(0)).await;
    let expired = read.expire(read.period_end).unwrap();
    store
        .update_membership(expired.clone(), read.version, vec![])
        .await
        .unwrap();
    let again = store.update_membership(expired, read.version, vec![]).await;
    assert!(matches!(again, Err(Error::Conflict)), "{again:?}");
}

pub(crate) async fn of_concurrent_updates_of_one_version_one_wins(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let all = futures::future::join_all((0..20).map(|n| {
        let changed = renamed(&ada, &format!("name {n}"));
        let events = vec![publish::account_updated(&changed)];
        store.update_account(changed, ada.version, events)
    }))
    .await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!(
        store.account(&ada.name).await.unwrap().unwrap().version,
        Version(2)
    );
    let updated = waiting(&*store)
        .await
        .into_iter()
        .filter(|kind| kind.ends_with("updated"));
    assert_eq!(updated.count(), 1);
}

pub(crate) async fn a_change_and_its_message_are_there_together_or_not_at_all(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    assert_eq!(waiting(&*store).await, ["marquee.subscriptions.account.created"]);
    assert!(store.create_account(new(&ada)).await.is_err());
    let changed = renamed(&ada, "new");
    let stale = store.update_account(
        changed.clone(),
        Version(9),
        vec![publish::account_updated(&changed)],
    );
    assert!(stale.await.is_err());
    assert_eq!(waiting(&*store).await.len(), 1);
    store
        .update_account(
            changed.clone(),
            ada.version,
            vec![publish::account_updated(&changed)],
        )
        .await
        .unwrap();
    assert_eq!(waiting(&*store).await.len(), 2);
}

pub(crate) async fn messages_wait_in_the_order_of_their_commits_and_survive_a_restart(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let follow = follow(&ada, "c", 1);
    store
        .create_follow(follow.clone(), vec![publish::follow_created(&follow)])
        .await
        .unwrap();
    store
        .delete_follow(follow.clone(), vec![publish::follow_deleted(&follow)])
        .await
        .unwrap();
    let store = backend.reopen(store).await;
    let kinds = waiting(&*store).await;
    assert_eq!(
        kinds,
        [
            "marquee.subscriptions.account.created",
            "marquee.subscriptions.follow.created",
            "marquee.subscriptions.follow.deleted"
        ]
    );
    let (first, _) = store.outbox().pending(1).await.unwrap().remove(0);
    store.outbox().published(first).await.unwrap();
    assert_eq!(waiting(&*store).await, kinds[1..]);
}

pub(crate) async fn the_first_signing_key_stays(backend: &impl Backend) {
    let key = |kid: &str| SigningKey {
        kid: kid.to_owned(),
        pkcs8: kid.as_bytes().to_vec(),
        create_time: at(0),
    };
    let store = backend.open().await;
    let kids = |keys: Vec<SigningKey>| keys.into_iter().map(|key| key.kid).collect::<Vec<_>>();
    assert_eq!(
        kids(store.signing_keys_or(key("first")).await.unwrap()),
        ["first"]
    );
    let store = backend.reopen(store).await;
    assert_eq!(
        kids(store.signing_keys_or(key("second")).await.unwrap()),
        ["first"]
    );
}

pub(crate) async fn a_refresh_token_rotates_once_however_many_try(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    let all = futures::future::join_all((0..10).map(|_| {
        let next = token.next();
        store.rotate_session(token.family(), token.secret(), next.secret(), at(1))
    }))
    .await;
    let count =
        |wanted: fn(&Rotation) -> bool| all.iter().filter(|one| wanted(one.as_ref().unwrap())).count();
    assert_eq!(count(|one| matches!(one, Rotation::Rotated(_))), 1);
    assert_eq!(count(|one| matches!(one, Rotation::Reused(_))), 1);
    assert_eq!(count(|one| matches!(one, Rotation::Unknown)), 8);
}

pub(crate) async fn an_ended_session_stays_ended(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    store.end_session(token.family(), at(1)).await.unwrap();
    let store = backend.reopen(store).await;
    let rotation = store
        .rotate_session(token.family(), token.secret(), token.next().secret(), at(2))
        .await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
}

pub(crate) async fn purging_takes_expired_sessions_and_old_replies_only(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = account("ada");
    let mut with_reply = new(&ada);
    with_reply.reply = Some(reply("Create", "x"));
    store.create_account(with_reply).await.unwrap();
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    assert_eq!(store.purge(at(1_000), at(0), 10).await.unwrap(), 0);
    assert_eq!(store.purge(at(1_001), at(1), 10).await.unwrap(), 2);
    assert_eq!(store.reply(&reply("Create", "x").key).await.unwrap(), None);
    let rotation = store
        .rotate_session(token.family(), token.secret(), token.next().secret(), at(2))
        .await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
}

pub(crate) async fn writers_at_the_same_time_all_get_through(backend: &impl Backend) {
    let store = backend.open().await;
    let names: Vec<String> = (0..200).map(|n| format!("user{n}")).collect();
    let accounts: Vec<Account> = names.iter().map(|name| account(name)).collect();
    let all =
        futures::future::join_all(accounts.iter().map(|account| store.create_account(new(account)))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(waiting(&*store).await.len(), 200);
    let store = backend.reopen(store).await;
    for account in accounts {
        assert_eq!(store.account(&account.name).await.unwrap(), Some(account));
    }
}
