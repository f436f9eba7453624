//! Encoders that are refused learn why, and their keys are never logged.

use marquee_testkit::wait_until;

use crate::encoder::{Encoder, Rejected};
use crate::logs;
use crate::stage::{LIMIT, Stage};
use crate::story::Story;

fn refusal(result: Result<Encoder, Rejected>) -> Rejected {
    result.err().expect("it is refused")
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_not_logged() {
    let (stage, _folder) = Stage::new().await;
    let secret = "mq_thisisnotakey0123456789";
    let refused = refusal(Encoder::publish(stage.clients.rtmp, secret).await);
    assert_eq!(refused.code, "NetStream.Publish.Denied");
    assert!(refused.description.contains("not known"), "{refused:?}");
    wait_until("a log line", LIMIT, async || {
        logs::contain("the stream key is not known or revoked")
    })
    .await
    .unwrap();
    assert!(!logs::contain(secret));
}

#[tokio::test]
async fn a_good_key_is_not_logged_either() {
    let (stage, _folder) = Stage::new().await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(3_000).await.unwrap();
    encoder.finish().await;
    let request = format!("rtmp://{}/live/stream?key={secret}", stage.clients.rtmp);
    Encoder::bare(&request).await.unwrap().finish().await;
    assert!(!logs::contain(&secret) && !logs::contain(&secret[3..]));
}

#[tokio::test]
async fn without_a_key_the_encoder_is_told_where_to_put_it() {
    let (stage, _folder) = Stage::new().await;
    let refused = refusal(Encoder::bare(&format!("rtmp://{}/live/", stage.clients.rtmp)).await);
    assert_eq!(refused.code, "NetStream.Publish.Denied");
    assert!(
        refused.description.contains("there is no stream key"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_application_is_refused_and_not_logged_since_it_may_be_a_key() {
    let (stage, _folder) = Stage::new().await;
    let secret = "mq_inthewrongfield98765";
    let refused = refusal(Encoder::bare(&format!("rtmp://{}/{secret}/x", stage.clients.rtmp)).await);
    assert_eq!(refused.code, "NetConnection.Connect.InvalidApp");
    assert!(refused.description.contains("rtmp://<host>/live"), "{refused:?}");
    wait_until("a log line", LIMIT, async || {
        logs::contain("there is no such application")
    })
    .await
    .unwrap();
    assert!(!logs::contain(secret));
}

#[tokio::test]
async fn a_stream_key_plays_nothing() {
    let (stage, _folder) = Stage::tuned(|config| config.plays.wait = std::time::Duration::ZERO).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    let refused = refusal(Encoder::play(&format!("rtmp://{}/live/{secret}", stage.clients.rtmp)).await);
    assert_eq!(refused.code, "NetStream.Play.StreamNotFound");
    assert!(!logs::contain(&secret));
}

#[tokio::test]
async fn a_second_encoder_is_refused_while_the_first_sends() {
    let (stage, _folder) = Stage::tuned(|config| config.takeover_wait = LIMIT).await;
    let rtmp = stage.clients.rtmp;
    let (_, secret) = stage.clients.key("c").await;
    let (_, another) = stage.clients.key("c").await;
    let mut first = Encoder::publish(rtmp, &secret).await.unwrap();
    first.send(3_000).await.unwrap();
    for key in [secret, another] {
        let second = tokio::spawn(async move { Encoder::publish(rtmp, &key).await.map(drop) });
        while !second.is_finished() {
            first.send(40).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let refused = second.await.unwrap().unwrap_err();
        assert_eq!(refused.code, "NetStream.Publish.BadName");
        assert!(refused.description.contains("another encoder"), "{refused:?}");
    }
    assert!(first.is_wanted().await);
}

#[tokio::test]
async fn of_three_encoders_the_third_is_refused_at_once() {
    let (stage, _folder) = Stage::tuned(|config| config.takeover_wait = LIMIT).await;
    let rtmp = stage.clients.rtmp;
    let (_, secret) = stage.clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut first = Encoder::publish(rtmp, &secret).await.unwrap();
    first.send(2_000).await.unwrap();
    story.expect("started").await;
    let attempt = |key: String| tokio::spawn(async move { Encoder::publish(rtmp, &key).await.map(drop) });
    let (mut second, mut third) = (attempt(secret.clone()), attempt(secret));
    let refused = tokio::select! {
        refused = &mut second => refused,
        refused = &mut third => refused,
    };
    assert!(
        refused
            .unwrap()
            .unwrap_err()
            .description
            .contains("another encoder")
    );
    // The other one comes in when the first has left.
    first.finish().await;
    let waiting = if second.is_finished() { third } else { second };
    waiting.await.unwrap().unwrap();
}
