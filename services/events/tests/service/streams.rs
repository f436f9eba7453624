use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::EventState;
use marquee_proto::events::v1::event_changed::Change;
use tonic::Request;

use super::fixture::{Fixture, ended, event, eventually, interrupted, recorded, started};

async fn until_state(fixture: &Fixture, name: &str, state: EventState) -> proto::Event {
    eventually(async || Some(fixture.get(name).await).filter(|event| event.state() == state)).await
}

async fn live(fixture: &Fixture, channel: &proto::Channel) -> Vec<proto::Event> {
    let filter = "state = LIVE".to_owned();
    let request = proto::ListEventsRequest {
        parent: channel.name.clone(),
        filter,
        ..Default::default()
    };
    fixture
        .events()
        .list_events(request)
        .await
        .unwrap()
        .into_inner()
        .events
}

fn lives(events: &[proto::EventChanged]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event.change, Some(Change::Live(_))))
        .count()
}

fn ends(events: &[proto::EventChanged]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event.change, Some(Change::Ended(_))))
        .count()
}

#[tokio::test]
async fn a_stream_takes_the_nearest_scheduled_event_through_live_to_ended() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let later = fixture.schedule(&channel, event("later", 3_600)).await;
    let now = fixture.schedule(&channel, event("now", 300)).await;

    fixture.publish("s1", &started(&channel, "s1")).await;
    let on_air = until_state(&fixture, &now.name, EventState::Live).await;
    assert_eq!(on_air.live_stream, format!("{}/liveStreams/s1", channel.name));
    assert_eq!(on_air.playback_path, "/hls/s1/index.m3u8");
    assert!(on_air.start_time.is_some());
    assert_eq!(fixture.get(&later.name).await.state(), EventState::Scheduled);

    fixture.publish("s1", &ended(&channel, "s1")).await;
    let over = until_state(&fixture, &now.name, EventState::Ended).await;
    assert!(over.end_time.is_some());
    let published = fixture
        .published::<proto::EventChanged>(|events| ends(events) == 1)
        .await;
    assert_eq!(lives(&published), 1);
}

#[tokio::test]
async fn an_unscheduled_stream_gets_an_event_of_its_own() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    fixture.schedule(&channel, event("tomorrow", 24 * 3_600)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    let on_air = eventually(async || live(&fixture, &channel).await.pop()).await;
    assert_eq!(on_air.title, "Channel jazz live");
    assert_eq!(on_air.visibility(), proto::Visibility::Public);
    assert_eq!(on_air.playback_path, "/hls/s1/index.m3u8");
}

#[tokio::test]
async fn a_redelivered_start_makes_one_live_event() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("once", 60)).await;
    fixture.schedule(&channel, event("next", 120)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    fixture.publish("s1", &ended(&channel, "s1")).await;
    until_state(&fixture, &scheduled.name, EventState::Ended).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    // Behind the redelivered one in the same partition.
    fixture.publish("s1", &started(&channel, "s2")).await;
    let on_air = eventually(async || live(&fixture, &channel).await.pop()).await;
    assert_eq!(on_air.title, "next", "taken by the second stream");
    let published = fixture
        .published::<proto::EventChanged>(|events| lives(events) == 2)
        .await;
    assert_eq!(ends(&published), 1);
}

#[tokio::test]
async fn an_interruption_does_not_end_the_event() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("steady", 60)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    let on_air = until_state(&fixture, &scheduled.name, EventState::Live).await;
    fixture.publish("s1", &interrupted(&channel, "s1")).await;
    // Behind the interruption in the same partition.
    fixture.publish("s1", &started(&channel, "s2")).await;
    eventually(async || (live(&fixture, &channel).await.len() == 2).then_some(())).await;
    assert_eq!(fixture.get(&scheduled.name).await, on_air);
}

#[tokio::test]
async fn a_recording_is_shown_on_its_event() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("recorded", 60)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    fixture.publish("s1", &ended(&channel, "s1")).await;
    until_state(&fixture, &scheduled.name, EventState::Ended).await;
    fixture.publish("r1", &recorded(&channel, "s1")).await;
    let recorded = eventually(async || {
        Some(fixture.get(&scheduled.name).await).filter(|event| !event.recording_path.is_empty())
    })
    .await;
    assert_eq!(recorded.recording_path, "/recordings/s1/index.m3u8");
}

#[tokio::test]
async fn a_recording_that_is_heard_of_before_its_stream_is_not_lost() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    fixture.publish("r1", &recorded(&channel, "s1")).await;
    // Behind it in the same partition: a recording whose event is there tells that the first was handled.
    let scheduled = fixture.schedule(&channel, event("other", 60)).await;
    fixture.publish("s2", &started(&channel, "s2")).await;
    until_state(&fixture, &scheduled.name, EventState::Live).await;
    fixture.publish("r1", &recorded(&channel, "s2")).await;
    eventually(async || {
        Some(fixture.get(&scheduled.name).await).filter(|event| !event.recording_path.is_empty())
    })
    .await;

    fixture.publish("s1", &started(&channel, "s1")).await;
    let name = format!("{}/events/s1", channel.name);
    eventually(async || {
        let request = proto::GetEventRequest { name: name.clone() };
        let event = fixture
            .events()
            .get_event(request)
            .await
            .ok()?
            .into_inner()
            .event?;
        (event.recording_path == "/recordings/s1/index.m3u8").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_an_unknown_channel_does_not_hold_up_the_others() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let unknown = proto::Channel {
        name: "channels/none".into(),
        ..Default::default()
    };
    fixture.publish("s1", &started(&unknown, "s1")).await;
    fixture.publish("s1", &ended(&unknown, "s1")).await;
    fixture.publish("s1", &started(&channel, "s2")).await;
    eventually(async || live(&fixture, &channel).await.pop()).await;
    let all = fixture
        .titles(Request::new(proto::ListEventsRequest::default()))
        .await;
    assert_eq!(all, ["Channel jazz live"]);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("before", 60)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    let on_air = until_state(&fixture, &scheduled.name, EventState::Live).await;

    let fixture = fixture.restart().await;
    assert_eq!(fixture.get(&scheduled.name).await, on_air);
    fixture.publish("s1", &ended(&channel, "s1")).await;
    until_state(&fixture, &scheduled.name, EventState::Ended).await;
    let published = fixture
        .published::<proto::EventChanged>(|events| ends(events) == 1)
        .await;
    assert_eq!(lives(&published), 1, "the start is not told again");
}
