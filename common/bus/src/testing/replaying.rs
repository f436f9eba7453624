//! Cases about giving dead letters another chance.

use std::sync::Arc;

use marquee_proto::topic::Topic;

use super::tools::soon;
use super::{Fixture, collect, message, topic, values};
use crate::{EventBus, Outgoing, Record, Replayed, dead_letter, dead_letters, replay};

/// A topic on which these messages were poison.
async fn buried<F: Fixture>(
    partitions: u32,
    sent: impl Fn(&Topic) -> Vec<Outgoing>,
) -> (F, Arc<dyn EventBus>, Topic, Vec<Record>) {
    let fixture = F::start().await;
    let (bus, topic) = (fixture.bus(), topic(partitions));
    bus.declare(&[topic, dead_letters(&topic)]).await.unwrap();
    let sent = sent(&topic);
    let count = sent.len();
    bus.publish(sent).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, count).await;
    bus.publish(
        records
            .iter()
            .map(|record| dead_letter(record, "g", "why"))
            .collect(),
    )
    .await
    .unwrap();
    (fixture, bus, topic, records)
}

async fn run(bus: &Arc<dyn EventBus>, topic: &Topic, max: u64) -> Replayed {
    soon("the replay ends", replay(&**bus, topic, max)).await.unwrap()
}

pub async fn dead_letters_are_published_again_as_the_messages_that_they_were<F: Fixture>() {
    let poison = |topic: &Topic| {
        let mut sent = message(topic, "key", "value");
        sent.message.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
        sent.message.attributes = vec![("tenant".to_owned(), "t".to_owned())];
        vec![sent]
    };
    let (_fixture, bus, topic, records) = buried::<F>(3, poison).await;
    let replayed = run(&bus, &topic, 10).await;
    assert_eq!(replayed, Replayed { messages: 1, left: 0 });
    let mut subscription = bus.subscribe("after", &[topic]).await.unwrap();
    let both = collect(&mut *subscription, 2).await;
    assert_eq!(both[1].message, records[0].message);
    assert_eq!(
        both[1].partition, both[0].partition,
        "behind what its key had before"
    );
}

pub async fn a_replay_is_bounded_and_the_next_goes_on_where_it_stopped<F: Fixture>() {
    let poison = |topic: &Topic| (0..10).map(|n| message(topic, "k", &n.to_string())).collect();
    let (fixture, bus, topic, _) = buried::<F>(1, poison).await;
    assert_eq!(
        run(&bus, &topic, 0).await,
        Replayed {
            messages: 0,
            left: 10
        }
    );
    assert_eq!(run(&bus, &topic, 4).await, Replayed { messages: 4, left: 6 });
    drop(bus);
    let fixture = fixture.restart().await;
    let bus = fixture.bus();
    bus.declare(&[topic, dead_letters(&topic)]).await.unwrap();
    assert_eq!(run(&bus, &topic, 100).await, Replayed { messages: 6, left: 0 });
    assert_eq!(run(&bus, &topic, 100).await, Replayed { messages: 0, left: 0 });
    let mut subscription = bus.subscribe("after", &[topic]).await.unwrap();
    let values = values(&collect(&mut *subscription, 20).await).remove(&0).unwrap();
    assert_eq!(values[..10], values[10..], "each once, in order");
}

pub async fn letters_that_come_while_a_replay_runs_are_for_the_next<F: Fixture>() {
    let poison = |topic: &Topic| (0..300).map(|n| message(topic, &n.to_string(), "v")).collect();
    let (_fixture, bus, topic, records) = buried::<F>(3, poison).await;
    // Poison still: for each message that comes again there is a letter.
    let again = async {
        let mut subscription = bus.subscribe("again", &[topic]).await.unwrap();
        collect(&mut *subscription, 300).await;
        for record in collect(&mut *subscription, 300).await {
            bus.publish(vec![dead_letter(&record, "again", "still")])
                .await
                .unwrap();
        }
    };
    let (replayed, ()) = tokio::join!(run(&bus, &topic, u64::MAX), again);
    assert_eq!(
        replayed,
        Replayed {
            messages: records.len() as u64,
            left: 0
        }
    );
    assert_eq!(
        run(&bus, &topic, 1).await,
        Replayed {
            messages: 1,
            left: 299
        }
    );
}
