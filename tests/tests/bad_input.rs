//! What clients are told when they get something wrong, over gRPC, REST and RTMP.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_proto::events::v1::{
    Channel, CreateChannelRequest, CreateEventRequest, Event, GetEventRequest, ListEventsRequest,
    UpdateEventRequest,
};
use marquee_proto::notifications::v1::ListNotificationsRequest;
use marquee_proto::subscriptions::v1::{CreateMembershipRequest, LoginRequest};
use marquee_testkit::{Marquee, Person, ffmpeg, http};
use marquee_tests::{Api, uuid};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// One process for all of them: starting it is the slow part.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_gets_it_wrong_is_told_what_and_where() -> Result<()> {
    let marquee = Marquee::start(&["--keyframe-limit", "3"]).await?;
    let api = Api::of(&marquee).await?;
    let nora = api.register("nora@example.org", "Nora").await?;
    let victor = api.register("victor@example.org", "Victor").await?;
    let channel = api.channel(&nora, "nightjazz", "Night Jazz").await?;
    let result = async {
        fields_are_named(&api, &nora, &channel).await?;
        names_are_looked_up_after_permission(&api, &nora, &victor, &channel).await?;
        a_stale_etag_is_refused(&api, &nora, &channel).await?;
        a_replay_gets_the_first_answer(&api, &nora, &victor, &channel).await?;
        tokens_are_checked(&api, &nora).await?;
        too_large_is_refused(&api, &nora, &channel).await?;
        rest_answers_with_problems(&marquee, &nora).await?;
        encoders_are_told_why(&marquee, &api, &nora, &channel).await
    };
    result
        .await
        .with_context(|| format!("the log of marquee:\n{}", marquee.log()))
}

/// The status that a call must fail with.
fn failed<T>(answer: Result<T, Status>, code: Code, reason: &str) -> Result<Status> {
    let Err(status) = answer else {
        anyhow::bail!("{reason} was expected, the call succeeded")
    };
    let info = status
        .get_details_error_info()
        .with_context(|| format!("no ErrorInfo in {status:?}"))?;
    ensure!(
        status.code() == code && info.reason == reason,
        "{reason} was expected: {status:?} {}",
        info.reason
    );
    ensure!(info.domain == "marquee.dev", "domain {}", info.domain);
    Ok(status)
}

async fn fields_are_named(api: &Api, nora: &Person, channel: &Channel) -> Result<()> {
    let event = Event {
        title: String::new(),
        language: "no such language".into(),
        ..Event::default()
    };
    let create = CreateEventRequest {
        parent: channel.name.clone(),
        event: Some(event),
        request_id: "7".into(),
    };
    let status = failed(
        api.events().create_event(nora.request(create)).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    )?;
    let violations = status
        .get_details_bad_request()
        .context("no BadRequest")?
        .field_violations;
    for field in [
        "event.title",
        "event.scheduled_start_time",
        "event.language",
        "request_id",
    ] {
        ensure!(
            violations.iter().any(|violation| violation.field == field),
            "{field} is not in {violations:?}"
        );
    }
    let list = ListEventsRequest {
        filter: "state = SLEEPING".into(),
        ..ListEventsRequest::default()
    };
    failed(
        api.events().list_events(list).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    )?;
    let list = ListEventsRequest {
        page_token: "forged".into(),
        ..ListEventsRequest::default()
    };
    ensure!(
        api.events()
            .list_events(list)
            .await
            .is_err_and(|status| status.code() == Code::InvalidArgument)
    );
    Ok(())
}

