//! Stream keys: who may have them, and what they are good for.

use marquee_auth::Role;
use marquee_proto::video_ingest::v1::*;
use tonic::{Code, Request};

use crate::encoder::Encoder;
use crate::stage::{OWNER, STRANGER, Stage, fields, reason};

fn create(channel: &str, display_name: &str, request_id: &str) -> CreateStreamKeyRequest {
    CreateStreamKeyRequest {
        parent: format!("channels/{channel}"),
        stream_key: Some(StreamKey {
            display_name: display_name.to_owned(),
            ..StreamKey::default()
        }),
        request_id: request_id.to_owned(),
    }
}

#[tokio::test]
async fn the_secret_is_in_the_answer_and_nowhere_else() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let request = clients.by(OWNER, create("c", " studio PC ", ""));
    let created = clients
        .keys()
        .create_stream_key(request)
        .await
        .unwrap()
        .into_inner();
    let key = created.stream_key.unwrap();
    assert_eq!(key.display_name, "studio PC");
    assert!(created.secret.ends_with(&key.hint) && key.hint.len() == 4);
    assert_eq!(created.publish_url, format!("rtmp://{}/live", clients.rtmp));
    let list = ListStreamKeysRequest {
        parent: "channels/c".to_owned(),
        ..ListStreamKeysRequest::default()
    };
    let listed = clients
        .keys()
        .list_stream_keys(clients.by(OWNER, list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.stream_keys, [key]);
    let stored = std::fs::read(stage.folder.join("data/video-ingest.db-wal")).unwrap();
    let secret = created.secret.as_bytes();
    assert!(!stored.windows(secret.len()).any(|window| window == secret));
}

#[tokio::test]
async fn the_same_request_again_returns_the_first_key_without_its_secret() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let id = uuid::Uuid::new_v4().to_string();
    let again = async |name: &str| {
        let request = clients.by(OWNER, create("c", name, &id));
        clients
            .keys()
            .create_stream_key(request)
            .await
            .map(tonic::Response::into_inner)
    };
    let first = again("one").await.unwrap();
    let second = again("one").await.unwrap();
    assert_eq!(second.stream_key, first.stream_key);
    assert!(!first.secret.is_empty() && second.secret.is_empty());
    let other = again("two").await.unwrap_err();
    assert_eq!(
        (other.code(), reason(&other).as_str()),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut request = create("c", &"x".repeat(101), "not a uuid");
    request.parent = "channel/c".to_owned();
    let error = clients
        .keys()
        .create_stream_key(clients.by(OWNER, request))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(
        fields(&error),
        ["parent", "stream_key.display_name", "request_id"]
    );
    let control = clients.by(OWNER, create("c", "a\u{7}b", ""));
    let error = clients.keys().create_stream_key(control).await.unwrap_err();
    assert_eq!(fields(&error), ["stream_key.display_name"]);
}

#[tokio::test]
async fn a_stranger_does_not_learn_which_keys_there_are() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (name, _) = clients.key("c").await;
    for name in [name, "channels/c/streamKeys/none".to_owned()] {
        let request = clients.by(STRANGER, RevokeStreamKeyRequest { name: name.clone() });
        let error = clients.keys().revoke_stream_key(request).await.unwrap_err();
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::PermissionDenied, "NOT_CHANNEL_OWNER")
        );
        let request = clients.by(STRANGER, RotateStreamKeyRequest { name });
        let error = clients.keys().rotate_stream_key(request).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied);
    }
    let error = clients
        .keys()
        .create_stream_key(clients.by(OWNER, create("theirs", "", "")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let anonymous = clients
        .keys()
        .create_stream_key(Request::new(create("c", "", "")))
        .await
        .unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_its_owner() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (name, _) = clients.key("c").await;
    let elsewhere = name.replace("channels/c/", "channels/d/");
    for (name, expected) in [
        ("channels/c/streamKeys/none".to_owned(), "STREAM_KEY_NOT_FOUND"),
        (elsewhere, "STREAM_KEY_NOT_FOUND"),
        ("channels/missing/streamKeys/none".to_owned(), "CHANNEL_NOT_FOUND"),
    ] {
        let request = clients.by(OWNER, RotateStreamKeyRequest { name });
        let error = clients.keys().rotate_stream_key(request).await.unwrap_err();
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::NotFound, expected)
        );
    }
}

