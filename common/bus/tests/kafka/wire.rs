//! What others see on the server, and what we make of what others put there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use marquee_bus::kafka::{Kafka, Settings};
use marquee_bus::testing::{Fixture, collect, message, topic};
use marquee_bus::{
    Consumer, Delivery, Error, EventBus, Handler, HandlerError, MAX_MESSAGE_BYTES, dead_letter, dead_letters,
};
use marquee_proto::topic::{BusEvent, Topic};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio_util::sync::CancellationToken;

use super::OnKafka;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs kafka"]
async fn a_message_is_a_cloud_event_to_any_other_client() {
    let fixture = OnKafka::start().await;
    let topic = topic(1);
    fixture.bus.declare(&[topic]).await.unwrap();
    let mut sent = message(&topic, "channels/käy", "value");
    sent.message.time = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
    sent.message.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    sent.message.attributes = vec![("tenant".to_owned(), "t".to_owned())];
    fixture.bus.publish(vec![sent.clone()]).await.unwrap();

    let raw: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &fixture.settings.brokers)
        .set("group.id", fixture.full_name("raw"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    raw.subscribe(&[&fixture.full_name(topic.name)]).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        // Polling may come back with nothing before its time.
        let deadline = std::time::Instant::now() + SOON;
        let mut polls = std::iter::repeat_with(|| raw.poll(Duration::from_millis(100)))
            .take_while(|_| std::time::Instant::now() < deadline);
        let record = polls.find_map(|polled| polled).expect("a record comes").unwrap();
        let headers: BTreeMap<String, String> = record
            .headers()
            .unwrap()
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    String::from_utf8(header.value.unwrap().to_vec()).unwrap(),
                )
            })
            .collect();
        (
            headers,
            record.key().unwrap().to_vec(),
            record.payload().unwrap().to_vec(),
        )
    });
    let (headers, key, value) = read.await.unwrap();
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", &sent.message.id),
        ("ce_type", "test.happened"),
        ("ce_source", "test"),
        ("ce_subject", "channels/käy"),
        ("ce_time", "2026-01-02T03:04:05.678901234Z"),
        ("content-type", "application/protobuf"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("tenant", "t"),
    ];
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(headers, expected);
    assert_eq!((&*key, &*value), ("channels/käy".as_bytes(), &b"value"[..]));
}

#[derive(Clone, PartialEq, prost::Message)]
struct Noted {
    #[prost(string, tag = "1")]
    text: String,
}

impl BusEvent for Noted {
    const TOPIC: Topic = Topic {
        name: "marquee.test.noted.v1",
        source: "test",
        partitions: 1,
        retention: Duration::from_secs(3600),
    };

