//! Cases about groups and the consumer runner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use marquee_proto::topic::{BusEvent, Topic};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::tools::{soon, until};
use super::{Fixture, collect, message, topic};
use crate::{
    Consumer, Delivery, Error, EventBus, Handler, HandlerError, Outgoing, Polled, Retries, Subscription,
    dead_letters,
};

/// An event that is nothing but text.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Said {
    #[prost(string, tag = "1")]
    pub(super) text: String,
}

impl BusEvent for Said {
    const TOPIC: Topic = Topic {
        name: "marquee.test.said.v1",
        source: "test",
        partitions: 3,
        retention: Duration::from_secs(3600),
    };

    fn event_type(&self) -> Option<&'static str> {
        Some("marquee.test.said")
    }
}

pub(super) fn said(key: &str, text: &str) -> Outgoing {
    crate::event(
        key,
        &Said {
            text: text.to_owned(),
        },
    )
}

/// Writes down what it hears; some texts make it fail.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) heard: Mutex<Vec<(u32, String)>>,
    failures: AtomicUsize,
}

impl Listener {
    pub(super) fn heard(&self) -> usize {
        self.heard.lock().len()
    }
}

#[async_trait]
impl Handler<Said> for Listener {
    async fn handle(&self, delivery: Delivery<Said>) -> Result<(), HandlerError> {
        let text = delivery.event.text;
        match text.as_str() {
            "fails three times" if self.failures.fetch_add(1, Ordering::SeqCst) < 3 => {
                return Err(HandlerError::retry("not now"));
            }
            "fails always" => {
                self.failures.fetch_add(1, Ordering::SeqCst);
                return Err(HandlerError::retry("never"));
            }
            "poison" => return Err(HandlerError::poison("cannot be")),
            "panics" => panic!("on purpose"),
            _ => {}
        }
        self.heard.lock().push((delivery.partition, text));
        Ok(())
    }
}

/// A running consumer, stopped and waited for at the end.
pub(super) struct Running {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(super) fn start(bus: Arc<dyn EventBus>, group: &str, listener: &Arc<Listener>) -> Self {
        let shutdown = CancellationToken::new();
        let retries = Retries {
            first: Duration::from_millis(1),
            max: Duration::from_millis(5),
            attempts: 2,
        };
        let consumer = Consumer::new(bus, group)
            .on::<Said>(listener.clone())
            .retries(retries);
        Self {
            task: tokio::spawn(consumer.run(shutdown.clone())),
            shutdown,
        }
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        soon("the consumer stops", self.task).await.unwrap().unwrap();
    }
}

/// A fixture with the topic and a group of its own.
pub(super) async fn fresh<F: Fixture>() -> (F, Arc<dyn EventBus>, String) {
    let fixture = F::start().await;
    let bus = fixture.bus();
    bus.declare(&[Said::TOPIC, dead_letters(&Said::TOPIC)])
        .await
        .unwrap();
    let group = format!("group-{}", uuid::Uuid::now_v7().simple());
    (fixture, bus, group)
}

pub async fn a_former_owner_cannot_commit<F: Fixture>() {
    let fixture = F::start().await;
    let (bus, topic) = (fixture.bus(), topic(2));
    bus.declare(&[topic]).await.unwrap();
    let mut first = bus.subscribe("g", &[topic]).await.unwrap();
    while !matches!(
        soon("an assignment", first.poll(1)).await.unwrap(),
        Polled::Assigned(_)
    ) {}
    let _second = bus.subscribe("g", &[topic]).await.unwrap();
    let revoked = loop {
        if let Polled::Revoked(revoked) = soon("a revocation", first.poll(1)).await.unwrap() {
            break revoked;
        }
    };
    first.commit(&revoked[0], 0).await.unwrap();
    bus.publish((0..20).map(|n| message(&topic, &n.to_string(), "v")).collect())
        .await
        .unwrap();
    collect(&mut *first, 1).await; // polls, and so gives the partition up
    assert!(matches!(
        first.commit(&revoked[0], 0).await,
        Err(Error::NotAssigned { .. })
    ));
}

pub async fn the_consumer_handles_each_partition_in_order<F: Fixture>() {
    let (_fixture, bus, group) = fresh::<F>().await;
    let listener = Arc::new(Listener::default());
    let consumer = Running::start(bus.clone(), &group, &listener);
    for n in 0..100 {
        bus.publish(
            (0..3)
                .map(|key| said(&key.to_string(), &format!("{key}-{n:03}")))
                .collect(),
        )
        .await
        .unwrap();
    }
    until("all are heard", || listener.heard() == 300).await;
    for key in 0..3 {
        let heard = listener.heard.lock();
        let own: Vec<_> = heard
            .iter()
            .filter(|(_, text)| text.starts_with(&format!("{key}-")))
            .collect();
        assert!(own.len() == 100 && own.is_sorted(), "{own:?}");
    }
    consumer.stop().await;
}

pub async fn a_failing_handler_is_retried_in_order_until_it_succeeds<F: Fixture>() {
    let (_fixture, bus, group) = fresh::<F>().await;
    let listener = Arc::new(Listener::default());
    let consumer = Running::start(bus.clone(), &group, &listener);
    bus.publish(vec![
        said("k", "before"),
        said("k", "fails three times"),
        said("k", "after"),
    ])
    .await
    .unwrap();
    until("all are heard", || listener.heard() == 3).await;
    let texts: Vec<String> = listener
        .heard
        .lock()
        .iter()
        .map(|(_, text)| text.clone())
        .collect();
    assert_eq!(texts, ["before", "fails three times", "after"]);
    assert_eq!(
        listener.failures.load(Ordering::SeqCst),
        4,
        "more often than the retries that go unreported"
    );
    consumer.stop().await;
}

