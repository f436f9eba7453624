use marquee_proto::search::v1::{ResultKind, SearchRequest, SuggestRequest};

use crate::fixture::{Fixture, at, event, fields, live, scheduled};

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_search_finds_the_event_with_everything_that_is_shown_of_it() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Midnight Jazz", 1))).await;
    let found = fixture
        .find_until("midnigth jaz", |found| !found.is_empty())
        .await
        .remove(0);
    assert_eq!(found.name, "channels/c/events/e1");
    assert_eq!(found.kind(), ResultKind::Event);
    assert_eq!(found.snippet, "<em>Midnight</em> <em>Jazz</em>");
    assert_eq!(
        (found.title.as_str(), found.channel_display_name.as_str()),
        ("Midnight Jazz", "Blue Room")
    );
    assert_eq!(
        (found.genre.as_str(), found.state.as_str()),
        ("music", "scheduled")
    );
    assert_eq!(found.scheduled_start_time, Some(at(1_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_completed_live_events_first() {
    let fixture = Fixture::start().await;
    fixture.publish(&scheduled(event("e1", "Midnight Rock", 1))).await;
    fixture.publish(&live(event("e2", "Midnight Jazz", 1))).await;
    fixture.find_until("midnight", |found| found.len() == 2).await;
    assert_eq!(fixture.suggest("midn").await, ["Midnight Jazz", "Midnight Rock"]);
    assert_eq!(
        fixture.suggest("mdin").await,
        ["Midnight Jazz", "Midnight Rock"],
        "one mistake"
    );
    assert!(fixture.suggest("!?").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_through_all_results_once() {
    let fixture = Fixture::start().await;
    for n in 0..7 {
        fixture
            .publish(&scheduled(event(&format!("e{n}"), "Jazz", 1)))
            .await;
    }
    fixture.find_until("jazz", |found| found.len() == 7).await;
    let mut names = Vec::new();
    let mut request = SearchRequest {
        query: "jazz".into(),
        page_size: 3,
        ..SearchRequest::default()
    };
    loop {
        let page = fixture.ask(request.clone()).await.unwrap();
        assert_eq!(page.total_size, 7);
        names.extend(page.results.into_iter().map(|result| result.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected: Vec<_> = (0..7).map(|n| format!("channels/c/events/e{n}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_of_another_search_is_refused() {
    let fixture = Fixture::start().await;
    for n in 0..3 {
        fixture
            .publish(&scheduled(event(&format!("e{n}"), "Jazz", 1)))
            .await;
    }
    fixture.find_until("jazz", |found| found.len() == 3).await;
    let first = SearchRequest {
        query: "jazz".into(),
        page_size: 1,
        ..SearchRequest::default()
    };
    let page_token = fixture.ask(first).await.unwrap().next_page_token;
    let other = SearchRequest {
        query: "rock".into(),
        page_token,
        ..SearchRequest::default()
    };
    assert_eq!(fields(&fixture.ask(other).await.unwrap_err()), ["page_token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_search_is_named_at_once() {
    let fixture = Fixture::start().await;
    let wrong = SearchRequest {
        query: "x".repeat(201),
        kind: 9,
        state: "LIVE".into(),
        genre: "g".repeat(41),
        language: "not a tag".into(),
        page_size: -1,
        page_token: String::new(),
        start_after: Some(at(10)),
        start_before: Some(at(10)),
    };
    let named = fields(&fixture.ask(wrong).await.unwrap_err());
    assert_eq!(
        named,
        [
            "query",
            "genre",
            "kind",
            "state",
            "language",
            "start_before",
            "page_size"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_prefix_is_named_at_once() {
    let fixture = Fixture::start().await;
    for prefix in ["", "   ", &"x".repeat(101)] {
        let request = SuggestRequest {
            prefix: prefix.into(),
            limit: -1,
        };
        let status = fixture.client().suggest(request).await.unwrap_err();
        assert_eq!(fields(&status), ["prefix", "limit"], "{prefix:?}");
    }
}