    fn event_type(&self) -> Option<&'static str> {
        Some("marquee.test.noted")
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

#[async_trait]
impl Handler<Noted> for Notes {
    async fn handle(&self, delivery: Delivery<Noted>) -> Result<(), HandlerError> {
        self.0.lock().push(delivery.event.text);
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn what_others_wrote_on_a_topic_goes_to_the_dead_letters_and_the_partition_moves_on() {
    let fixture = OnKafka::start().await;
    let bus: Arc<dyn EventBus> = fixture.bus();
    bus.declare(&[Noted::TOPIC, dead_letters(&Noted::TOPIC)])
        .await
        .unwrap();
    let other: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &fixture.settings.brokers)
        .create()
        .unwrap();
    let name = fixture.full_name(Noted::TOPIC.name);
    let bare: FutureRecord<'_, str, [u8]> = FutureRecord::to(&name);
    let half = OwnedHeaders::new()
        .insert(Header {
            key: "ce_specversion",
            value: Some("1.0"),
        })
        .insert(Header {
            key: "ce_id",
            value: Some("half"),
        })
        .insert(Header {
            key: "ce_type",
            value: None::<&str>,
        });
    // Nothing at all; bytes without headers, which would even be an event; a half of a CloudEvent.
    let event: &[u8] = &[0x0a, 0x01, b'x'];
    let foreign = [
        bare,
        FutureRecord::to(&name).key("k").payload(event),
        FutureRecord::to(&name).key("k").payload(event).headers(half),
    ];
    for record in foreign {
        other.send(record, SOON).await.unwrap();
    }
    let text = "ours".to_owned();
    bus.publish(vec![marquee_bus::event("k", &Noted { text })])
        .await
        .unwrap();

    let notes = Arc::new(Notes::default());
    let shutdown = CancellationToken::new();
    let consumer = Consumer::new(bus.clone(), "noting").on::<Noted>(notes.clone());
    let consumer = tokio::spawn(consumer.run(shutdown.clone()));
    let mut dead = bus
        .subscribe("dead", &[dead_letters(&Noted::TOPIC)])
        .await
        .unwrap();
    let letters = collect(&mut *dead, 3).await;
    for (offset, letter) in letters.iter().enumerate() {
        let attribute = |name: &str| letter.message.attribute(name).unwrap();
        assert!(
            attribute("dead_letter_reason").contains("no header"),
            "{letter:?}"
        );
        assert_eq!(attribute("dead_letter_offset"), offset.to_string());
        assert_eq!(
            attribute("dead_letter_topic"),
            Noted::TOPIC.name,
            "by the name that we know"
        );
        assert!(letter.message.damage().is_none(), "the letter itself is sound");
    }
    assert_eq!(letters[0].message.id, format!("{}/0/0", Noted::TOPIC.name));
    assert_eq!(
        (&*letters[1].message.value, &*letters[1].message.key),
        (event, "k")
    );
    assert_eq!(letters[2].message.id, "half");
    let heard = async {
        while notes.0.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("ours is heard");
    assert_eq!(*notes.0.lock(), ["ours"]);
    shutdown.cancel();
    consumer.await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn topics_are_made_as_they_are_declared() {
    let fixture = OnKafka::start().await;
    let topic = Topic {
        retention: Duration::from_secs(86_400 * 36_500),
        ..topic(5)
    };
    let topics = [topic];
    let (one, two) = tokio::join!(fixture.bus.declare(&topics), fixture.bus.declare(&topics));
    one.and(two).expect("two processes may declare at once");
    let name = fixture.full_name(topic.name);
    let described = fixture
        .admin()
        .describe_configs([&ResourceSpecifier::Topic(&name)], &AdminOptions::new())
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let value = |name: &str| described.get(name).unwrap().value.clone().unwrap();
    assert_eq!(value("retention.ms"), "3153600000000");
    assert!(value("max.message.bytes").parse::<usize>().unwrap() > MAX_MESSAGE_BYTES);
    assert_eq!(fixture.bus.end_offsets(&topic).await.unwrap(), [0; 5]);
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn topics_are_only_checked_where_they_are_not_to_be_made() {
    let fixture = OnKafka::start().await;
    let checking = Kafka::open(Settings {
        create_topics: false,
        ..fixture.settings.clone()
    })
    .unwrap();
    let topic = topic(1);
    for _ in 0..2 {
        assert!(
            matches!(checking.declare(&[topic]).await, Err(Error::UnknownTopic(name)) if name == topic.name)
        );
    }
    fixture.bus.declare(&[topic]).await.unwrap();
    checking.declare(&[topic]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn the_largest_message_and_its_dead_letter_fit_and_no_larger_one_is_taken() {
    let fixture = OnKafka::start().await;
    let topic = topic(1);
    let bus = &fixture.bus;
    bus.declare(&[topic, dead_letters(&topic)]).await.unwrap();
    let too_large = vec![
        message(&topic, "k", "small"),
        message(&topic, "k", &"x".repeat(MAX_MESSAGE_BYTES)),
    ];
    assert!(matches!(
        bus.publish(too_large).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(
        bus.end_offsets(&topic).await.unwrap(),
        [0],
        "nothing of the batch"
    );
    // Bytes that cannot be compressed.
    let mut noise = vec![0; MAX_MESSAGE_BYTES - 200];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    let mut largest = message(&topic, "k", "");
    largest.message.value = noise.into();
    bus.publish(vec![largest.clone()]).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let record = collect(&mut *subscription, 1).await.remove(0);
    assert_eq!(record.message, largest.message);
    bus.publish(vec![dead_letter(&record, "g", &"why ".repeat(100_000))])
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn a_server_that_is_not_there_is_said_and_waited_for() {
    // A port that nobody listens on any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut settings = super::settings(format!("127.0.0.1:{port}"));
    settings.delivery_timeout = Duration::from_millis(300);
    let bus = Kafka::open(settings).unwrap();
    assert!(bus.ready().unwrap_err().starts_with("kafka: "));
    let topic = topic(1);
    assert!(matches!(bus.declare(&[topic]).await, Err(Error::Unavailable(_))));
    let waiting = Consumer::new(bus.clone(), "g").on::<Noted>(Arc::new(Notes::default()));
    let shutdown = CancellationToken::new();
    let waiting = tokio::spawn(waiting.run(shutdown.clone()));
    tokio::time::timeout(Duration::from_millis(200), async {
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect_err("a consumer waits");
    shutdown.cancel();
    tokio::time::timeout(SOON, waiting)
        .await
        .expect("and can be stopped")
        .unwrap()
        .unwrap();
}

#[tokio::test]
#[ignore = "needs kafka"]
async fn a_server_that_answers_is_ready() {
    let fixture = OnKafka::start().await;
    let ready = async {
        while fixture.bus.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, ready).await.unwrap();
}
