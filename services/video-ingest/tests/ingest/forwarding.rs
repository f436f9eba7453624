//! Streams forwarded to other RTMP servers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use marquee_proto::video_ingest::v1::*;
use marquee_rtmp::flv::{Tag, TagKind};
use marquee_testkit::wait_for;
use tokio::process::{Child, Command};
use tonic::{Code, Status};

use crate::clip::clip;
use crate::encoder::Encoder;
use crate::logs;
use crate::stage::{Clients, LIMIT, OWNER, STRANGER, Stage, fields, reason};
use crate::story::Story;
use crate::viewer::{Viewer, has};

/// A service that forwards to this machine, quickly tries again, and keeps its streams for long.
async fn stage() -> (Stage, tempfile::TempDir) {
    Stage::tuned(|config| {
        config.forwarding.allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.forwarding.first_wait = Duration::from_millis(50);
        config.forwarding.longest_wait = Duration::from_millis(200);
        config.reconnect_grace = LIMIT;
    })
    .await
}

fn target(url: &str) -> ForwardingTarget {
    ForwardingTarget {
        url: url.to_owned(),
        ..ForwardingTarget::default()
    }
}

async fn add(clients: &Clients, account: &str, target: ForwardingTarget) -> Result<ForwardingTarget, Status> {
    let request = CreateForwardingTargetRequest {
        parent: "channels/c".to_owned(),
        forwarding_target: Some(target),
        ..CreateForwardingTargetRequest::default()
    };
    let request = clients.by(account, request);
    let response = clients.forwarding().create_forwarding_target(request).await?;
    Ok(response.into_inner().forwarding_target.unwrap())
}

async fn update(
    clients: &Clients,
    target: ForwardingTarget,
    field: &str,
) -> Result<ForwardingTarget, Status> {
    let request = UpdateForwardingTargetRequest {
        forwarding_target: Some(target),
        update_mask: Some(prost_types::FieldMask {
            paths: vec![field.to_owned()],
        }),
    };
    let request = clients.by(OWNER, request);
    let response = clients.forwarding().update_forwarding_target(request).await?;
    Ok(response.into_inner().forwarding_target.unwrap())
}

async fn now(clients: &Clients, name: &str) -> Result<ForwardingTarget, Status> {
    let request = clients.by(
        OWNER,
        GetForwardingTargetRequest {
            name: name.to_owned(),
        },
    );
    let response = clients.forwarding().get_forwarding_target(request).await?;
    Ok(response.into_inner().forwarding_target.unwrap())
}

/// Waits for a state.
async fn becomes(clients: &Clients, name: &str, state: ForwardingState) -> ForwardingTarget {
    let found = wait_for("the state", LIMIT, async || {
        let target = now(clients, name).await.unwrap();
        (target.state() == state).then_some(target)
    });
    match found.await {
        Ok(target) => target,
        Err(error) => panic!("{error}: {:?}", now(clients, name).await),
    }
}

fn pictures(until: u32) -> Vec<&'static Tag> {
    let frames = clip().frames.iter();
    frames
        .filter(|tag| tag.kind == TagKind::Video && tag.timestamp < until)
        .collect()
}

#[tokio::test]
async fn a_stream_goes_to_another_service_frame_by_frame() {
    let ((here, _one), (there, _two)) = tokio::join!(stage(), stage());
    let (_, key_there) = there.clients.key("there").await;
    let url = format!("rtmp://{}/live/{key_there}", there.clients.rtmp);
    let (_, secret) = here.clients.key("c").await;
    let mut story = Story::of_streams(&*there.bus).await;
    let mut encoder = Encoder::publish(here.clients.rtmp, &secret).await.unwrap();
    encoder.send(900).await.unwrap();
    // The stream is on the air already.
    let created = add(&here.clients, OWNER, target(&url)).await.unwrap();
    assert_eq!(created.state(), ForwardingState::Idle);
    let live = becomes(&here.clients, &created.name, ForwardingState::Live).await;
    assert!(
        live.live_stream.starts_with("channels/c/liveStreams/"),
        "{live:?}"
    );
    let mut viewer = Viewer::rtmp(&format!("rtmp://{}/live/there", there.clients.rtmp))
        .await
        .unwrap();
    encoder.send(3_100).await.unwrap();
    let arrived = story.expect("started").await;
    assert!(arrived.name.starts_with("channels/there/"));
    viewer.until("the last picture", has(TagKind::Video, 3_960)).await;
    assert!(
        viewer.frames(TagKind::Video) == pictures(4_000),
        "every picture, with its timestamp"
    );

    for shown in [&created, &live] {
        assert!(
            !shown.url.contains(&key_there) && shown.url.contains("/***"),
            "{}",
            shown.url
        );
    }
    let request = DeleteForwardingTargetRequest {
        name: created.name.clone(),
    };
    let request = here.clients.by(OWNER, request);
    here.clients
        .forwarding()
        .delete_forwarding_target(request)
        .await
        .unwrap();
    // The other service is told that it is over.
    story.expect("interrupted").await;
    let gone = now(&here.clients, &created.name).await.unwrap_err();
    assert_eq!(
        (gone.code(), reason(&gone).as_str()),
        (Code::NotFound, "FORWARDING_TARGET_NOT_FOUND")
    );
    assert!(!logs::contain(&key_there) && encoder.is_wanted().await);
}

