//! What only the inside of the bus can have happen on a real Kafka.

use marquee_backends::Backend;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::timeout;

use super::member::Member;
use super::*;
use crate::{Message, Polled};

/// Nothing in here takes longer when it works.
const PATIENCE: Duration = Duration::from_secs(60);

const TOPIC: Topic = Topic {
    name: "marquee.bus.fatal.v1",
    partitions: 1,
    ..marquee_proto::topic::EVENT
};

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, polling).await.expect(what);
}

async fn publish(bus: &Kafka, id: &str) {
    let message = Message {
        id: id.to_owned(),
        key: "k".to_owned(),
        ..Message::default()
    };
    let outgoing = Outgoing {
        topic: TOPIC.name.into(),
        message,
    };
    bus.publish(vec![outgoing]).await.unwrap();
}

/// The id of the next record, and whether partitions were taken away before it.
async fn next(member: &mut Member) -> (String, bool) {
    let mut revoked = false;
    let polling = async {
        loop {
            match member.poll(1).await.unwrap() {
                Polled::Records(records) => return records[0].message.id.clone(),
                Polled::Revoked(_) => revoked = true,
                Polled::Assigned(_) => {}
            }
        }
    };
    let id = timeout(PATIENCE, polling).await.expect("a record");
    (id, revoked)
}

/// A static member whose name somebody else takes is fenced, which librdkafka takes for fatal.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kafka"]
async fn a_consumer_that_failed_for_good_is_told_by_readiness_and_replaced() {
    let mut settings = Settings::new(marquee_backends::address(Backend::Kafka));
    settings.prefix = format!("test-{}.", uuid::Uuid::now_v7().simple());
    let bus = Kafka::open(settings.clone()).unwrap();
    bus.declare(&[TOPIC]).await.unwrap();
    let membership = Membership::new(&settings, "g", &[TOPIC], bus.failures.place()).instance("one");
    let mut member = Member::join(membership, bus.members.token()).unwrap();
    publish(&bus, "before").await;
    assert_eq!(next(&mut member).await, ("before".to_owned(), false));
    until("ready", || bus.ready().is_ok()).await;

    let mut thief = settings.client();
    thief
        .set("group.id", format!("{}g", settings.prefix))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("group.instance.id", "one");
    let thief: BaseConsumer = thief.create().unwrap();
    thief
        .subscribe(&[&format!("{}{}", settings.prefix, TOPIC.name)])
        .unwrap();
    let mut told = String::new();
    until("not ready", || {
        drop(thief.poll(Duration::from_millis(10)));
        told = bus.ready().err().unwrap_or_default();
        !told.is_empty()
    })
    .await;
    assert!(
        told.starts_with("kafka: the consumer of the group `g` failed for good"),
        "{told}"
    );
    drop(thief);

    publish(&bus, "after").await;
    let (mut id, revoked) = next(&mut member).await;
    assert!(revoked, "the member was told");
    if id == "before" {
        // It was not committed.
        id = next(&mut member).await.0;
    }
    assert_eq!(id, "after");
    until("ready again", || bus.ready().is_ok()).await;
}
