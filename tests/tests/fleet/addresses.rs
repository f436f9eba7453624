//! The client's address gets through the gateway to the services, and only from those who may say it.

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::Kind;
use marquee_testkit::http::{Answer, curl};
use marquee_testkit::{Ready, wait_until};
use marquee_tests::uuid;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use crate::gateway::logged;
use crate::own::Own;

const SOON: Duration = Duration::from_secs(20);
/// More than failed logins of one person are allowed from one address.
const MANY: usize = 30;

#[tokio::test]
#[ignore = "needs fleet"]
async fn the_clients_address_is_what_a_trusted_proxy_says() -> Result<()> {
    let place = Ready::of_fleet();
    let own = format!("test-{}", uuid());
    let header = format!("x-request-id: {own}");
    let url = format!("{}/v1/channels", place.rest);
    // The test is on the network that this gateway trusts.
    curl(&[
        "--header",
        &header,
        "--header",
        "x-forwarded-for: 203.0.113.9",
        &url,
    ])
    .await?;
    let line = logged(&place, &own).await?;
    ensure!(line["client"] == "203.0.113.9", "{line}");
    Ok(())
}

/// Tries a wrong password.
async fn guess(rest: &str, email: &str, client: &str) -> Result<Answer> {
    let url = format!("{rest}/v1/sessions:login");
    let forwarded = format!("x-forwarded-for: {client}");
    let body = format!(r#"{{"email":"{email}","password":"a wrong guess"}}"#);
    curl(&[
        "--header",
        "content-type: application/json",
        "--header",
        &forwarded,
        "--data",
        &body,
        &url,
    ])
    .await
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn failed_logins_count_for_the_address_that_a_trusted_proxy_names() -> Result<()> {
    let place = Ready::of_fleet();
    let email = format!("ida-{}@example.org", uuid());
    let mut reason = String::new();
    for _ in 0..MANY {
        let answer = guess(&place.rest, &email, "203.0.113.20").await?.json()?;
        reason = answer["reason"].as_str().context("no reason")?.to_owned();
        if reason == "TOO_MANY_ATTEMPTS" {
            break;
        }
    }
    ensure!(reason == "TOO_MANY_ATTEMPTS", "{reason}");
    let other = guess(&place.rest, &email, "203.0.113.21").await?.json()?;
    ensure!(other["reason"] == "BAD_CREDENTIALS", "{other}");
    let same = guess(&place.rest, &email, "203.0.113.20").await?.json()?;
    ensure!(same["reason"] == "TOO_MANY_ATTEMPTS", "{same}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn who_is_no_proxy_cannot_pass_for_others() -> Result<()> {
    let place = Ready::of_fleet();
    let own = Own::start(&place, |front| {
        front.trusted_proxies = "192.0.2.0/24".to_owned();
        // Here it is the service's limit that is looked at.
        front.limits.credentials_per_minute = 10_000;
    })?;
    let email = format!("eve-{}@example.org", uuid());
    let mut reason = String::new();
    for attempt in 0..MANY {
        // Another address each time, as somebody would say who may not.
        let client = format!("203.0.113.{}", 100 + attempt);
        let answer = guess(&own.http(""), &email, &client).await?.json()?;
        reason = answer["reason"].as_str().context("no reason")?.to_owned();
        if reason == "TOO_MANY_ATTEMPTS" {
            break;
        }
    }
    ensure!(
        reason == "TOO_MANY_ATTEMPTS",
        "{MANY} attempts counted for as many addresses: {reason}"
    );
    let (_, accesses) = own.logs()?;
    ensure!(!accesses.contains("203.0.113."), "{accesses}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn an_encoders_address_reaches_video_ingest() -> Result<()> {
    let place = Ready::of_fleet();
    let gateway: SocketAddr = place
        .rtmp
        .trim_start_matches("rtmp://")
        .trim_end_matches("/live")
        .parse()?;
    // All of 127.0.0.0/8 is this machine: an address that nobody else here has.
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.77:0".parse()?)?;
    let mut encoder = socket.connect(gateway).await?;
    let own = encoder.local_addr()?.to_string();
    // The first byte of RTMP; then it goes away.
    encoder.write_all(&[3]).await?;
    encoder.shutdown().await?;
    let log = place
        .folder
        .join("logs")
        .join(format!("{}.log", Kind::VideoIngest.name()));
    let is_logged = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .any(|line| line.contains("rtmp connection") && line.contains(&format!("\"{own}\"")))
    };
    wait_until("the encoder in the log of video-ingest", SOON, async || {
        is_logged()
    })
    .await?;
    Ok(())
}
