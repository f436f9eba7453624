//! Cases about the log: order, durability, positions.

use std::collections::BTreeSet;
use std::time::Duration;

use marquee_proto::topic::Topic;

use super::tools::soon;
use super::{Fixture, collect, message, topic, values};
use crate::{Error, Polled, Subscription, TopicPartition};

async fn declared<F: Fixture>(partitions: u32) -> (F, Topic) {
    let fixture = F::start().await;
    let topic = topic(partitions);
    fixture.bus().declare(&[topic]).await.unwrap();
    (fixture, topic)
}

pub async fn a_message_comes_out_as_it_went_in<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    let mut sent = message(&topic, "käy", "value");
    sent.message.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    sent.message.attributes = vec![("reason".to_owned(), "none".to_owned())];
    bus.publish(vec![sent.clone()]).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let record = collect(&mut *subscription, 1).await.remove(0);
    assert_eq!(record.message, sent.message);
    assert_eq!(
        (&*record.topic, record.partition, record.offset),
        (topic.name, 0, 0)
    );
}

pub async fn messages_of_one_key_stay_in_order<F: Fixture>() {
    let (fixture, topic) = declared::<F>(4).await;
    let bus = fixture.bus();
    for n in 0..50 {
        let batch = (0..8)
            .map(|key| message(&topic, &format!("key-{key}"), &format!("{n:03}")))
            .collect();
        bus.publish(batch).await.unwrap();
    }
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 400).await;
    for key in 0..8 {
        let of_key: Vec<_> = records
            .iter()
            .filter(|record| record.message.key == format!("key-{key}"))
            .collect();
        assert_eq!(of_key.len(), 50);
        assert!(of_key.is_sorted_by_key(|record| record.message.value.clone()));
        assert!(
            of_key
                .iter()
                .all(|record| record.partition == of_key[0].partition),
            "one key, one partition"
        );
    }
}

pub async fn concurrent_publishers_leave_no_gap_and_lose_nothing<F: Fixture>() {
    let (fixture, topic) = declared::<F>(3).await;
    let bus = fixture.bus();
    let publishers: Vec<_> = (0..16)
        .map(|publisher| {
            let bus = bus.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    bus.publish(vec![message(
                        &topic,
                        &format!("{publisher}"),
                        &format!("{publisher}-{n:02}"),
                    )])
                    .await
                    .unwrap();
                }
            })
        })
        .collect();
    // Reads while they write.
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 320).await;
    for publisher in publishers {
        publisher.await.unwrap();
    }
    for partition in 0..3 {
        let offsets: Vec<_> = records
            .iter()
            .filter(|record| record.partition == partition)
            .map(|record| record.offset)
            .collect();
        assert_eq!(offsets, (0..offsets.len() as u64).collect::<Vec<_>>());
    }
    let distinct: BTreeSet<_> = records.iter().map(|record| record.message.id.clone()).collect();
    assert_eq!(distinct.len(), 320);
    assert_eq!(bus.end_offsets(&topic).await.unwrap().iter().sum::<u64>(), 320);
    for values in values(&records).into_values() {
        for publisher in 0..16 {
            let own: Vec<_> = values
                .iter()
                .filter(|value| value.starts_with(&format!("{publisher}-")))
                .collect();
            assert!(own.is_sorted(), "{own:?}");
        }
    }
}

pub async fn every_group_reads_everything<F: Fixture>() {
    let (fixture, topic) = declared::<F>(2).await;
    let bus = fixture.bus();
    bus.publish((0..10).map(|n| message(&topic, &n.to_string(), "v")).collect())
        .await
        .unwrap();
    for group in ["a", "b"] {
        let mut subscription = bus.subscribe(group, &[topic]).await.unwrap();
        collect(&mut *subscription, 10).await;
    }
}

pub async fn what_was_published_survives_a_restart<F: Fixture>() {
    let (fixture, topic) = declared::<F>(2).await;
    let before = (0..300)
        .map(|n| message(&topic, &n.to_string(), &format!("{n:03}")))
        .collect();
    fixture.bus().publish(before).await.unwrap();
    let fixture = fixture.restart().await;
    let bus = fixture.bus();
    bus.declare(&[topic]).await.unwrap();
    bus.publish(vec![message(&topic, "0", "after")]).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 301).await;
    let values = values(&records);
    assert_eq!(values.values().map(Vec::len).sum::<usize>(), 301);
    assert!(
        values.values().all(|values| values.is_sorted()),
        "offsets went on where they were"
    );
}

