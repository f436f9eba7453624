//! What NGINX adds to the services and keeps from clients.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_proto::events::v1::{EventState, GetChannelRequest};
use marquee_testkit::http::{Answer, curl};
use marquee_testkit::{Ready, ffmpeg, http, wait_for, wait_until};
use marquee_tests::{Api, until_state, uuid};
use serde_json::Value;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs fleet"]
async fn an_unknown_path_is_a_problem_that_says_where_to_look() -> Result<()> {
    let place = Ready::of_fleet();
    for path in ["/v1/nothing", "/v1/channels/a/b/c/d"] {
        let answer = http::get(&format!("{}{path}", place.rest)).await?;
        ensure!(answer.status == 404, "{answer:?}");
        ensure!(
            answer.header("content-type") == Some("application/problem+json"),
            "{answer:?}"
        );
        let problem = answer.json()?;
        ensure!(
            problem["reason"] == "PATH_NOT_FOUND" && problem["status"] == 404,
            "{problem}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn every_rest_path_of_the_description_reaches_its_service() -> Result<()> {
    let place = Ready::of_fleet();
    let description = http::get(&format!("{}/openapi.json", place.rest)).await?.json()?;
    let paths = description["paths"].as_object().context("no paths")?;
    ensure!(paths.len() > 40, "{} paths", paths.len());
    for (path, operations) in paths {
        // Every variable is one segment that nothing has.
        let mut concrete = String::new();
        for (at, piece) in path.split(['{', '}']).enumerate() {
            concrete.push_str(if at % 2 == 0 { piece } else { "nobody" });
        }
        for method in operations.as_object().context("no operations")?.keys() {
            let url = format!("{}{concrete}", place.rest);
            is_reached(&method.to_uppercase(), &url)
                .await
                .with_context(|| format!("{method} {concrete}"))?;
        }
    }
    Ok(())
}

/// What curl says when its time is over (curl(1), exit codes).
const TIMED_OUT: i32 = 28;

/// Some service has this path, and says so in one way or another.
async fn is_reached(method: &str, url: &str) -> Result<()> {
    let streams = url.ends_with(":watch");
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--request", method, "--max-time"]);
    curl.arg(if streams { "2" } else { "20" });
    if method != "GET" {
        curl.args(["--header", "content-type: application/json", "--data", "{}"]);
    }
    let output = curl.arg(url).kill_on_drop(true).output().await?;
    let body = String::from_utf8_lossy(&output.stdout).into_owned();
    // A stream of events goes on, and may have begun with nothing.
    let goes_on = streams && output.status.code() == Some(TIMED_OUT);
    ensure!(
        output.status.success() || goes_on,
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    if let Ok(answer) = serde_json::from_str::<Value>(&body) {
        let reason = answer["reason"].as_str().unwrap_or_default();
        // Of the gateway, which knows no service for it, or of a service that does not have it.
        let wrong = [
            "PATH_NOT_FOUND",
            "METHOD_NOT_ALLOWED",
            "SERVICE_UNREACHABLE",
            "RATE_LIMITED",
        ];
        ensure!(!wrong.contains(&reason), "{answer}");
    }
    Ok(())
}

/// A unary call with an empty request, as curl can make it: the trailers come after the body.
async fn grpc(url: &str, arguments: &[&str]) -> Result<Answer> {
    let folder = tempfile::tempdir()?;
    let message = folder.path().join("message");
    std::fs::write(&message, [0; 5])?;
    let body = format!("@{}", message.display());
    let mut all = vec![
        "--header",
        "content-type: application/grpc",
        "--header",
        "te: trailers",
    ];
    all.extend([
        "--data-binary",
        &body,
        "--output",
        "/dev/null",
        "--dump-header",
        "-",
    ]);
    all.extend(arguments);
    all.push(url);
    curl(&all).await
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn a_service_that_there_is_not_is_unimplemented() -> Result<()> {
    let place = Ready::of_fleet();
    let channel = Channel::from_shared(place.grpc.clone())?.connect().await?;
    let mut client = Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/marquee.nothing.v1.Service/Call");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = client.unary(Request::new(()), path, codec).await;
    let status = answer.err().context("somebody answered")?;
    ensure!(status.code() == Code::Unimplemented, "{status:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn grpc_works_over_tls_beside_everything_else() -> Result<()> {
    let place = Ready::of_fleet();
    let url = format!("{}/marquee.events.v1.ChannelService/ListChannels", place.https);
    let answer = grpc(&url, &["--insecure", "--http2"]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        answer.header("grpc-status") == Some("0") || answer.body.contains("grpc-status: 0"),
        "{answer:?}"
    );
    let rest = curl(&["--insecure", &format!("{}/v1/channels", place.https)]).await?;
    ensure!(rest.status == 200, "{rest:?}");
    let page = curl(&["--insecure", &format!("{}/", place.https)]).await?;
    ensure!(page.body.contains("<title>"), "{page:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn every_kind_of_answer_has_a_request_id_and_over_tls_keeps_to_it() -> Result<()> {
    let place = Ready::of_fleet();
    let page = http::get(&format!("{}/", place.pages)).await?;
    let asset = page
        .body
        .split('"')
        .find(|word| word.starts_with("/assets/"))
        .context("no asset")?;
    let kinds = [
        "/",
        "/watch/anything",
        asset,
        "/v1/channels",
        "/v1/nothing",
        "/live/nothing/index.m3u8",
        "/healthz",
    ];
    for path in kinds {
        let tls = curl(&["--insecure", "--http1.1", &format!("{}{path}", place.https)]).await?;
        let clear = http::get(&format!("{}{path}", place.rest)).await?;
        for answer in [&tls, &clear] {
            ensure!(answer.header("x-request-id").is_some(), "{path}: {answer:?}");
            ensure!(
                answer.header("x-content-type-options") == Some("nosniff"),
                "{path}: {answer:?}"
            );
        }
        // RFC 6797, section 7.2: not in clear text.
        ensure!(
            tls.header("strict-transport-security") == Some("max-age=31536000"),
            "{path}: {tls:?}"
        );
        ensure!(
            clear.header("strict-transport-security").is_none(),
            "{path}: {clear:?}"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn a_request_id_goes_through_to_the_service_and_back() -> Result<()> {
    let place = Ready::of_fleet();
    let own = format!("test-{}", uuid());
    let header = format!("x-request-id: {own}");
    let url = format!("{}/v1/channels/nobody", place.rest);
    let answer = curl(&["--header", &header, &url]).await?;
    ensure!(answer.header("x-request-id") == Some(&own), "{answer:?}");
    let ids = answer.headers.iter().filter(|(name, _)| name == "x-request-id");
    ensure!(ids.count() == 1, "{answer:?}");

    // The service knows it: it is in the details of its errors.
    let mut get = Request::new(GetChannelRequest {
        name: "channels/nobody".into(),
    });
    get.metadata_mut().insert("x-request-id", own.parse()?);
    let api = Api::at(&place).await?;
    let status = api
        .channels()
        .get_channel(get)
        .await
        .err()
        .context("there is nobody")?;
    let known = status
        .get_error_details()
        .request_info()
        .map(|info| info.request_id.clone());
    ensure!(known == Some(own), "{status:?}");

    // What is no id is replaced.
    let answer = curl(&["--header", "x-request-id: <script>", &url]).await?;
    let made = answer.header("x-request-id").context("no id")?;
    ensure!(made.len() == 32, "{answer:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn the_access_log_has_no_tokens() -> Result<()> {
    let place = Ready::of_fleet();
    let own = format!("test-{}", uuid());
    let header = format!("x-request-id: {own}");
    let url = format!("{}/v1/channels?access_token=very-secret", place.rest);
    curl(&["--header", &header, &url]).await?;
    let line = logged(&place, &own).await?;
    ensure!(
        line["path"] == "/v1/channels" && !line.to_string().contains("very-secret"),
        "{line}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn what_is_for_operators_is_not_shown() -> Result<()> {
    let place = Ready::of_fleet();
    for path in ["/metrics", "/readyz"] {
        let answer = http::get(&format!("{}{path}", place.rest)).await?;
        ensure!(answer.status == 404, "{path}: {answer:?}");
    }
    let own = http::get(&format!("{}/healthz", place.rest)).await?;
    ensure!(own.status == 200 && own.body == "ok\n", "{own:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn pages_are_asked_for_again_and_their_assets_are_kept() -> Result<()> {
    let place = Ready::of_fleet();
    let page = http::get(&format!("{}/watch/anything", place.pages)).await?;
    ensure!(
        page.status == 200 && page.header("cache-control") == Some("no-cache"),
        "{page:?}"
    );
    let asset = page
        .body
        .split('"')
        .find(|word| word.starts_with("/assets/"))
        .context("no asset")?;
    let asset = http::get(&format!("{}{asset}", place.pages)).await?;
    ensure!(asset.status == 200, "{}", asset.status);
    ensure!(
        asset
            .header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    );
    let missing = http::get(&format!("{}/assets/missing.js", place.pages)).await?;
    ensure!(missing.status == 404, "{missing:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs fleet"]
async fn rtmps_publishes_and_media_are_kept_while_playlists_move() -> Result<()> {
    let place = Ready::of_fleet();
    let api = Api::at(&place).await?;
    let tag = &uuid()[..8];
    let creator = api.register(&format!("tess-{tag}@example.org"), "Tess").await?;
    let channel = api.channel(&creator, &format!("tls{tag}"), "TLS").await?;
    let event = api.event(&creator, &channel, "Behind TLS").await?;
    let key = api.stream_key(&creator, &channel).await?;
    let mut changes = api.watch_event(&event.name).await?;
    let _encoder = ffmpeg::publish(&format!("{}/{key}", place.rtmps), None)?;
    let live = tokio::time::timeout(SOON, until_state(&mut changes, EventState::Live)).await??;
    let playlist = format!("{}{}", place.pages, live.playback_path).replace("index", "media");
    let segment = wait_for("a segment", SOON, async || {
        let answer = http::get(&playlist).await.ok()?;
        let text = (answer.status == 200).then_some(answer.body)?;
        let file = text.lines().find(|line| line.starts_with("segment-"))?.to_owned();
        Some(playlist.replace("media.m3u8", &file))
    })
    .await?;

    let statuses = async |url: &str| -> Result<Vec<String>> {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let own = format!("test-{}", uuid());
            let header = format!("x-request-id: {own}");
            let answer = curl(&[
                "--output",
                "/dev/null",
                "--dump-header",
                "-",
                "--header",
                &header,
                url,
            ])
            .await?;
            ensure!(answer.status == 200, "{url}: {answer:?}");
            let line = logged(&place, &own).await?;
            statuses.push(line["cache"].as_str().unwrap_or_default().to_owned());
        }
        Ok(statuses)
    };
    ensure!(statuses(&segment).await? == ["MISS", "HIT"]);
    let of_playlist = statuses(&playlist).await?;
    ensure!(!of_playlist.contains(&"HIT".to_owned()), "{of_playlist:?}");

    let text = http::get(&playlist).await?.body;
    let part = text.lines().rfind(|line| line.starts_with("#EXT-X-PART:"));
    let part = part.and_then(|line| line.split('"').nth(1)).context("no part")?;
    ensure!(statuses(&playlist.replace("media.m3u8", part)).await? == ["MISS", "HIT"]);
    // The answer to a wish is shared for a second by all who have it, whoever they are.
    wait_until("a shared answer", SOON, async || {
        let (first, second) = (format!("test-{}", uuid()), format!("test-{}", uuid()));
        for id in [&first, &second] {
            let header = format!("x-request-id: {id}");
            let url = format!("{playlist}?_HLS_msn=7&token={id}");
            if curl(&[
                "--output",
                "/dev/null",
                "--dump-header",
                "-",
                "--header",
                &header,
                &url,
            ])
            .await
            .is_err()
            {
                return false;
            }
        }
        logged(&place, &second)
            .await
            .is_ok_and(|line| line["cache"] == "HIT")
    })
    .await?;
    Ok(())
}

/// The line of the gateway's access log about this request.
pub(crate) async fn logged(place: &Ready, request_id: &str) -> Result<Value> {
    let log = place.folder.join("nginx/access.log");
    let find = || -> Option<Value> {
        let text = std::fs::read_to_string(Path::new(&log)).ok()?;
        let line = text.lines().rfind(|line| line.contains(request_id))?;
        serde_json::from_str(line).ok()
    };
    wait_until("the request in the log", SOON, async || find().is_some()).await?;
    find().context("gone")
}
