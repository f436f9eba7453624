use marquee_auth::{Jwk, Principal, StaticKeys, Verifier};
use marquee_proto::subscriptions::v1::{
    CreateFollowRequest, DeleteFollowRequest, Follow, FollowChanged, GetKeySetRequest, ListFollowsRequest,
    ListFollowsResponse, follow_changed,
};
use tonic::{Code, Status};

use crate::fixture::{Fixture, Person, refused, wrong_fields};

async fn follow(fixture: &Fixture, person: &Person, parent: &str, channel: &str) -> Result<Follow, Status> {
    let request = person.asks(CreateFollowRequest {
        parent: parent.to_owned(),
        channel: channel.to_owned(),
    });
    Ok(fixture
        .follows()
        .create_follow(request)
        .await?
        .into_inner()
        .follow
        .unwrap())
}

async fn unfollow(fixture: &Fixture, person: &Person, name: &str) -> Result<(), Status> {
    let request = person.asks(DeleteFollowRequest {
        name: name.to_owned(),
    });
    fixture.follows().delete_follow(request).await.map(drop)
}

async fn list(
    fixture: &Fixture,
    person: &Person,
    page_size: i32,
    page_token: &str,
) -> Result<ListFollowsResponse, Status> {
    let request = person.asks(ListFollowsRequest {
        parent: "accounts/me".to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    });
    Ok(fixture.follows().list_follows(request).await?.into_inner())
}

#[tokio::test]
async fn following_a_channel_twice_is_one_follow() {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    let ada = fixture.person("ada").await;
    let first = follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    assert_eq!(first.name, format!("{}/follows/c1", ada.name));
    assert_eq!(first.channel, "channels/c1");
    let again = follow(&fixture, &ada, &ada.name, "channels/c1").await.unwrap();
    assert_eq!(again, first);
    assert_eq!(list(&fixture, &ada, 0, "").await.unwrap().follows, [first]);
}

#[tokio::test]
async fn a_channel_that_is_not_there_cannot_be_followed() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let answer = follow(&fixture, &ada, "accounts/me", "channels/none").await;
    assert_eq!(refused(answer), (Code::NotFound, "CHANNEL_NOT_FOUND".to_owned()));
    assert!(list(&fixture, &ada, 0, "").await.unwrap().follows.is_empty());
}

#[tokio::test]
async fn while_events_is_down_only_what_is_there_can_be_followed() {
    let mut fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    fixture.events.add_channel("channels/c2");
    let ada = fixture.person("ada").await;
    let first = follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    fixture.events.stop().await;
    assert_eq!(
        follow(&fixture, &ada, "accounts/me", "channels/c1")
            .await
            .unwrap(),
        first
    );
    let answer = follow(&fixture, &ada, "accounts/me", "channels/c2").await;
    assert_eq!(
        refused(answer),
        (Code::Unavailable, "PEER_UNAVAILABLE".to_owned())
    );
}

#[tokio::test]
async fn the_events_service_is_asked_as_this_service() {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    let ada = fixture.person("ada").await;
    follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    let keys = fixture
        .sessions()
        .get_key_set(GetKeySetRequest {})
        .await
        .unwrap()
        .into_inner()
        .keys;
    let verifier = Verifier::new(std::sync::Arc::new(StaticKeys(
        keys.into_iter().map(Jwk::from).collect(),
    )));
    let tokens = fixture.events.tokens();
    let token = tokens[0].strip_prefix("Bearer ").unwrap();
    let service = "subscriptions".to_owned();
    assert_eq!(
        verifier.verify(token).await.unwrap(),
        Principal::Service { service }
    );
}

#[tokio::test]
async fn a_follow_ends_once() {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    let ada = fixture.person("ada").await;
    follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    unfollow(&fixture, &ada, "accounts/me/follows/c1").await.unwrap();
    let again = unfollow(&fixture, &ada, "accounts/me/follows/c1").await;
    assert_eq!(refused(again), (Code::NotFound, "FOLLOW_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn follows_are_listed_newest_first_in_pages_and_survive_a_restart() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    for channel in ["channels/c1", "channels/c2", "channels/c3"] {
        fixture.events.add_channel(channel);
        follow(&fixture, &ada, "accounts/me", channel).await.unwrap();
    }
    let first = list(&fixture, &ada, 2, "").await.unwrap();
    let fixture = fixture.restart().await;
    let last = list(&fixture, &ada, 2, &first.next_page_token).await.unwrap();
    let channels: Vec<_> = first
        .follows
        .iter()
        .chain(&last.follows)
        .map(|f| f.channel.as_str())
        .collect();
    assert_eq!(channels, ["channels/c3", "channels/c2", "channels/c1"]);
    assert_eq!(last.next_page_token, "");
}

#[tokio::test]
async fn bad_requests_name_their_fields() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    assert_eq!(
        wrong_fields(follow(&fixture, &ada, "", "c1").await),
        ["parent", "channel"]
    );
    assert_eq!(
        wrong_fields(unfollow(&fixture, &ada, "follows/c1").await),
        ["name"]
    );
    assert_eq!(
        wrong_fields(list(&fixture, &ada, -1, "?").await),
        ["page_size", "page_token"]
    );
}

#[tokio::test]
async fn nobody_follows_for_somebody_else() {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    let ada = fixture.person("ada").await;
    let grace = fixture.person("grace").await;
    let answer = follow(&fixture, &grace, &ada.name, "channels/c1").await;
    assert_eq!(refused(answer).0, Code::PermissionDenied);
    let answer = unfollow(&fixture, &grace, &format!("{}/follows/c1", ada.name)).await;
    assert_eq!(refused(answer).0, Code::PermissionDenied);
    let request = grace.asks(ListFollowsRequest {
        parent: ada.name.clone(),
        ..ListFollowsRequest::default()
    });
    assert_eq!(
        refused(fixture.follows().list_follows(request).await).0,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn follows_are_published_under_their_names() {
    let fixture = Fixture::start().await;
    fixture.events.add_channel("channels/c1");
    let ada = fixture.person("ada").await;
    let first = follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    follow(&fixture, &ada, "accounts/me", "channels/c1")
        .await
        .unwrap();
    unfollow(&fixture, &ada, &first.name).await.unwrap();
    let mut published = fixture.published::<FollowChanged>().await;
    let told = published.first(2).await;
    let [(key, created), (_, deleted)] = told else {
        panic!("{told:?}");
    };
    assert_eq!(*key, first.name);
    let Some(follow_changed::Change::Created(created)) = &created.change else {
        panic!("{created:?}");
    };
    assert_eq!(created.follow.as_ref(), Some(&first));
    let Some(follow_changed::Change::Deleted(deleted)) = &deleted.change else {
        panic!("{deleted:?}");
    };
    assert_eq!(deleted.follow.as_ref(), Some(&first));
}