/// Reads so many records and commits what is behind the last.
async fn read_and_commit(subscription: &mut dyn Subscription, count: usize) -> Vec<String> {
    let records = collect(subscription, count).await;
    let last = records.last().unwrap();
    subscription
        .commit(&last.topic_partition(), last.offset + 1)
        .await
        .unwrap();
    values(&records).remove(&0).unwrap()
}

pub async fn a_group_goes_on_where_it_committed_after_a_restart<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    bus.publish(vec![message(&topic, "k", "1"), message(&topic, "k", "2")])
        .await
        .unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    assert_eq!(read_and_commit(&mut *subscription, 2).await, ["1", "2"]);
    drop((subscription, bus));
    let fixture = fixture.restart().await;
    let bus = fixture.bus();
    bus.declare(&[topic]).await.unwrap();
    bus.publish(vec![message(&topic, "k", "3")]).await.unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    assert_eq!(read_and_commit(&mut *subscription, 1).await, ["3"]);
}

pub async fn what_was_not_committed_comes_again<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    bus.publish(vec![message(&topic, "k", "1"), message(&topic, "k", "2")])
        .await
        .unwrap();
    let mut first = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *first, 2).await;
    first
        .commit(&records[0].topic_partition(), records[0].offset + 1)
        .await
        .unwrap();
    drop(first);
    let mut second = bus.subscribe("g", &[topic]).await.unwrap();
    assert_eq!(values(&collect(&mut *second, 1).await)[&0], ["2"]);
}

pub async fn seeking_replays_from_the_offset<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    bus.publish((0..10).map(|n| message(&topic, "k", &n.to_string())).collect())
        .await
        .unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let records = collect(&mut *subscription, 10).await;
    subscription.seek(&records[0].topic_partition(), 7);
    assert_eq!(values(&collect(&mut *subscription, 3).await)[&0], ["7", "8", "9"]);
}

pub async fn a_group_says_where_it_goes_on<F: Fixture>() {
    let (fixture, topic) = declared::<F>(2).await;
    let bus = fixture.bus();
    assert_eq!(bus.committed("g", &topic).await.unwrap(), [None, None]);
    bus.publish((0..40).map(|n| message(&topic, &n.to_string(), "v")).collect())
        .await
        .unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    collect(&mut *subscription, 40).await;
    let partition = TopicPartition {
        topic: topic.name.into(),
        partition: 1,
    };
    subscription.commit(&partition, 2).await.unwrap();
    subscription.close().await;
    assert_eq!(bus.committed("g", &topic).await.unwrap(), [None, Some(2)]);
    assert_eq!(bus.committed("another", &topic).await.unwrap(), [None, None]);
}

/// A member that is killed says nothing more: what it committed must be known by then, and not only the first of it.
pub async fn what_is_committed_is_known_while_the_member_goes_on<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    for round in 1..=5 {
        bus.publish(vec![message(&topic, "k", &round.to_string())])
            .await
            .unwrap();
        let record = collect(&mut *subscription, 1).await.remove(0);
        subscription
            .commit(&record.topic_partition(), record.offset + 1)
            .await
            .unwrap();
        let known = async {
            while bus.committed("g", &topic).await.unwrap() != [Some(round)] {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon("the commit is known", known).await;
    }
}

pub async fn what_expired_is_gone_and_a_group_goes_on_at_the_earliest<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    let old = (0..10).map(|n| message(&topic, "k", &n.to_string()));
    bus.publish(old.collect()).await.unwrap();
    let mut slow = bus.subscribe("slow", &[topic]).await.unwrap();
    let records = collect(&mut *slow, 10).await;
    slow.commit(&records[0].topic_partition(), 3).await.unwrap();
    slow.close().await;
    fixture.expire(&topic).await;
    assert_eq!(bus.start_offsets(&topic).await.unwrap(), [10]);
    assert_eq!(bus.end_offsets(&topic).await.unwrap(), [10], "offsets go on");
    bus.publish(vec![message(&topic, "k", "new")]).await.unwrap();
    for group in ["slow", "new"] {
        let mut subscription = bus.subscribe(group, &[topic]).await.unwrap();
        let records = collect(&mut *subscription, 1).await;
        assert_eq!(
            (records[0].offset, &*records[0].message.value),
            (10, &b"new"[..]),
            "{group}"
        );
    }
    let mut back = bus.subscribe("back", &[topic]).await.unwrap();
    let partition = collect(&mut *back, 1).await[0].topic_partition();
    back.seek(&partition, 4);
    assert_eq!(
        collect(&mut *back, 1).await[0].offset,
        10,
        "a place that is gone means the earliest"
    );
}

