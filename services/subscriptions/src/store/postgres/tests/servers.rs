//! What happens when the server is not there, stops, is killed, or stands still. Each case has a server of its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use marquee_backends::{Home, Server as Running, install};
use tokio::time::timeout;

use super::*;
use crate::store::chain;
use crate::store::suite::{account, new, registered};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server and its folder.
struct Private {
    server: Running,
    _data: tempfile::TempDir,
}

impl Private {
    async fn start() -> Self {
        let starting = tokio::task::spawn_blocking(|| {
            let home = Home::default().unwrap();
            install(&home, Server::Postgres, &mut |line| println!("{line}")).unwrap();
            let data = tempfile::tempdir().unwrap();
            let server = Running::start(&home, Server::Postgres, data.path()).unwrap();
            Self { server, _data: data }
        });
        starting.await.unwrap()
    }

    fn open(&self) -> Postgres {
        Postgres::new(&Settings::new(Secret::new(self.server.address())), LOGIN_LIMIT).unwrap()
    }

    async fn prepared(&self) -> Arc<Postgres> {
        let store = self.open();
        store.prepare().await.unwrap();
        Arc::new(store)
    }

    /// Does to the server what blocks.
    async fn does(mut self, what: impl FnOnce(&mut Running) + Send + 'static) -> Self {
        let doing = tokio::task::spawn_blocking(move || {
            what(&mut self.server);
            self
        });
        doing.await.unwrap()
    }

    async fn stop(self) -> Self {
        self.does(|server| server.stop().unwrap()).await
    }

    async fn kill(self) -> Self {
        self.does(Running::kill).await
    }

    async fn restart(self) -> Self {
        self.does(|server| server.restart().unwrap()).await
    }
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come true"));
}

async fn until_it_works(store: &Postgres) {
    until("an answer", async || store.ping().await.is_ok()).await;
}

/// What is said.
#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(error @ Error::Unavailable(_)) => chain(&error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_server_that_was_stopped_and_started_is_used_again() {
    let private = Private::start().await;
    let store = private.prepared().await;
    let ada = registered(&*store, "ada").await;
    let private = private.stop().await;
    let said = unavailable(store.account(&ada.name).await);
    assert!(said.contains(store.connections.server()), "{said}");
    assert!(said.contains("refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    unavailable(store.create_account(new(&account("grace"))).await);
    unavailable(store.ping().await);

    let _private = private.restart().await;
    until_it_works(&store).await;
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(ada));
    assert_eq!(store.account(&account("grace").name).await.unwrap(), None);
    registered(&*store, "grace").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_restart_between_two_calls_breaks_no_call() {
    let private = Private::start().await;
    let store = private.prepared().await;
    let accounts = |what: &str| {
        (0..20)
            .map(|n| account(&format!("{what}{n}")))
            .collect::<Vec<_>>()
    };
    let before = accounts("before");
    // At once, so that there are as many connections as there may be, all of which break.
    let all = join_all(before.iter().map(|account| store.create_account(new(account)))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let _private = private.kill().await.restart().await;
    let after = accounts("after");
    let all = join_all(after.iter().map(|account| store.create_account(new(account)))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn what_was_acknowledged_is_there_after_the_server_was_killed() {
    let mut private = Private::start().await;
    let store = private.prepared().await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let one = account(&format!("r{round}w{writer}n{n}"));
                        if store.create_account(new(&one)).await.is_ok() {
                            acknowledged.push(one.name);
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let before = acknowledged.len() as u64;
        let outbox = store.outbox();
        until("some writes", async || {
            outbox.depth().await.unwrap_or(0) > before + 40
        })
        .await;
        private = private.kill().await;
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        private = private.restart().await;
        until_it_works(&store).await;

        let mut waiting = HashSet::new();
        // The lease may have to end first.
        until("the outbox", async || {
            let pending = outbox.pending(100_000).await.unwrap();
            waiting.extend(pending.into_iter().map(|(_, outgoing)| outgoing.message.key));
            !waiting.is_empty()
        })
        .await;
        for name in &acknowledged {
            assert!(store.account(name).await.unwrap().is_some(), "{name} is gone");
            assert!(
                waiting.contains(&name.to_string()),
                "the message of {name} is gone"
            );
        }
        for key in &waiting {
            let name = key.parse().unwrap();
            assert!(
                store.account(&name).await.unwrap().is_some(),
                "{key} was never written"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_server_that_stands_still_is_given_up_and_used_again() {
    let private = Private::start().await;
    let store = private.prepared().await;
    let ada = registered(&*store, "ada").await;
    private.server.pause();
    let said = timeout(PATIENCE, store.account(&ada.name))
        .await
        .expect("it hangs");
    assert!(unavailable(said).contains("does not answer"));
    let grace = account("grace");
    let said = timeout(PATIENCE, store.create_account(new(&grace)))
        .await
        .expect("it hangs");
    unavailable(said);
    private.server.resume();
    until_it_works(&store).await;
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(ada));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_server_that_comes_later_is_prepared_then() {
    let private = Private::start().await.stop().await;
    let store = private.open();
    unavailable(store.prepare().await);
    let said = unavailable(store.ping().await);
    assert!(said.contains("refused"), "{said}");
    assert!(unavailable(store.plans().await).contains("not prepared"));
    let _private = private.restart().await;
    until("the schema", async || store.prepare().await.is_ok()).await;
    store.ping().await.unwrap();
    registered(&store, "ada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn a_wrong_password_is_said_and_not_shown() {
    let address = marquee_backends::address(Server::Postgres);
    let (before, after) = address.rsplit_once('@').unwrap();
    let user = before.rsplit_once(':').unwrap().0;
    let wrong = Secret::new(format!("{user}:hunter2@{after}"));
    let store = Postgres::new(&Settings::new(wrong), LOGIN_LIMIT).unwrap();
    let said = unavailable(store.prepare().await);
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
