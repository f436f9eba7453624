use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::channel_changed::Change;
use tonic::Code;

use super::fixture::{Fixture, channel, fields, reason};

fn create(handle: &str) -> proto::CreateChannelRequest {
    proto::CreateChannelRequest {
        channel: Some(channel(handle)),
        request_id: String::new(),
    }
}

fn update(channel: proto::Channel, paths: &[&str]) -> proto::UpdateChannelRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    proto::UpdateChannelRequest {
        channel: Some(channel),
        update_mask: Some(prost_types::FieldMask { paths }),
    }
}

#[tokio::test]
async fn a_channel_is_found_by_its_name_and_by_its_handle() {
    let fixture = Fixture::start().await;
    let created = fixture.create_channel("jazz").await;
    assert_eq!(created.owner, "accounts/creator");
    for name in [created.name.as_str(), "channels/@jazz"] {
        let found = fixture
            .channels()
            .get_channel(proto::GetChannelRequest {
                name: name.to_owned(),
            })
            .await;
        assert_eq!(found.unwrap().into_inner().channel.as_ref(), Some(&created));
    }
}

#[tokio::test]
async fn a_handle_belongs_to_one_channel() {
    let fixture = Fixture::start().await;
    fixture.create_channel("jazz").await;
    let again = fixture
        .channels()
        .create_channel(fixture.of("other", create("jazz")))
        .await
        .unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::AlreadyExists, "HANDLE_TAKEN")
    );
}