pub async fn a_new_owner_may_begin_elsewhere_than_the_group_committed<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    bus.publish((0..10).map(|n| message(&topic, "k", &n.to_string())).collect())
        .await
        .unwrap();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let Polled::Assigned(partitions) = soon("an assignment", subscription.poll(1)).await.unwrap() else {
        panic!("nothing comes before the assignment")
    };
    subscription.seek(&partitions[0], 6);
    assert_eq!(
        values(&collect(&mut *subscription, 4).await)[&0],
        ["6", "7", "8", "9"]
    );
}

pub async fn everything_of_a_long_backlog_comes_in_order_to_a_reader_who_stops_now_and_then<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    let value = "x".repeat(2_000);
    for _ in 0..12 {
        bus.publish((0..500).map(|_| message(&topic, "k", &value)).collect())
            .await
            .unwrap();
    }
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < 6_000 {
        // Long enough for whoever reads ahead to come to its limit.
        let records = collect(&mut *subscription, 1).await;
        if offsets.len() % 700 < 100 {
            tokio::task::yield_now().await;
            subscription.pause(&records[0].topic_partition());
            let quiet =
                tokio::time::timeout(std::time::Duration::from_millis(20), subscription.poll(1)).await;
            assert!(quiet.is_err(), "a paused partition is quiet");
            subscription.resume(&records[0].topic_partition());
        }
        offsets.extend(records.iter().map(|record| record.offset));
    }
    assert_eq!(offsets, (0..6_000).collect::<Vec<_>>());
}

pub async fn a_paused_partition_waits_while_others_go_on<F: Fixture>() {
    let (fixture, topic) = declared::<F>(2).await;
    let bus = fixture.bus();
    let mut subscription = bus.subscribe("g", &[topic]).await.unwrap();
    while !matches!(
        soon("an assignment", subscription.poll(1)).await.unwrap(),
        Polled::Assigned(_)
    ) {}
    let paused = TopicPartition {
        topic: topic.name.into(),
        partition: 0,
    };
    subscription.pause(&paused);
    bus.publish((0..40).map(|n| message(&topic, &n.to_string(), "v")).collect())
        .await
        .unwrap();
    let ends = bus.end_offsets(&topic).await.unwrap();
    assert!(
        ends.iter().all(|end| *end > 0),
        "40 keys fall on both partitions: {ends:?}"
    );
    let others = collect(&mut *subscription, ends[1] as usize).await;
    assert!(others.iter().all(|record| record.partition == 1));
    subscription.resume(&paused);
    collect(&mut *subscription, ends[0] as usize).await;
}

pub async fn a_slow_group_holds_up_neither_publishers_nor_other_groups<F: Fixture>() {
    let (fixture, topic) = declared::<F>(1).await;
    let bus = fixture.bus();
    let mut slow = bus.subscribe("slow", &[topic]).await.unwrap();
    let mut quick = bus.subscribe("quick", &[topic]).await.unwrap();
    let value = "x".repeat(10_000);
    for _ in 0..20 {
        bus.publish((0..20).map(|_| message(&topic, "k", &value)).collect())
            .await
            .unwrap();
        collect(&mut *quick, 20).await;
    }
    assert_eq!(
        collect(&mut *slow, 400).await.len(),
        400,
        "it finds everything when it comes to it"
    );
}

pub async fn an_undeclared_topic_is_refused<F: Fixture>() {
    let fixture = F::start().await;
    let topic = topic(1);
    let refused = fixture.bus().publish(vec![message(&topic, "k", "v")]).await;
    assert!(matches!(refused, Err(Error::UnknownTopic(name)) if name == topic.name));
}

pub async fn a_topic_declared_otherwise_is_reported<F: Fixture>() {
    let (fixture, topic) = declared::<F>(2).await;
    let mismatch = fixture
        .bus()
        .declare(&[Topic {
            partitions: 3,
            ..topic
        }])
        .await;
    assert!(
        matches!(
            mismatch,
            Err(Error::TopicMismatch {
                found: 2,
                declared: 3,
                ..
            })
        ),
        "{mismatch:?}"
    );
}
