//! Several processes on one database. Each has a store of its own, which shares nothing with the others but the server.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::join_all;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::outbox::leased::LEASE;
use marquee_bus::outbox::relay;
use marquee_bus::{EventBus, Polled, Subscription};
use marquee_proto::topic;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::plan;
use crate::publish;
use crate::store::suite::{follow, registered, rename, told};

const PATIENCE: Duration = Duration::from_secs(30);

/// So many processes, all started and prepared at the same time.
async fn processes(database: &Database, count: usize) -> Vec<Arc<Postgres>> {
    let stores: Vec<_> = (0..count).map(|_| database.unprepared()).collect();
    for prepared in join_all(stores.iter().map(|store| store.prepare())).await {
        prepared.unwrap();
    }
    stores
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn processes_that_start_at_once_on_a_new_database_all_come_up() {
    for _ in 0..5 {
        let database = Database::new().await;
        for store in processes(&database, 6).await {
            assert!(store.plans().await.unwrap().is_empty());
        }
        // And once more, on what is there.
        processes(&database, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_migration_that_was_cut_short_is_run_to_its_end() {
    let database = Database::new().await;
    drop(processes(&database, 1).await);
    let schema = database.schema.clone().unwrap();
    ask(&database.server, format!("DELETE FROM {schema}.migrations"));
    ask(&database.server, format!("DROP TABLE {schema}.reminders"));
    let store = processes(&database, 1).await.remove(0);
    let ada = registered(&*store, "ada").await;
    let page = Page { size: 1, after: None };
    assert!(store.reminders(&ada.name, page).await.unwrap().rows.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn processes_that_start_at_once_sign_with_the_same_key_and_have_the_same_plans() {
    for _ in 0..5 {
        let database = Database::new().await;
        let stores = processes(&database, 6).await;
        let keys = join_all(stores.iter().enumerate().map(|(n, store)| async move {
            store.seed_plans(plan::defaults()).await.unwrap();
            let key = SigningKey {
                kid: format!("key {n}"),
                pkcs8: vec![1, 2, 3],
                create_time: Timestamp::UNIX_EPOCH,
            };
            store.signing_keys_or(key).await.unwrap()
        }))
        .await;
        for found in &keys {
            let kids: Vec<&str> = found.iter().map(|key| key.kid.as_str()).collect();
            assert_eq!(kids, [keys[0][0].kid.as_str()]);
        }
        assert_eq!(stores[0].plans().await.unwrap(), plan::defaults());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn attempts_to_sign_in_are_counted_over_all_processes() {
    let database = Database::new().await;
    let stores = processes(&database, 3).await;
    let (ada, now) = (Guesser::new("ada", None), Timestamp::now());
    let all = join_all(
        stores
            .iter()
            .cycle()
            .take(12)
            .map(|store| store.take_attempt(ada, now)),
    )
    .await;
    let taken = all.iter().filter(|one| matches!(one, Ok(Attempt::Taken)));
    assert_eq!(taken.count(), 3);
}

/// Waits until the outbox shows something.
async fn takes_over(outbox: &dyn Outbox) {
    let taking = async {
        while outbox.pending(10).await.unwrap().is_empty() {
            outbox.wait().await;
        }
    };
    timeout(PATIENCE, taking).await.expect("nobody took over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn one_process_at_a_time_reads_the_outbox_and_another_goes_on_when_it_lets_go() {
    let database = Database::new().await;
    let stores = processes(&database, 2).await;
    registered(&*stores[1], "ada").await;
    let [first, second] = [stores[0].outbox(), stores[1].outbox()];
    assert_eq!(first.pending(10).await.unwrap().len(), 1);
    assert_eq!(second.pending(10).await.unwrap(), []);
    assert_eq!(first.pending(10).await.unwrap().len(), 1);
    first.release().await;
    takes_over(&*second).await;
    assert_eq!(first.pending(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn another_process_takes_over_when_the_one_that_publishes_is_gone() {
    let database = Database::new().await;
    let stores = processes(&database, 2).await;
    registered(&*stores[1], "ada").await;
    assert_eq!(stores[0].outbox().pending(10).await.unwrap().len(), 1);
    // From here on it says nothing to anybody, as one that was killed.
    takes_over(&*stores[1].outbox()).await;
    assert_eq!(
        stores[0].outbox().pending(10).await.unwrap(),
        [],
        "it reads on without the lease"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_relay_keeps_its_lease_while_a_batch_takes_longer_than_the_lease() {
    let database = Database::new().await;
    let stores = processes(&database, 2).await;
    let holder = stores[0].outbox();
    assert_eq!(holder.pending(1).await.unwrap(), []);
    registered(&*stores[1], "ada").await;
    let second = stores[1].outbox();
    // Twice as long as a lease is good for without being renewed.
    let watched = timeout(2 * LEASE, takes_over(&*second));
    tokio::select! {
        taken = watched => assert!(taken.is_err(), "the lease was lost"),
        () = holder.hold() => unreachable!("it ends with the relay"),
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_relay_whose_lease_ends_while_it_reads_publishes_nothing() {
    let database = Database::new().await;
    let store = processes(&database, 1).await.remove(0);
    registered(&*store, "ada").await;
    let outbox = store.outbox();
    assert_eq!(outbox.pending(10).await.unwrap().len(), 1);

    // As long as somebody has the table for himself, it cannot be read.
    let schema = database.schema.clone().unwrap();
    let options: PgConnectOptions = database.server.parse().unwrap();
    let mut other = options.connect().await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {schema}.outbox IN ACCESS EXCLUSIVE MODE");
    other.execute(AssertSqlSafe(lock)).await.unwrap();
    let reading = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { outbox.pending(10).await }
    });
    let waits =
        format!("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{schema}.outbox'::regclass");
    let reads = async {
        while other
            .fetch_optional(AssertSqlSafe(waits.clone()))
            .await
            .unwrap()
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reads).await.expect("it does not read");
    tokio::time::pause();
    tokio::time::advance(LEASE).await;
    tokio::time::resume();
    other.execute("COMMIT").await.unwrap();

    assert_eq!(reading.await.unwrap().unwrap(), []);
    assert_eq!(
        outbox.pending(10).await.unwrap().len(),
        1,
        "it takes the lease again"
    );
}

/// The versions that were told of each account, in the order of the bus, after so many messages.
async fn published(subscription: &mut dyn Subscription, count: usize) -> HashMap<String, Vec<i64>> {
    let mut versions: HashMap<String, Vec<i64>> = HashMap::new();
    let mut ids = HashSet::new();
    let reading = async {
        while ids.len() < count {
            let Polled::Records(records) = subscription.poll(100).await.unwrap() else {
                continue;
            };
            for record in records {
                // What a relay that was killed had published and not noted comes twice: consumers dedupe by the id.
                if ids.insert(record.message.id.clone()) {
                    let key = record.message.key.clone();
                    versions.entry(key).or_default().push(told(&record.message));
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("messages were lost");
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn relays_of_several_processes_publish_each_key_in_the_order_of_its_commits_also_when_one_dies() {
    let database = Database::new().await;
    let stores = processes(&database, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let bus = Embedded::open(folder.path(), Options::default()).unwrap();
    bus.declare(&[topic::ACCOUNT]).await.unwrap();
    let mut subscription = bus.subscribe("reader", &[topic::ACCOUNT]).await.unwrap();
    let shutdown = CancellationToken::new();
    let start = |store: &Arc<Postgres>| {
        let bus = Arc::clone(&bus) as Arc<dyn EventBus>;
        tokio::spawn(relay(store.outbox(), bus, shutdown.clone()))
    };
    let first = start(&stores[0]);
    let mut names = Vec::new();
    for n in 0..4 {
        names.push(registered(&*stores[0], &format!("user{n}")).await.name);
    }
    let others = [start(&stores[1]), start(&stores[2])];

    let renaming = |from: usize, to: usize| {
        let (stores, names) = (&stores, &names);
        join_all((0..3).flat_map(move |process| {
            names.iter().map(move |name| async move {
                for n in from..to {
                    rename(&*stores[process], name, &format!("{process} {n}")).await;
                }
            })
        }))
    };
    renaming(0, 10).await;
    // Killed without a word: nobody releases its lease.
    first.abort();
    renaming(10, 20).await;

    let versions = published(&mut *subscription, 4 * 61).await;
    assert_eq!(versions.len(), 4);
    for (name, versions) in versions {
        assert_eq!(versions, (1..=61).collect::<Vec<_>>(), "{name}");
    }
    shutdown.cancel();
    for relay in others {
        relay.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn commits_of_one_key_by_several_processes_wait_in_their_order() {
    let database = Database::new().await;
    let stores = processes(&database, 3).await;
    let ada = registered(&*stores[0], "ada").await;
    // A follow that comes and goes has no version: only the order of the commits says which message is the later one.
    let made = join_all(stores.iter().map(|store| async {
        let mut made = 0;
        for n in 0..30 {
            let follow = follow(&ada, "c", n);
            let events = vec![publish::follow_created(&follow)];
            if let Added::New(follow) = store.create_follow(follow, events).await.unwrap() {
                made += 1;
                let events = vec![publish::follow_deleted(&follow)];
                store.delete_follow(follow, events).await.unwrap();
            }
        }
        made
    }))
    .await;
    let pending = stores[1].outbox().pending(1_000).await.unwrap();
    let kinds: Vec<String> = pending
        .into_iter()
        .map(|(_, outgoing)| outgoing.message.event_type)
        .filter(|kind| kind.contains("follow"))
        .collect();
    assert_eq!(kinds.len(), 2 * made.into_iter().sum::<usize>());
    for pair in kinds.chunks(2) {
        assert!(
            pair[0].ends_with("created") && pair[1].ends_with("deleted"),
            "{kinds:?}"
        );
    }
}