pub async fn poison_goes_to_the_dead_letters_and_the_partition_moves_on<F: Fixture>() {
    let (_fixture, bus, group) = fresh::<F>().await;
    let listener = Arc::new(Listener::default());
    let consumer = Running::start(bus.clone(), &group, &listener);
    let mut garbage = said("k", "");
    garbage.message.value = vec![0xff; 3].into();
    let sent = vec![
        said("k", "poison"),
        garbage,
        said("k", "panics"),
        said("k", "after"),
    ];
    let ids: Vec<_> = sent.iter().map(|outgoing| outgoing.message.id.clone()).collect();
    bus.publish(sent).await.unwrap();
    until("what comes after is heard", || listener.heard() == 1).await;
    let mut dead = bus
        .subscribe(&group, &[dead_letters(&Said::TOPIC)])
        .await
        .unwrap();
    let letters = collect(&mut *dead, 3).await;
    let dead_ids: Vec<_> = letters.iter().map(|letter| letter.message.id.clone()).collect();
    assert_eq!(dead_ids, ids[..3]);
    for (offset, (letter, reason)) in letters
        .iter()
        .zip(["cannot be", "decode", "panicked"])
        .enumerate()
    {
        let message = &letter.message;
        assert!(
            message.attribute("dead_letter_reason").unwrap().contains(reason),
            "{message:?}"
        );
        assert_eq!(message.attribute("dead_letter_topic"), Some(Said::TOPIC.name));
        assert_eq!(
            message.attribute("dead_letter_offset"),
            Some(offset.to_string().as_str())
        );
        assert!(message.attribute("dead_letter_partition").is_some());
    }
    consumer.stop().await;
}

pub async fn an_error_whose_text_panics_is_poison_too<F: Fixture>() {
    #[derive(Debug)]
    struct Unspeakable;
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    impl std::error::Error for Unspeakable {}
    struct Picky(AtomicUsize);
    #[async_trait]
    impl Handler<Said> for Picky {
        async fn handle(&self, delivery: Delivery<Said>) -> Result<(), HandlerError> {
            if delivery.event.text == "unspeakable" {
                return Err(HandlerError::poison(Unspeakable));
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let (_fixture, bus, group) = fresh::<F>().await;
    let picky = Arc::new(Picky(AtomicUsize::new(0)));
    let shutdown = CancellationToken::new();
    let consumer = Consumer::new(bus.clone(), group.as_str()).on::<Said>(picky.clone());
    let consumer = tokio::spawn(consumer.run(shutdown.clone()));
    let sent = vec![said("k", "before"), said("k", "unspeakable"), said("k", "after")];
    let id = sent[1].message.id.clone();
    bus.publish(sent).await.unwrap();
    until("the partition moves on", || picky.0.load(Ordering::SeqCst) == 2).await;
    let mut dead = bus
        .subscribe(&group, &[dead_letters(&Said::TOPIC)])
        .await
        .unwrap();
    assert_eq!(collect(&mut *dead, 1).await[0].message.id, id);
    shutdown.cancel();
    soon("the consumer stops", consumer).await.unwrap().unwrap();
}

pub async fn one_stuck_partition_does_not_stop_the_others<F: Fixture>() {
    let (_fixture, bus, group) = fresh::<F>().await;
    let listener = Arc::new(Listener::default());
    let consumer = Running::start(bus.clone(), &group, &listener);
    bus.publish(vec![said("0", "fails always")]).await.unwrap();
    until("the partition is stuck", || {
        listener.failures.load(Ordering::SeqCst) > 5
    })
    .await;
    let others: Vec<_> = (1..40).map(|key| said(&key.to_string(), "fine")).collect();
    bus.publish(others).await.unwrap();
    until("the others go on", || {
        listener
            .heard
            .lock()
            .iter()
            .map(|(p, _)| *p)
            .collect::<BTreeSet<_>>()
            .len()
            == 2
    })
    .await;
    consumer.stop().await;
}

pub async fn shutdown_finishes_the_record_in_hand_and_commits_it<F: Fixture>() {
    struct Slow {
        entered: tokio::sync::Notify,
        leave: tokio::sync::Notify,
        handled: AtomicUsize,
    }
    #[async_trait]
    impl Handler<Said> for Slow {
        async fn handle(&self, _: Delivery<Said>) -> Result<(), HandlerError> {
            self.entered.notify_one();
            self.leave.notified().await;
            self.handled.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let (_fixture, bus, group) = fresh::<F>().await;
    let slow = Arc::new(Slow {
        entered: Default::default(),
        leave: Default::default(),
        handled: AtomicUsize::new(0),
    });
    let shutdown = CancellationToken::new();
    let consumer = Consumer::new(bus.clone(), group.as_str())
        .on::<Said>(slow.clone())
        .run(shutdown.clone());
    let consumer = tokio::spawn(consumer);
    bus.publish(vec![said("k", "1"), said("k", "2")]).await.unwrap();
    soon("the first record is in hand", slow.entered.notified()).await;
    shutdown.cancel();
    slow.leave.notify_one();
    soon("the consumer stops", consumer).await.unwrap().unwrap();
    assert_eq!(slow.handled.load(Ordering::SeqCst), 1);
    let mut next: Box<dyn Subscription> = bus.subscribe(&group, &[Said::TOPIC]).await.unwrap();
    assert_eq!(
        collect(&mut *next, 1).await[0].offset,
        1,
        "the first was committed, the second is next"
    );
}