async fn names_are_looked_up_after_permission(
    api: &Api,
    nora: &Person,
    victor: &Person,
    channel: &Channel,
) -> Result<()> {
    let get = GetEventRequest {
        name: format!("{}/events/none", channel.name),
    };
    failed(
        api.events().get_event(get).await,
        Code::NotFound,
        "EVENT_NOT_FOUND",
    )?;
    let event = Event {
        name: format!("{}/events/none", channel.name),
        title: "x".into(),
        ..Event::default()
    };
    let update = UpdateEventRequest {
        event: Some(event),
        update_mask: None,
    };
    let theirs = api.events().update_event(victor.request(update.clone())).await;
    ensure!(theirs.is_err_and(|status| status.code() == Code::PermissionDenied));
    failed(
        api.events().update_event(nora.request(update)).await,
        Code::NotFound,
        "EVENT_NOT_FOUND",
    )?;
    let list = ListNotificationsRequest {
        parent: "accounts/nobody".into(),
        ..ListNotificationsRequest::default()
    };
    let inbox = api.inbox().list_notifications(victor.request(list)).await;
    ensure!(inbox.is_err_and(|status| status.code() == Code::PermissionDenied));
    Ok(())
}

async fn a_stale_etag_is_refused(api: &Api, nora: &Person, channel: &Channel) -> Result<()> {
    let read = api.event(nora, channel, "First title").await?;
    let change = |title: &str| UpdateEventRequest {
        event: Some(Event {
            title: title.into(),
            ..read.clone()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["title".into()],
        }),
    };
    api.events()
        .update_event(nora.request(change("Second title")))
        .await?;
    failed(
        api.events()
            .update_event(nora.request(change("Third title")))
            .await,
        Code::Aborted,
        "ETAG_MISMATCH",
    )?;
    Ok(())
}

async fn a_replay_gets_the_first_answer(
    api: &Api,
    nora: &Person,
    victor: &Person,
    channel: &Channel,
) -> Result<()> {
    let event = api.event(nora, channel, "Template").await?;
    let event = Event {
        title: "Once".into(),
        scheduled_start_time: event.scheduled_start_time,
        ..Event::default()
    };
    let create = CreateEventRequest {
        parent: channel.name.clone(),
        event: Some(event),
        request_id: uuid(),
    };
    let first = api
        .events()
        .create_event(nora.request(create.clone()))
        .await?
        .into_inner();
    let again = api
        .events()
        .create_event(nora.request(create.clone()))
        .await?
        .into_inner();
    ensure!(first == again, "{first:?} {again:?}");
    let mut other = create;
    other.event.get_or_insert_default().title = "Twice".into();
    failed(
        api.events().create_event(nora.request(other)).await,
        Code::InvalidArgument,
        "REQUEST_ID_REUSED",
    )?;

    let join = CreateMembershipRequest {
        parent: "accounts/me".into(),
        plan: "plans/basic".into(),
        payment_token: "test-card-ok".into(),
        request_id: uuid(),
    };
    let first = api
        .memberships()
        .create_membership(victor.request(join.clone()))
        .await?
        .into_inner();
    let again = api
        .memberships()
        .create_membership(victor.request(join))
        .await?
        .into_inner();
    ensure!(
        first.payment == again.payment,
        "charged twice: {first:?} {again:?}"
    );
    Ok(())
}

async fn tokens_are_checked(api: &Api, nora: &Person) -> Result<()> {
    let channel = Channel {
        handle: "other".into(),
        display_name: "Other".into(),
        ..Channel::default()
    };
    let create = CreateChannelRequest {
        channel: Some(channel),
        request_id: String::new(),
    };
    let anonymous = api.channels().create_channel(create.clone()).await;
    failed(anonymous, Code::Unauthenticated, "TOKEN_MISSING")?;
    let forged = Person {
        access_token: format!("{}x", nora.access_token),
        ..nora.clone()
    };
    failed(
        api.channels().create_channel(forged.request(create)).await,
        Code::Unauthenticated,
        "TOKEN_INVALID",
    )?;
    let login = LoginRequest {
        email: nora.email.clone(),
        password: "wrong password".into(),
    };
    failed(
        api.sessions().login(login).await,
        Code::Unauthenticated,
        "BAD_CREDENTIALS",
    )?;
    Ok(())
}

async fn too_large_is_refused(api: &Api, nora: &Person, channel: &Channel) -> Result<()> {
    let event = Event {
        description: "x".repeat(5 << 20),
        ..Event::default()
    };
    let create = CreateEventRequest {
        parent: channel.name.clone(),
        event: Some(event),
        request_id: String::new(),
    };
    let answer = api.events().create_event(nora.request(create)).await;
    ensure!(
        answer
            .as_ref()
            .is_err_and(|status| status.code() == Code::ResourceExhausted),
        "{answer:?}"
    );
    Ok(())
}

