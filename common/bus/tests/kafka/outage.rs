//! The server goes away and comes back: whoever publishes and whoever consumes go on by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use marquee_backends::{Backend, Home, Server};
use marquee_bus::kafka::{Kafka, Settings};
use marquee_bus::testing::{message, topic};
use marquee_bus::{Error, EventBus, Polled};
use marquee_proto::topic::Topic;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);
const KEYS: usize = 10;

/// A server that nobody else uses.
struct Private {
    server: Server,
    _folder: TempDir,
}

impl Private {
    async fn start() -> Self {
        blocking(|| {
            let folder = tempfile::tempdir().unwrap();
            let home = Home::default().unwrap();
            let server = Server::start(&home, Backend::Kafka, folder.path()).unwrap();
            Self {
                server,
                _folder: folder,
            }
        })
        .await
    }

    /// Does something with the server that takes a while.
    async fn with(self, action: impl FnOnce(&mut Server) + Send + 'static) -> Self {
        let mut private = self;
        blocking(move || {
            action(&mut private.server);
            private
        })
        .await
    }

    fn settings(&self) -> Settings {
        let mut settings = super::settings(self.server.address());
        settings.delivery_timeout = Duration::from_secs(2);
        settings
    }
}

async fn blocking<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(action).await.unwrap()
}

/// Publishes numbers, each key its own in order; a batch that failed again, as a relay does.
struct Publisher {
    acknowledged: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Publisher {
    fn start(bus: Arc<Kafka>, topic: Topic) -> Self {
        let (acknowledged, failures) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let stop = CancellationToken::new();
        let (counting, failing, stopped) = (Arc::clone(&acknowledged), Arc::clone(&failures), stop.clone());
        let task = tokio::spawn(async move {
            let mut round = 0;
            while !stopped.is_cancelled() {
                let batch: Vec<_> = (0..3 * KEYS)
                    .map(|n| {
                        message(
                            &topic,
                            &(n % KEYS).to_string(),
                            &format!("{:09}", 3 * round + n / KEYS),
                        )
                    })
                    .collect();
                while let Err(error) = bus.publish(batch.clone()).await {
                    assert!(matches!(error, Error::Unavailable(_)), "{error}");
                    failing.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                round += 1;
                counting.store(round, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            round
        });
        Self {
            acknowledged,
            failures,
            stop,
            task,
        }
    }

    async fn goes_on(&self) {
        let now = self.acknowledged.load(Ordering::SeqCst);
        until("the publisher goes on", || {
            self.acknowledged.load(Ordering::SeqCst) > now + 20
        })
        .await;
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{what}");
}

/// The numbers of each key, in the order in which each first came.
type Heard = BTreeMap<String, Vec<String>>;

fn hear(
    bus: Arc<Kafka>,
    topic: Topic,
    stop: CancellationToken,
    count: Arc<AtomicUsize>,
) -> JoinHandle<Heard> {
    tokio::spawn(async move {
        let mut heard = Heard::new();
        let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
        while let Some(polled) = stop.run_until_cancelled(subscription.poll(100)).await {
            let Polled::Records(records) = polled.unwrap() else {
                continue;
            };
            for record in &records {
                let text = String::from_utf8(record.message.value.to_vec()).unwrap();
                let of_key = heard.entry(record.message.key.clone()).or_default();
                // What was published again comes again; whoever handles it knows it by its id.
                if of_key.last().is_none_or(|last| *last < text) {
                    of_key.push(text);
                    count.fetch_add(1, Ordering::SeqCst);
                } else {
                    assert!(of_key.contains(&text), "{text} comes after {:?}", of_key.last());
                }
            }
            let last = &records[records.len() - 1];
            // While the server is away its partitions may be given to nobody.
            drop(
                subscription
                    .commit(&last.topic_partition(), last.offset + 1)
                    .await,
            );
        }
        heard
    })
}

/// Publishes and consumes while the server is treated badly, and checks that nothing is lost or out of order.
async fn survive(private: Private, treat: impl AsyncFnOnce(Private, &Publisher) -> Private) {
    let bus = Kafka::open(private.settings()).unwrap();
    let topic = topic(3);
    bus.declare(&[topic]).await.unwrap();
    let publisher = Publisher::start(bus.clone(), topic);
    let (stop, count) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
    let hearing = hear(bus.clone(), topic, stop.clone(), count.clone());
    publisher.goes_on().await;
    let _private = treat(private, &publisher).await;
    publisher.goes_on().await;
    publisher.stop.cancel();
    let rounds = tokio::time::timeout(SOON, publisher.task).await.unwrap().unwrap();
    until("everything is heard", || {
        count.load(Ordering::SeqCst) == rounds * 3 * KEYS
    })
    .await;
    stop.cancel();
    let heard = hearing.await.unwrap();
    let all: Vec<String> = (0..3 * rounds).map(|n| format!("{n:09}")).collect();
    for (key, numbers) in heard {
        assert_eq!(numbers, all, "{key}");
    }
    tokio::time::timeout(SOON, async {
        while bus.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("ready again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn they_go_on_after_the_server_was_stopped_and_started() {
    survive(Private::start().await, async |private, _| {
        let private = private.with(|server| server.stop().unwrap()).await;
        private.with(|server| server.restart().unwrap()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed_while_they_publish() {
    survive(Private::start().await, async |mut private, publisher| {
        for _ in 0..2 {
            private = private.with(Server::kill).await;
            private = private.with(|server| server.restart().unwrap()).await;
            publisher.goes_on().await;
        }
        private
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn what_failed_while_the_server_hung_is_published_again_in_order() {
    survive(Private::start().await, async |private, publisher| {
        for _ in 0..2 {
            let failures = publisher.failures.load(Ordering::SeqCst);
            private.server.pause();
            until("publishing fails", || {
                publisher.failures.load(Ordering::SeqCst) > failures
            })
            .await;
            private.server.resume();
            publisher.goes_on().await;
        }
        private
    })
    .await;
}
