use std::time::Duration;

use marquee_bus::{Message, Outgoing, Polled};
use marquee_proto::events::v1 as proto;
use marquee_proto::topic;

use crate::fixture::{Fixture, at, channel, event, live, scheduled, updated};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_as_soon_as_the_bus_is_quiet_without_waiting_for_others() {
    let fixture = Fixture::start_with_commits_every(Duration::from_secs(3_600)).await;
    fixture.publish(&scheduled(event("e1", "Midnight Jazz", 1))).await;
    fixture.find_until("midnight", |found| !found.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_goes_live_is_found_as_live() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.publish(&live(event("e1", "Jazz", 2))).await;
    let found = fixture
        .find_until("jazz", |found| found.iter().any(|one| one.state == "live"))
        .await;
    assert_eq!(found.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_becomes_unlisted_is_not_found_any_more() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Secret Show", 1))).await;
    fixture.find_until("secret", |found| !found.is_empty()).await;
    let unlisted = proto::Event {
        visibility: proto::Visibility::Unlisted.into(),
        ..event("e1", "Secret Show", 2)
    };
    fixture.publish(&updated(unlisted)).await;
    fixture.find_until("secret", <[_]>::is_empty).await;
    assert!(fixture.suggest("secr").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_that_comes_later_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.publish(&live(event("e1", "Jazz", 5))).await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.publish(&scheduled(event("e2", "Afterwards", 1))).await;
    fixture.find_until("afterwards", |found| !found.is_empty()).await;
    assert_eq!(fixture.find("jazz").await[0].state, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_channel_is_shown_with_its_events() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
    let renamed = proto::Channel {
        update_time: Some(at(9)),
        ..channel("Red Hall")
    };
    let change = proto::channel_changed::Change::Updated(proto::ChannelUpdated {
        channel: Some(renamed),
    });
    let changed = proto::ChannelChanged { change: Some(change) };
    fixture
        .bus
        .publish(vec![marquee_bus::event("channels/c", &changed)])
        .await
        .unwrap();
    let found = fixture.find_until("red hall", |found| found.len() == 2).await;
    assert!(found.iter().all(|one| one.channel_display_name == "Red Hall"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_while_the_process_was_down_is_found_after_a_crash() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz One", 1))).await;
    fixture.find_until("jazz", |found| found.len() == 1).await;
    // Acknowledged by the bus, and perhaps not yet in the index.
    fixture.publish(&scheduled(event("e2", "Jazz Two", 1))).await;
    let fixture = fixture.crash().await;
    fixture.find_until("jazz", |found| found.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_the_index_as_it_was() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
    let fixture = fixture.restart_after(|_| {}).await;
    assert_eq!(fixture.find("jazz").await.len(), 1, "without waiting for the bus");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_outdated_index_is_built_anew_from_the_bus() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
    let lost = |folder: &std::path::Path| std::fs::remove_dir_all(folder.join("search")).unwrap();
    let fixture = fixture.restart_after(lost).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
    let outdated = |folder: &std::path::Path| {
        std::fs::write(folder.join("search/index/schema-version"), "0").unwrap();
    };
    let fixture = fixture.restart_after(outdated).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_bus_is_built_anew() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;
    let fixture = fixture
        .restart_after(|folder| std::fs::remove_dir_all(folder.join("bus")).unwrap())
        .await;
    fixture.publish(&scheduled(event("e2", "Rock", 1))).await;
    fixture.find_until("rock", |found| !found.is_empty()).await;
    assert!(fixture.find("jazz").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_goes_to_the_dead_letters_and_the_next_is_indexed() {
    let fixture = Fixture::start().await;
    let garbage = Message {
        key: "channels/c/events/e".into(),
        value: vec![0xff].into(),
        ..Message::default()
    };
    fixture.bus.declare(&[topic::EVENT]).await.unwrap();
    fixture
        .bus
        .publish(vec![Outgoing {
            topic: topic::EVENT.name.into(),
            message: garbage,
        }])
        .await
        .unwrap();
    fixture.publish(&scheduled(event("e1", "Jazz", 1))).await;
    fixture.find_until("jazz", |found| !found.is_empty()).await;

    let letters = marquee_bus::dead_letters(&topic::EVENT);
    let mut subscription = fixture.bus.subscribe("test", &[letters]).await.unwrap();
    let letter = loop {
        if let Polled::Records(mut records) = subscription.poll(10).await.unwrap() {
            break records.remove(0);
        }
    };
    assert_eq!(
        letter.message.attribute("dead_letter_topic"),
        Some(topic::EVENT.name)
    );
}