#[tokio::test]
async fn an_admin_may_act_on_every_channel() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let request = clients.as_role("accounts/admin", Role::Admin, create("theirs", "", ""));
    clients.keys().create_stream_key(request).await.unwrap();
}

#[tokio::test]
async fn rotating_refuses_the_old_secret_and_leaves_the_publisher() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (name, old) = clients.key("c").await;
    let mut publisher = Encoder::publish(clients.rtmp, &old).await.unwrap();
    let request = clients.by(OWNER, RotateStreamKeyRequest { name: name.clone() });
    let rotated = clients
        .keys()
        .rotate_stream_key(request)
        .await
        .unwrap()
        .into_inner();
    assert_ne!(rotated.secret, old);
    assert_eq!(rotated.stream_key.unwrap().name, name);
    publisher.send(3_000).await.unwrap();
    assert!(publisher.is_wanted().await);
    publisher.finish().await;
    let refused = Encoder::publish(clients.rtmp, &old).await.err().unwrap();
    assert_eq!(refused.code, "NetStream.Publish.Denied");
    Encoder::publish(clients.rtmp, &rotated.secret).await.unwrap();
}

#[tokio::test]
async fn revoking_sends_the_publisher_away_for_good() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (name, secret) = clients.key("c").await;
    let mut publisher = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    publisher.send(3_000).await.unwrap();
    let revoke = || clients.by(OWNER, RevokeStreamKeyRequest { name: name.clone() });
    let revoked = clients
        .keys()
        .revoke_stream_key(revoke())
        .await
        .unwrap()
        .into_inner();
    assert!(revoked.stream_key.unwrap().revoked);
    assert_eq!(
        publisher.sent_away().await.description,
        "the stream key was revoked"
    );
    let refused = Encoder::publish(clients.rtmp, &secret).await.err().unwrap();
    assert!(
        refused.description.contains("not known or revoked"),
        "{refused:?}"
    );
    // Again changes nothing, and there is nothing to rotate.
    clients.keys().revoke_stream_key(revoke()).await.unwrap();
    let rotate = clients.by(OWNER, RotateStreamKeyRequest { name: name.clone() });
    let error = clients.keys().rotate_stream_key(rotate).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "STREAM_KEY_REVOKED")
    );
}

#[tokio::test]
async fn keys_are_listed_in_pages_newest_first() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.insert(0, clients.key("c").await.0);
    }
    clients.key("d").await;
    let list = async |parent: &str, page_size, token: &str| {
        let request = ListStreamKeysRequest {
            parent: parent.to_owned(),
            page_size,
            page_token: token.to_owned(),
        };
        clients
            .keys()
            .list_stream_keys(clients.by(OWNER, request))
            .await
            .map(tonic::Response::into_inner)
    };
    let first = list("channels/c", 3, "").await.unwrap();
    let second = list("channels/c", 3, &first.next_page_token).await.unwrap();
    let listed = first
        .stream_keys
        .iter()
        .chain(&second.stream_keys)
        .map(|key| key.name.clone());
    assert_eq!(listed.collect::<Vec<_>>(), names);
    assert!(second.next_page_token.is_empty());
    let foreign = list("channels/d", 3, &first.next_page_token).await.unwrap_err();
    assert_eq!(
        (foreign.code(), fields(&foreign)),
        (Code::InvalidArgument, vec!["page_token".to_owned()])
    );
    let negative = list("channels/c", -1, "").await.unwrap_err();
    assert_eq!(fields(&negative), ["page_size"]);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_shown() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let list = ListStreamKeysRequest {
        parent: "channels/c".to_owned(),
        ..ListStreamKeysRequest::default()
    };
    let listed = clients
        .keys()
        .list_stream_keys(clients.by(OWNER, list))
        .await
        .unwrap()
        .into_inner();
    assert!(listed.stream_keys[0].last_used_time.is_some());
}