#[tokio::test]
async fn a_server_that_refuses_is_tried_again_and_the_owner_learns_why() {
    let ((here, _one), (there, _two)) = tokio::join!(stage(), stage());
    let (_, secret) = here.clients.key("c").await;
    let wrong = "mq_forwardedtonobody1234";
    let url = format!("rtmp://{}/live/{wrong}", there.clients.rtmp);
    let created = add(&here.clients, OWNER, target(&url)).await.unwrap();
    let mut encoder = Encoder::publish(here.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    let failing = wait_for("the second failure", LIMIT, async || {
        let target = now(&here.clients, &created.name).await.unwrap();
        (target.state() == ForwardingState::Retrying && target.failures >= 2).then_some(target)
    })
    .await
    .unwrap();
    assert!(
        failing.state_reason.contains("NetStream.Publish.Denied"),
        "{failing:?}"
    );

    let (_, right) = there.clients.key("there").await;
    let url = format!("rtmp://{}/live/{right}", there.clients.rtmp);
    let changed = ForwardingTarget {
        name: created.name.clone(),
        ..target(&url)
    };
    update(&here.clients, changed, "url").await.unwrap();
    becomes(&here.clients, &created.name, ForwardingState::Live).await;

    let off = ForwardingTarget {
        name: created.name.clone(),
        disabled: true,
        ..ForwardingTarget::default()
    };
    let off = update(&here.clients, off, "disabled").await.unwrap();
    assert_eq!(off.state(), ForwardingState::Disabled);
    assert!(!logs::contain(wrong) && !logs::contain(&right));
}

#[tokio::test]
async fn a_server_that_is_away_is_found_when_it_is_back() {
    let (here, _folder) = stage().await;
    let (_, secret) = here.clients.key("c").await;
    let address = free_address();
    let url = format!("rtmp://{address}/live/key-of-the-other-server");
    let created = add(&here.clients, OWNER, target(&url)).await.unwrap();
    let mut encoder = Encoder::publish(here.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    let away = becomes(&here.clients, &created.name, ForwardingState::Retrying).await;
    assert!(away.state_reason.contains("cannot connect"), "{away:?}");

    let nginx = Nginx::start(address);
    becomes(&here.clients, &created.name, ForwardingState::Live).await;
    let mut viewer = Viewer::rtmp(&format!("rtmp://{address}/live/key-of-the-other-server"))
        .await
        .unwrap();
    encoder.send(3_000).await.unwrap();
    viewer.until("the last picture", has(TagKind::Video, 3_960)).await;
    let got = viewer.frames(TagKind::Video);
    assert!(
        pictures(4_000).ends_with(&got) && got.len() >= 70,
        "{} pictures",
        got.len()
    );
    drop(nginx);
    let failed = becomes(&here.clients, &created.name, ForwardingState::Retrying).await;
    assert!(!failed.state_reason.contains("other-server"), "{failed:?}");
    assert!(encoder.is_wanted().await, "the stream goes on");
}

#[tokio::test]
async fn a_server_behind_tls_has_to_be_who_it_says() {
    let tls = tempfile::tempdir().unwrap();
    let files = certificate(tls.path());
    let trusted = files.certificate.clone();
    let there = Stage::tuned(|config| {
        config.rtmps = Some(marquee_video_ingest::Rtmps {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: files,
        });
    });
    let here = Stage::tuned(|config| {
        config.forwarding.allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.forwarding.certificates = Some(trusted);
        config.forwarding.first_wait = Duration::from_millis(50);
    });
    let ((there, _one), (here, _two), (doubtful, _three)) = tokio::join!(there, here, stage());
    let (_, key_there) = there.clients.key("there").await;
    let port = there.rtmps.unwrap().port();
    let url = format!("rtmps://localhost:{port}/live/{key_there}");
    for (from, state) in [
        (&doubtful, ForwardingState::Retrying),
        (&here, ForwardingState::Live),
    ] {
        let (_, secret) = from.clients.key("c").await;
        let created = add(&from.clients, OWNER, target(&url)).await.unwrap();
        let mut encoder = Encoder::publish(from.clients.rtmp, &secret).await.unwrap();
        encoder.send(1_000).await.unwrap();
        let found = becomes(&from.clients, &created.name, state).await;
        assert_eq!(
            found.state_reason.contains("certificate"),
            state != ForwardingState::Live,
            "{found:?}"
        );
    }
}

/// Of a server that is called localhost, signed by itself.
fn certificate(folder: &Path) -> marquee_video_ingest::Certificate {
    let files = marquee_video_ingest::Certificate {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&files.key)
        .arg("-out")
        .arg(&files.certificate)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    files
}

#[tokio::test]
async fn what_is_not_public_is_not_connected_to() {
    let (here, _folder) = Stage::new().await;
    for host in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        let refused = add(&here.clients, OWNER, target(&format!("rtmp://{host}/live/key")))
            .await
            .unwrap_err();
        assert_eq!(fields(&refused), ["forwarding_target.url"], "{host}");
    }
    // What a name leads to is only known when it is connected to.
    let created = add(&here.clients, OWNER, target("rtmp://localhost/live/key"))
        .await
        .unwrap();
    let (_, secret) = here.clients.key("c").await;
    let mut encoder = Encoder::publish(here.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    let refused = becomes(&here.clients, &created.name, ForwardingState::Retrying).await;
    assert!(
        refused.state_reason.contains("does not connect to its address"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn only_what_is_published_with_its_key_goes_to_a_target() {
    let ((here, _one), (there, _two)) = tokio::join!(stage(), stage());
    let (_, key_there) = there.clients.key("there").await;
    let (_, secret) = here.clients.key("c").await;
    let (other, _) = here.clients.key("c").await;
    let url = format!("rtmp://{}/live/{key_there}", there.clients.rtmp);
    let bound = ForwardingTarget {
        stream_key: other.clone(),
        ..target(&url)
    };
    let bound = add(&here.clients, OWNER, bound).await.unwrap();
    let all = add(&here.clients, OWNER, target("rtmp://127.0.0.1:9/live/nobody"))
        .await
        .unwrap();
    let mut encoder = Encoder::publish(here.clients.rtmp, &secret).await.unwrap();
    encoder.send(1_000).await.unwrap();
    // When one was begun, the other one would have been as well.
    becomes(&here.clients, &all.name, ForwardingState::Retrying).await;
    let idle = now(&here.clients, &bound.name).await.unwrap();
    assert_eq!((idle.state(), idle.stream_key), (ForwardingState::Idle, other));
}

#[tokio::test]
async fn targets_are_the_owners_and_are_bounded() {
    let (here, _folder) = Stage::tuned(|config| config.forwarding.max_targets = 2).await;
    let clients = &here.clients;
    let denied = add(clients, STRANGER, target("rtmp://a.example/live/key"))
        .await
        .unwrap_err();
    assert_eq!(reason(&denied), "NOT_CHANNEL_OWNER");
    let bad = ForwardingTarget {
        display_name: "x".repeat(101),
        stream_key: "nonsense".to_owned(),
        ..target("http://a.example/live/key")
    };
    let bad = add(clients, OWNER, bad).await.unwrap_err();
    assert_eq!(
        fields(&bad),
        [
            "forwarding_target.display_name",
            "forwarding_target.url",
            "forwarding_target.stream_key"
        ]
    );
    for name in ["one", "two"] {
        let named = ForwardingTarget {
            display_name: name.to_owned(),
            ..target("rtmp://a.example/live/a-long-enough-key")
        };
        let created = add(clients, OWNER, named).await.unwrap();
        assert_eq!(created.url, "rtmp://a.example:1935/live/***-key");
        // What was read is not written back by mistake.
        let back = update(clients, created, "url").await.unwrap_err();
        assert_eq!(fields(&back), ["forwarding_target.url"]);
    }
    let full = add(clients, OWNER, target("rtmp://a.example/live/key"))
        .await
        .unwrap_err();
    assert_eq!(
        (full.code(), reason(&full).as_str()),
        (Code::ResourceExhausted, "FORWARDING_TARGETS_FULL")
    );
    let request = ListForwardingTargetsRequest {
        parent: "channels/c".to_owned(),
        ..ListForwardingTargetsRequest::default()
    };
    let listed = clients
        .forwarding()
        .list_forwarding_targets(clients.by(OWNER, request))
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = listed
        .forwarding_targets
        .iter()
        .map(|target| target.display_name.as_str())
        .collect();
    assert_eq!(names, ["two", "one"]);
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

/// Stock nginx-rtmp.
struct Nginx {
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
             load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
             events {{}}
             rtmp {{ server {{ listen {address}; application live {{ live on; }} }} }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed");
        Self {
            _process: process,
            _folder: folder,
        }
    }
}
