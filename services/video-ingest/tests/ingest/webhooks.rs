//! What is asked and told over HTTP.

use std::time::Duration;

use crate::encoder::{Encoder, Rejected};
use crate::hls::get;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};
use crate::story::Story;
use marquee_config::Secret;
use marquee_testkit::wait_for;
use marquee_video_ingest::WebhookConfig;

const OK: &str = "200 OK";
const NO: &str = "403 Forbidden";

async fn on_publish(answers: &[&str]) -> (Stage, tempfile::TempDir, Receiver) {
    let receiver = Receiver::new(answers).await;
    let uri = receiver.uri();
    let (stage, folder) = Stage::tuned(|config| {
        config.webhooks = WebhookConfig {
            on_publish: Some(uri),
            secret: Some(Secret::new("a secret of both")),
            timeout: Duration::from_millis(500),
            ..WebhookConfig::default()
        };
    })
    .await;
    (stage, folder, receiver)
}

fn refused(result: Result<Encoder, Rejected>) -> Rejected {
    result.map(drop).unwrap_err()
}

#[tokio::test]
async fn on_publish_is_asked_as_nginx_rtmp_asks_and_is_not_told_the_key() {
    let (stage, _folder, receiver) = on_publish(&[OK]).await;
    let (name, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(2_000).await.unwrap();
    let call = receiver.called(1).await.remove(0);
    assert!(call.head.starts_with("POST /hook HTTP/1.1"), "{}", call.head);
    assert_eq!(
        call.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    for (field, value) in [
        ("call", "publish"),
        ("addr", "127.0.0.1"),
        ("app", "live"),
        ("name", "c"),
        ("type", "live"),
        ("stream_key", &name),
    ] {
        assert_eq!(call.field(field), value, "{field}");
    }
    assert!(!call.field("flashver").is_empty() && call.field("tcurl").starts_with("rtmp://"));
    assert!(!call.body.contains(&secret) && !call.body.contains(&secret[3..]));
    let signature = call.header("x-marquee-signature").unwrap();
    assert!(
        signature.starts_with("t=") && signature.contains(",v1="),
        "{signature}"
    );
}

#[tokio::test]
async fn whatever_does_not_allow_refuses() {
    // The last one is silence.
    for answer in [
        NO,
        "500 Internal Server Error",
        "302 Found\r\nlocation: http://x/",
        "",
    ] {
        let (stage, _folder, receiver) = on_publish(&[answer]).await;
        let (_, secret) = stage.clients.key("c").await;
        let refused = refused(Encoder::publish(stage.clients.rtmp, &secret).await);
        assert_eq!(refused.code, "NetStream.Publish.Denied", "{answer}");
        assert!(refused.description.contains("webhook"), "{refused:?}");
        assert_eq!(receiver.calls().len(), 1, "a decision is asked for once");
    }
}

#[tokio::test]
async fn a_redirect_opens_a_channel_for_a_key_of_another_system() {
    let (stage, _folder, receiver) = on_publish(&["302 Found\r\nlocation: rtmp://127.0.0.1/live/c"]).await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, "old-key?token=t0")
        .await
        .unwrap();
    encoder.send(3_000).await.unwrap();
    assert!(story.expect("started").await.name.starts_with("channels/c/"));
    let call = receiver.called(1).await.remove(0);
    assert_eq!(
        (call.field("name"), call.field("token")),
        ("old-key".to_owned(), "t0".to_owned())
    );
    assert_eq!(call.field("stream_key"), "");
}

#[tokio::test]
async fn a_key_that_nobody_knows_is_not_good_because_a_webhook_does_not_mind() {
    let (stage, _folder, _receiver) = on_publish(&[OK]).await;
    let refused = refused(Encoder::publish(stage.clients.rtmp, "old-key").await);
    assert!(refused.description.contains("not known"), "{refused:?}");
    let (stage, _folder, _receiver) = on_publish(&["302 Found\r\nlocation: missing"]).await;
    let refused = self::refused(Encoder::publish(stage.clients.rtmp, "old-key").await);
    assert!(refused.description.contains("webhook"), "{refused:?}");
}

#[tokio::test]
async fn the_end_is_told_until_somebody_takes_it() {
    let receiver = Receiver::new(&["503 Service Unavailable", OK]).await;
    let uri = receiver.uri();
    let (stage, _folder) = Stage::tuned(|config| config.webhooks.on_publish_done = Some(uri)).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(2_000).await.unwrap();
    assert!(receiver.calls().is_empty());
    encoder.finish().await;
    let calls = receiver.called(2).await;
    assert!(
        calls
            .iter()
            .all(|call| call.field("call") == "publish_done" && call.field("name") == "c")
    );
}

#[tokio::test]
async fn on_play_decides_who_watches_and_is_asked_once_per_viewer() {
    let receiver = Receiver::new(&[NO, OK]).await;
    let uri = receiver.uri();
    let (stage, _folder) = Stage::tuned(|config| config.webhooks.on_play = Some(uri)).await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(9_000).await.unwrap();
    let stream = story.expect("started").await;
    let answer = get(clients.http, &stream.playback_path).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("WEBHOOK_REFUSED"));
    wait_for("the second answer", LIMIT, async || {
        (get(clients.http, &stream.playback_path).await.status == 200).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(get(clients.http, &stream.playback_path).await.status, 200);
    let calls = receiver.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].field("call"), calls[0].field("name")),
        ("play".to_owned(), "c".to_owned())
    );
    assert_eq!(calls[0].field("live_stream"), stream.name);
}