#[tokio::test]
async fn an_update_can_not_take_the_handle_of_another_channel() {
    let fixture = Fixture::start().await;
    fixture.create_channel("jazz").await;
    let mut blues = fixture.create_channel("blues").await;
    blues.handle = "jazz".into();
    let request = fixture.of("creator", update(blues, &["handle"]));
    let taken = fixture.channels().update_channel(request).await.unwrap_err();
    assert_eq!(reason(&taken), "HANDLE_TAKEN");
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_told_at_once() {
    let fixture = Fixture::start().await;
    let request = proto::CreateChannelRequest {
        channel: Some(proto::Channel {
            handle: "Jazz!".into(),
            tags: vec!["".into()],
            ..Default::default()
        }),
        request_id: "seven".into(),
    };
    let wrong = fixture
        .channels()
        .create_channel(fixture.of("creator", request))
        .await
        .unwrap_err();
    assert_eq!(
        fields(&wrong),
        [
            "request_id",
            "channel.handle",
            "channel.display_name",
            "channel.tags[0]"
        ]
    );
}

#[tokio::test]
async fn nobody_creates_a_channel_without_signing_in() {
    let fixture = Fixture::start().await;
    let refused = fixture
        .channels()
        .create_channel(create("jazz"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_replayed_request_gets_the_first_answer() {
    let fixture = Fixture::start().await;
    let request = proto::CreateChannelRequest {
        request_id: "0d9b6a3e-94a8-4a4c-8a0b-5a3f8f1b2c3d".into(),
        ..create("jazz")
    };
    let first = fixture
        .channels()
        .create_channel(fixture.of("creator", request.clone()))
        .await
        .unwrap();
    let again = fixture
        .channels()
        .create_channel(fixture.of("creator", request.clone()))
        .await
        .unwrap();
    let first = first.into_inner();
    assert_eq!(first, again.into_inner());

    let spelt_otherwise = proto::CreateChannelRequest {
        request_id: request.request_id.to_uppercase(),
        ..request.clone()
    };
    let again = fixture
        .channels()
        .create_channel(fixture.of("creator", spelt_otherwise))
        .await
        .unwrap();
    assert_eq!(first, again.into_inner());

    let other = proto::CreateChannelRequest {
        channel: Some(channel("blues")),
        ..request
    };
    let reused = fixture
        .channels()
        .create_channel(fixture.of("creator", other))
        .await
        .unwrap_err();
    assert_eq!(
        (reused.code(), reason(&reused).as_str()),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );
}

#[tokio::test]
async fn only_the_owner_and_admins_change_a_channel() {
    let fixture = Fixture::start().await;
    let mut jazz = fixture.create_channel("jazz").await;
    jazz.display_name = "Late jazz".into();
    let request = update(jazz, &["display_name"]);
    let denied = fixture
        .channels()
        .update_channel(fixture.of("other", request.clone()))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let changed = fixture
        .channels()
        .update_channel(fixture.of_admin(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(changed.channel.unwrap().display_name, "Late jazz");
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let fixture = Fixture::start().await;
    let read = fixture.create_channel("jazz").await;
    let mut mine = read.clone();
    mine.description = "mine".into();
    let changed = fixture
        .channels()
        .update_channel(fixture.of("creator", update(mine, &["description"])))
        .await;
    assert_ne!(changed.unwrap().into_inner().channel.unwrap().etag, read.etag);

    let mut yours = read;
    yours.description = "yours".into();
    let request = fixture.of("creator", update(yours, &["description"]));
    let stale = fixture.channels().update_channel(request).await.unwrap_err();
    assert_eq!(
        (stale.code(), reason(&stale).as_str()),
        (Code::Aborted, "ETAG_MISMATCH")
    );
}

#[tokio::test]
async fn a_mask_names_only_what_can_be_changed() {
    let fixture = Fixture::start().await;
    let jazz = fixture.create_channel("jazz").await;
    let request = fixture.of("creator", update(jazz, &["display_name", "owner", "nonsense"]));
    let wrong = fixture.channels().update_channel(request).await.unwrap_err();
    assert_eq!(fields(&wrong), ["update_mask", "update_mask"]);
}

#[tokio::test]
async fn everything_wrong_with_an_update_is_told_at_once() {
    let fixture = Fixture::start().await;
    let request = proto::UpdateChannelRequest {
        channel: Some(proto::Channel {
            name: "people/jazz".into(),
            handle: "Jazz!".into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["owner".into(), "handle".into(), "display_name".into()],
        }),
    };
    let request = fixture.of("creator", request);
    let wrong = fixture.channels().update_channel(request).await.unwrap_err();
    assert_eq!(
        fields(&wrong),
        [
            "channel.name",
            "update_mask",
            "channel.handle",
            "channel.display_name"
        ]
    );
}

#[tokio::test]
async fn everything_wrong_with_a_list_is_told_at_once() {
    let fixture = Fixture::start().await;
    let request = proto::ListChannelsRequest {
        page_size: -1,
        page_token: "made up".into(),
        owner: "people/creator".into(),
    };
    let wrong = fixture.channels().list_channels(request).await.unwrap_err();
    assert_eq!(fields(&wrong), ["page_size", "owner", "page_token"]);
}

#[tokio::test]
async fn without_a_mask_every_field_that_is_set_is_changed() {
    let fixture = Fixture::start().await;
    let jazz = fixture.create_channel("jazz").await;
    let change = proto::Channel {
        name: jazz.name.clone(),
        description: "All night".into(),
        ..Default::default()
    };
    let request = proto::UpdateChannelRequest {
        channel: Some(change),
        update_mask: None,
    };
    let changed = fixture
        .channels()
        .update_channel(fixture.of("creator", request))
        .await
        .unwrap()
        .into_inner();
    let changed = changed.channel.unwrap();
    assert_eq!(
        (changed.description.as_str(), changed.display_name),
        ("All night", jazz.display_name)
    );
}

#[tokio::test]
async fn channels_are_listed_newest_first_and_by_owner() {
    let fixture = Fixture::start().await;
    for handle in ["one", "two", "three"] {
        fixture.create_channel(handle).await;
    }
    let theirs = fixture
        .channels()
        .create_channel(fixture.of("other", create("theirs")))
        .await;
    theirs.unwrap();

    let mut handles = Vec::new();
    let mut token = String::new();
    loop {
        let request = proto::ListChannelsRequest {
            page_size: 2,
            page_token: token,
            owner: "accounts/creator".into(),
        };
        let page = fixture
            .channels()
            .list_channels(request)
            .await
            .unwrap()
            .into_inner();
        handles.extend(page.channels.into_iter().map(|channel| channel.handle));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(handles, ["three", "two", "one"]);

    let mine = proto::ListChannelsRequest {
        owner: "accounts/me".into(),
        ..Default::default()
    };
    let mine = fixture
        .channels()
        .list_channels(fixture.of("other", mine))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(mine.channels.len(), 1);
}

#[tokio::test]
async fn a_page_token_of_another_list_is_refused() {
    let fixture = Fixture::start().await;
    fixture.create_channel("one").await;
    fixture.create_channel("two").await;
    let request = proto::ListChannelsRequest {
        page_size: 1,
        ..Default::default()
    };
    let token = fixture
        .channels()
        .list_channels(request)
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    for (page_token, owner) in [(token, "accounts/creator"), ("made up".to_owned(), "")] {
        let request = proto::ListChannelsRequest {
            page_size: 1,
            page_token,
            owner: owner.to_owned(),
        };
        let foreign = fixture.channels().list_channels(request).await.unwrap_err();
        assert_eq!(fields(&foreign), ["page_token"]);
    }
}

#[tokio::test]
async fn an_unknown_channel_is_not_found() {
    let fixture = Fixture::start().await;
    for name in ["channels/none", "channels/@none"] {
        let request = proto::GetChannelRequest {
            name: name.to_owned(),
        };
        let missing = fixture.channels().get_channel(request).await.unwrap_err();
        assert_eq!(
            (missing.code(), reason(&missing).as_str()),
            (Code::NotFound, "CHANNEL_NOT_FOUND")
        );
    }
    let request = proto::GetChannelRequest {
        name: "people/none".to_owned(),
    };
    assert_eq!(
        fields(&fixture.channels().get_channel(request).await.unwrap_err()),
        ["name"]
    );
}

#[tokio::test]
async fn what_happens_to_a_channel_is_published() {
    let fixture = Fixture::start().await;
    let mut jazz = fixture.create_channel("jazz").await;
    jazz.display_name = "Late jazz".into();
    let changed = fixture
        .channels()
        .update_channel(fixture.of("creator", update(jazz.clone(), &[])))
        .await;
    let changed = changed.unwrap().into_inner().channel;
    let published = fixture
        .published::<proto::ChannelChanged>(|events| events.len() == 2)
        .await;
    let [Some(Change::Created(created)), Some(Change::Updated(updated))] =
        [&published[0].change, &published[1].change]
    else {
        panic!("{published:?}")
    };
    assert_eq!(created.channel.as_ref().unwrap().name, jazz.name);
    assert_eq!(updated.channel, changed);
}
