//! What an encoder may send.

use marquee_proto::video_ingest::v1::*;
use marquee_video_ingest::IngestLimits as ServiceLimits;
use prost_types::FieldMask;
use tonic::Code;

use crate::encoder::Encoder;
use crate::stage::{OWNER, STRANGER, Stage, fields};
use crate::story::Story;

fn limits(limits: IngestLimits) -> StreamKey {
    StreamKey {
        limits: Some(limits),
        ..StreamKey::default()
    }
}

async fn update(stage: &Stage, by: &str, key: StreamKey, mask: &[&str]) -> Result<StreamKey, tonic::Status> {
    let request = UpdateStreamKeyRequest {
        stream_key: Some(key),
        update_mask: Some(FieldMask {
            paths: mask.iter().map(|path| (*path).to_owned()).collect(),
        }),
    };
    let request = stage.clients.by(by, request);
    let answer = stage.clients.keys().update_stream_key(request).await?;
    Ok(answer.into_inner().stream_key.unwrap())
}

/// Publishes the clip (25 pictures a second, 320x180, a keyframe each second) until it is sent away.
async fn sent_away(stage: &Stage, secret: &str) -> String {
    let mut encoder = Encoder::publish(stage.clients.rtmp, secret).await.unwrap();
    // It may be sent away meanwhile.
    let _ = encoder.send(15_000).await;
    let rejected = encoder.sent_away().await;
    assert_eq!(rejected.code, "NetStream.Publish.Failed");
    rejected.description
}

#[tokio::test]
async fn each_limit_of_a_key_sends_the_encoder_away_and_says_why() {
    let (stage, _folder) = Stage::new().await;
    for (limit, said) in [
        (
            IngestLimits {
                max_bitrate: 50_000,
                ..IngestLimits::default()
            },
            "the limit is 50 kbit/s: lower the encoder's bitrate",
        ),
        (
            IngestLimits {
                max_frame_rate: 20.0,
                ..IngestLimits::default()
            },
            "the frame rate is 25.00 per second, the limit is 20.00",
        ),
        (
            IngestLimits {
                max_width: 300,
                max_height: 300,
                ..IngestLimits::default()
            },
            "the picture is 320x180, the limit is 300x300",
        ),
        (
            IngestLimits {
                max_frame_bytes: 200,
                ..IngestLimits::default()
            },
            "bytes, the limit is 200",
        ),
        (
            IngestLimits {
                max_keyframe_interval: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 500_000_000,
                }),
                ..IngestLimits::default()
            },
            "there was no keyframe for 0.5 s, the limit is 0.5 s",
        ),
    ] {
        let (name, secret) = stage.clients.key("c").await;
        let key = StreamKey {
            name,
            ..limits(limit)
        };
        let updated = update(&stage, OWNER, key, &["limits"]).await.unwrap();
        assert_eq!(updated.limits, Some(limit));
        let reason = sent_away(&stage, &secret).await;
        assert!(reason.contains(said), "{reason}");
    }
}

#[tokio::test]
async fn the_services_limits_count_for_every_key() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.ingest_limits = ServiceLimits {
            max_bitrate: 50_000,
            ..ServiceLimits::default()
        };
    })
    .await;
    let (name, secret) = stage.clients.key("c").await;
    // A key cannot be wider than the service.
    let wide = IngestLimits {
        max_bitrate: 50_000_000,
        ..IngestLimits::default()
    };
    let key = StreamKey { name, ..limits(wide) };
    update(&stage, OWNER, key, &["limits"]).await.unwrap();
    let reason = sent_away(&stage, &secret).await;
    assert!(reason.contains("the limit is 50 kbit/s"), "{reason}");
}

#[tokio::test]
async fn a_new_limit_counts_for_an_encoder_that_publishes() {
    let (stage, _folder) = Stage::new().await;
    let (name, secret) = stage.clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(6_000).await.unwrap();
    story.expect("started").await;
    let tight = IngestLimits {
        max_bitrate: 50_000,
        ..IngestLimits::default()
    };
    let key = StreamKey {
        name,
        ..limits(tight)
    };
    update(&stage, OWNER, key, &["limits"]).await.unwrap();
    let _ = encoder.send(6_000).await;
    let reason = encoder.sent_away().await.description;
    assert!(reason.contains("the limit is 50 kbit/s"), "{reason}");
    story.expect("interrupted").await;
}

#[tokio::test]
async fn wrong_limits_and_masks_are_named() {
    let (stage, _folder) = Stage::new().await;
    let (name, _) = stage.clients.key("c").await;
    let wrong = IngestLimits {
        max_bitrate: -1,
        max_frame_rate: -1.0,
        max_keyframe_interval: Some(prost_types::Duration {
            seconds: 500,
            nanos: 0,
        }),
        ..IngestLimits::default()
    };
    let key = StreamKey {
        name: name.clone(),
        ..limits(wrong)
    };
    let error = update(&stage, OWNER, key, &["limits", "secret"])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(
        fields(&error),
        [
            "update_mask",
            "stream_key.limits.max_bitrate",
            "stream_key.limits.max_frame_rate",
            "stream_key.limits.max_keyframe_interval"
        ]
    );
    let key = StreamKey {
        name,
        ..StreamKey::default()
    };
    let error = update(&stage, STRANGER, key, &["limits"]).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_name_changes_without_the_limits() {
    let (stage, _folder) = Stage::new().await;
    let (name, _) = stage.clients.key("c").await;
    let limit = IngestLimits {
        max_bitrate: 1_000_000,
        ..IngestLimits::default()
    };
    let key = StreamKey {
        name: name.clone(),
        ..limits(limit)
    };
    update(&stage, OWNER, key, &["limits"]).await.unwrap();
    let key = StreamKey {
        name,
        display_name: "van".to_owned(),
        ..StreamKey::default()
    };
    let renamed = update(&stage, OWNER, key, &["display_name"]).await.unwrap();
    assert_eq!(
        (renamed.display_name.as_str(), renamed.limits),
        ("van", Some(limit))
    );
}
