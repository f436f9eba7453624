use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::Visibility;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::fixture::{Fixture, event, eventually, fields, reason, started};

fn list(filter: &str, order_by: &str) -> proto::ListEventsRequest {
    proto::ListEventsRequest {
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn events_are_listed_by_their_start_or_as_asked() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    for (title, start) in [("second", 200), ("first", 100), ("third", 300)] {
        fixture.schedule(&channel, event(title, start)).await;
    }
    for (order_by, expected) in [
        ("", ["first", "second", "third"]),
        ("scheduled_start_time desc", ["third", "second", "first"]),
        ("create_time", ["second", "first", "third"]),
        ("create_time desc", ["third", "first", "second"]),
    ] {
        assert_eq!(
            fixture.titles(Request::new(list("", order_by))).await,
            expected,
            "{order_by}"
        );
        let of_channel = proto::ListEventsRequest {
            parent: channel.name.clone(),
            ..list("", order_by)
        };
        assert_eq!(
            fixture.titles(Request::new(of_channel)).await,
            expected,
            "{order_by}"
        );
    }
}

#[tokio::test]
async fn a_filter_is_a_conjunction() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    fixture.schedule(&channel, event("music", 3_600)).await;
    fixture
        .schedule(
            &channel,
            proto::Event {
                genre: "news".into(),
                ..event("news", 7_200)
            },
        )
        .await;
    fixture.schedule(&channel, event("on air", 10)).await;
    fixture.publish("s1", &started(&channel, "s1")).await;
    eventually(async || {
        (fixture.titles(Request::new(list("state = LIVE", ""))).await == ["on air"]).then_some(())
    })
    .await;

    let in_an_hour = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(90);
    for (filter, expected) in [
        ("state = SCHEDULED", vec!["music", "news"]),
        ("state = SCHEDULED AND genre = \"music\"", vec!["music"]),
        ("genre = \"music\"", vec!["on air", "music"]),
        ("state = LIVE AND state = SCHEDULED", vec![]),
        (&format!("scheduled_start_time >= \"{in_an_hour}\""), vec!["news"]),
        (
            &format!("scheduled_start_time < \"{in_an_hour}\" AND state = SCHEDULED"),
            vec!["music"],
        ),
    ] {
        assert_eq!(
            fixture.titles(Request::new(list(filter, ""))).await,
            expected,
            "{filter}"
        );
        let mut by_creation = fixture.titles(Request::new(list(filter, "create_time"))).await;
        by_creation.sort();
        let mut expected = expected.clone();
        expected.sort();
        assert_eq!(by_creation, expected, "{filter} in another order");
    }
}

#[tokio::test]
async fn a_wrong_filter_says_where_and_what_is_allowed() {
    let fixture = Fixture::start().await;
    let request = proto::ListEventsRequest {
        page_size: -1,
        ..list("genre = music OR state = LIVE", "title")
    };
    let wrong = fixture.events().list_events(request).await.unwrap_err();
    assert_eq!(fields(&wrong), ["page_size", "filter", "order_by"]);
    let details = wrong.get_details_bad_request().unwrap();
    let description = &details.field_violations[1].description;
    assert_eq!(
        description,
        "column 15: expected AND or the end of the filter, found `OR`"
    );
}

#[tokio::test]
async fn unlisted_events_are_listed_for_the_owner_and_admins_only() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let hidden = proto::Event {
        visibility: Visibility::Unlisted.into(),
        ..event("hidden", 60)
    };
    let hidden = fixture.schedule(&channel, hidden).await;
    fixture.schedule(&channel, event("shown", 120)).await;
    for parent in ["channels/-", channel.name.as_str()] {
        let request = proto::ListEventsRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        assert_eq!(fixture.titles(Request::new(request.clone())).await, ["shown"]);
        assert_eq!(
            fixture.titles(fixture.of("other", request.clone())).await,
            ["shown"]
        );
        assert_eq!(
            fixture.titles(fixture.of("creator", request.clone())).await,
            ["hidden", "shown"]
        );
        assert_eq!(
            fixture.titles(fixture.of_admin(request)).await,
            ["hidden", "shown"]
        );
    }
    assert_eq!(
        fixture.get(&hidden.name).await,
        hidden,
        "whoever has the name sees it"
    );
}

#[tokio::test]
async fn pages_are_full_and_complete_although_some_events_are_left_out() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let title = format!("event {n:02}");
        let genre = if n % 3 == 0 { "news" } else { "music" };
        fixture
            .schedule(
                &channel,
                proto::Event {
                    genre: genre.into(),
                    ..event(&title, 100 + n)
                },
            )
            .await;
        if n % 3 == 0 {
            expected.push(title);
        }
    }
    let mut titles = Vec::new();
    let mut token = String::new();
    loop {
        let request = proto::ListEventsRequest {
            page_size: 3,
            page_token: token,
            ..list("genre = news", "")
        };
        let page = fixture.events().list_events(request).await.unwrap().into_inner();
        let full = page.events.len() == 3;
        titles.extend(page.events.into_iter().map(|event| event.title));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        assert!(full, "a page before the last is full");
    }
    assert_eq!(titles, expected);
}

#[tokio::test]
async fn a_page_token_is_bound_to_the_list() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    fixture.schedule(&channel, event("one", 60)).await;
    fixture.schedule(&channel, event("two", 70)).await;
    let first = proto::ListEventsRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = fixture
        .events()
        .list_events(first)
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    assert!(!token.is_empty());
    for request in [
        proto::ListEventsRequest {
            page_token: token.clone(),
            ..list("genre = music", "")
        },
        proto::ListEventsRequest {
            page_token: token.clone(),
            ..list("", "create_time")
        },
        proto::ListEventsRequest {
            page_token: token,
            parent: channel.name.clone(),
            ..Default::default()
        },
        proto::ListEventsRequest {
            page_token: "made up".into(),
            ..Default::default()
        },
    ] {
        let foreign = fixture.events().list_events(request).await.unwrap_err();
        assert_eq!(fields(&foreign), ["page_token"]);
    }
}

#[tokio::test]
async fn the_events_of_an_unknown_channel_are_not_found() {
    let fixture = Fixture::start().await;
    let request = proto::ListEventsRequest {
        parent: "channels/none".into(),
        ..Default::default()
    };
    let missing = fixture.events().list_events(request).await.unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing).as_str()),
        (Code::NotFound, "CHANNEL_NOT_FOUND")
    );
}