async fn rest_answers_with_problems(marquee: &Marquee, nora: &Person) -> Result<()> {
    let url = |path: &str| format!("{}{path}", marquee.ready.rest);
    let bearer = format!("authorization: Bearer {}", nora.access_token);
    let json = "content-type: application/json";
    for (arguments, status, reason) in [
        (vec![url("/v1/channels/none")], 404, "CHANNEL_NOT_FOUND"),
        (vec![url("/v1/accounts/me")], 401, "TOKEN_MISSING"),
        (
            vec![url("/v1/accounts/other"), "-H".into(), bearer.clone()],
            403,
            "PERMISSION_DENIED",
        ),
        (vec![url("/v1/events?filtre=x")], 400, ""),
        (vec![url("/nothing/here")], 404, ""),
        (vec![url("/live/none/index.m3u8")], 404, "NOT_LIVE"),
        (
            vec![
                url("/v1/channels"),
                "-H".into(),
                bearer.clone(),
                "-H".into(),
                json.into(),
                "-d".into(),
                "{".into(),
            ],
            400,
            "",
        ),
        (
            vec![
                url("/v1/channels"),
                "-H".into(),
                bearer,
                "-H".into(),
                json.into(),
                "-d".into(),
                "{\"handle\":\"x\"}".into(),
            ],
            400,
            "INVALID_FIELD",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = http::curl(&arguments).await?;
        ensure!(
            answer.status == status,
            "{arguments:?}: {} {}",
            answer.status,
            answer.body
        );
        ensure!(
            answer.header("content-type") == Some("application/problem+json"),
            "{arguments:?}: {answer:?}"
        );
        let problem = answer.json()?;
        ensure!(
            problem["status"] == status && problem["title"].is_string(),
            "{problem}"
        );
        ensure!(
            reason.is_empty() || problem["reason"] == reason,
            "{reason} is expected: {problem}"
        );
    }
    Ok(())
}

/// Stock ffmpeg shows the reason, and the log has no key.
async fn encoders_are_told_why(marquee: &Marquee, api: &Api, nora: &Person, channel: &Channel) -> Result<()> {
    let refused = async |url: &str, reason: &str| {
        let (published, said) = ffmpeg::publish(url, Some(20))?.finish().await?;
        ensure!(!published, "ffmpeg published to what must be refused: {reason}");
        ensure!(said.contains(reason), "ffmpeg does not show `{reason}`: {said}");
        anyhow::Ok(())
    };
    let (unknown, no_application, occupied) = (
        "the stream key is not known",
        "there is no such application",
        "on the air with another encoder",
    );
    let wrong = "mq_0123456789abcdefghjkmnpqrstvwxyz";
    refused(&format!("{}/{wrong}", marquee.ready.rtmp), unknown).await?;
    let key = api.stream_key(nora, channel).await?;
    refused(
        &format!("{}/{key}", marquee.ready.rtmp.replace("/live", "/show")),
        no_application,
    )
    .await?;
    let first = ffmpeg::publish(&format!("{}/{key}", marquee.ready.rtmp), None)?;
    let live = async || {
        let playlist = format!(
            "{}/live/{}/index.m3u8",
            marquee.ready.rest,
            channel.name.trim_start_matches("channels/")
        );
        http::get(&playlist)
            .await
            .is_ok_and(|answer| answer.status == 200)
    };
    marquee_testkit::wait_until("the first encoder to be live", Duration::from_secs(20), live).await?;
    refused(&format!("{}/{key}", marquee.ready.rtmp), occupied).await?;
    first.stop().await?;
    let log = marquee.log();
    for reason in [unknown, no_application, occupied] {
        ensure!(log.contains(reason), "`{reason}` is not in the log");
    }
    ensure!(!log.contains(&key) && !log.contains(wrong), "a key is in the log");
    Ok(())
}
