//! Two processes of video-ingest behind NGINX. A target of its own, since a replica that starts looks after streams that it
//! finds in the store: other tests must have none on the air.

#[path = "../fleet/own.rs"]
#[allow(dead_code, reason = "the tests of the gateway use the rest")]
mod own;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::Kind;
use marquee_proto::events::v1::EventState;
use marquee_testkit::ffmpeg::{self, Encoder};
use marquee_testkit::{Binary, Ready, program, wait_until};
use marquee_tests::{Api, until_state, uuid};
use rustix::process::Signal;

use own::{Own, setting, settings};

const SOON: Duration = Duration::from_secs(30);

/// Another process that is told what the fleet's own was, on other ports and with another folder.
async fn replica(place: &Ready, data: &std::path::Path) -> Result<Binary> {
    let mut settings = settings(place, Kind::VideoIngest)?;
    settings.remove("MARQUEE_LISTEN");
    settings.insert("MARQUEE_RTMP_LISTEN".into(), "127.0.0.1:0".into());
    settings.insert("MARQUEE_DATA".into(), data.display().to_string());
    let options: Vec<String> = settings
        .into_iter()
        .flat_map(|(name, value)| {
            let option = name.trim_start_matches("MARQUEE_").to_lowercase();
            [format!("--{}", option.replace('_', "-")), value]
        })
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let replica = Binary::start(program(Kind::VideoIngest.program())?, &options).await?;
    replica.readiness(|answer| answer.status == 200).await?;
    Ok(replica)
}

/// How many encoders a process has let in.
fn encoders(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains("an encoder publishes"))
        .count()
}

/// Somebody new goes on the air over that port.
async fn publish(api: &Api, rtmp: u16) -> Result<Encoder> {
    let tag = &uuid()[..8];
    let creator = api.register(&format!("rae-{tag}@example.org"), "Rae").await?;
    let channel = api.channel(&creator, &format!("rae{tag}"), "Rae").await?;
    let event = api.event(&creator, &channel, "On any replica").await?;
    let key = api.stream_key(&creator, &channel).await?;
    let mut changes = api.watch_event(&event.name).await?;
    let encoder = ffmpeg::publish(&format!("rtmp://127.0.0.1:{rtmp}/live/{key}"), None)?;
    tokio::time::timeout(SOON, until_state(&mut changes, EventState::Live))
        .await
        .context("it does not go live")??;
    Ok(encoder)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn encoders_are_spread_over_replicas_and_come_through_when_one_is_killed() -> Result<()> {
    let place = Ready::of_fleet();
    let api = Api::at(&place).await?;
    let data = tempfile::tempdir()?;
    let second = replica(&place, data.path()).await?;
    let at_first: SocketAddr = setting(&place, Kind::VideoIngest, "RTMP_LISTEN")?.parse()?;
    let at_second: SocketAddr = second.listens.rtmp.as_deref().context("no RTMP")?.parse()?;
    let gateway = Own::start(&place, |front| front.rtmp = vec![at_first, at_second])?;
    let log_of_first = place.folder.join("logs/video-ingest.log");
    let first_had = encoders(&std::fs::read_to_string(&log_of_first)?);
    let counts = || {
        let first = std::fs::read_to_string(&log_of_first).unwrap_or_default();
        (encoders(&first) - first_had, encoders(&second.log()))
    };

    let _one = publish(&api, gateway.gateway.rtmp).await?;
    let _two = publish(&api, gateway.gateway.rtmp).await?;
    ensure!(counts() == (1, 1), "{:?}", counts());

    second.signal(Signal::KILL)?;
    // NGINX does not know: it would choose the killed one, which has no connection.
    let _three = publish(&api, gateway.gateway.rtmp).await?;
    let spread = || counts().0 >= 2;
    wait_until("the encoder at the replica that is left", SOON, async || spread()).await?;
    ensure!(counts().1 == 1, "{:?}", counts());
    Ok(())
}
