//! What one address may ask for, with the limits of production.

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::Limits;
use marquee_proto::events::v1::ListChannelsRequest;
use marquee_proto::subscriptions::v1::LoginRequest;
use marquee_testkit::http::{Answer, curl, get};
use marquee_testkit::{Ready, wait_until};
use marquee_tests::Api;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::own::Own;

const SOON: Duration = Duration::from_secs(20);

/// How many may come at once on top of the rate (deploy/nginx, `burst`).
const BURST: usize = 20;
/// More than that, and than what the rate allows while they are sent.
const MANY: usize = 100;

/// A request that is wrong, which takes no time: what is limited is asking.
async fn login(own: &Own) -> Result<Answer> {
    let url = own.http("/v1/sessions:login");
    let body = ["--header", "content-type: application/json", "--data", "{}"];
    curl(&[&body[..], &[&url]].concat()).await
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn who_tries_to_sign_in_too_often_is_told_to_wait_and_may_do_all_else() -> Result<()> {
    let place = Ready::of_fleet();
    let own = Own::start(&place, |_| {})?;
    let mut refused = None;
    for asked in 0..MANY {
        let answer = login(&own).await?;
        if answer.status == 429 {
            ensure!(asked >= BURST, "already the {asked}th was refused: {answer:?}");
            refused = Some(answer);
            break;
        }
        ensure!(answer.json()?["reason"] == "INVALID_FIELD", "{answer:?}");
    }
    let refused = refused.with_context(|| format!("{MANY} attempts were let through"))?;
    ensure!(
        refused.header("content-type") == Some("application/problem+json")
            && refused.header("retry-after") == Some("1")
            && refused.header("x-request-id").is_some(),
        "{refused:?}"
    );
    let problem = refused.json()?;
    ensure!(
        problem["reason"] == "RATE_LIMITED"
            && problem["status"] == 429
            && problem["type"] == "https://marquee.dev/errors/RATE_LIMITED",
        "{problem}"
    );
    for path in ["/v1/channels", "/v1/plans", "/"] {
        let answer = get(&own.http(path)).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
    }

    // The same limit and the same reason over gRPC.
    let grpc = format!("http://127.0.0.1:{}", own.gateway.grpc);
    let api = Api::at(&Ready { grpc, ..place }).await?;
    let mut status = None;
    for _ in 0..MANY {
        let answer = api.sessions().login(LoginRequest::default()).await;
        let error = answer.err().context("nobody signed in")?;
        if error.code() == Code::ResourceExhausted {
            status = Some(error);
            break;
        }
    }
    let status = status.with_context(|| format!("{MANY} attempts were let through"))?;
    let details = status.get_error_details();
    let info = details.error_info().context("no reason")?;
    ensure!(
        info.reason == "RATE_LIMITED" && info.domain == "marquee.dev",
        "{status:?}"
    );
    ensure!(details.retry_info().is_some(), "{status:?}");
    api.channels()
        .list_channels(ListChannelsRequest::default())
        .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn who_calls_too_often_is_told_to_wait() -> Result<()> {
    let place = Ready::of_fleet();
    let own = Own::start(&place, |front| {
        front.limits = Limits {
            calls_per_second: 1,
            calls_burst: 5,
            ..Limits::PUBLIC
        };
    })?;
    let limited = async || {
        let answer = get(&own.http("/v1/channels")).await;
        answer.is_ok_and(|answer| {
            answer.status == 429
                && answer
                    .json()
                    .is_ok_and(|problem| problem["reason"] == "RATE_LIMITED")
        })
    };
    // curl takes a fraction of the second in which one more would be let through.
    wait_until("a refusal", SOON, limited).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn no_log_has_a_token_when_a_service_is_away() -> Result<()> {
    let place = Ready::of_fleet();
    let nobody = marquee_fleet::backends::ports::choose(1)?[0];
    let own = Own::start(&place, |front| {
        for address in front.services.values_mut() {
            address.set_port(nobody);
        }
    })?;
    for path in [
        "/v1/channels?access_token=very-secret",
        "/v1/accounts/a/notifications:watch?access_token=very-secret",
        "/live/stream/index.m3u8?token=very-secret",
        "/live/stream/1.m4s?token=very-secret",
        "/recordings/one/index.m3u8?token=very-secret",
        "/live/stream/other?token=very-secret",
    ] {
        let answer = get(&own.http(path)).await?;
        ensure!(answer.status == 503, "{path}: {answer:?}");
        ensure!(answer.json()?["reason"] == "SERVICE_UNREACHABLE", "{answer:?}");
    }
    // A playback token is in the path, and somebody has to be asked about it.
    let played = get(&own.http("/play/very-secret/live/stream/index.m3u8")).await?;
    ensure!(matches!(played.status, 502 | 503), "{played:?}");
    let (errors, accesses) = own.logs()?;
    ensure!(accesses.contains("/live/stream/index.m3u8"), "{accesses}");
    ensure!(accesses.contains("/play/-/live/stream/index.m3u8"), "{accesses}");
    ensure!(errors.contains("start worker process"), "{errors}");
    ensure!(!errors.contains("very-secret"), "{errors}");
    ensure!(!accesses.contains("very-secret"), "{accesses}");

    // Over gRPC the token is a header, and the reason is in the details.
    let grpc = format!("http://127.0.0.1:{}", own.gateway.grpc);
    let api = Api::at(&Ready { grpc, ..place }).await?;
    let answer = api.channels().list_channels(ListChannelsRequest::default()).await;
    let status = answer.err().context("somebody answered")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().context("no reason")?;
    ensure!(info.reason == "SERVICE_UNREACHABLE", "{status:?}");
    Ok(())
}
