//! What one call causes, told as one trace: a creator schedules an event by REST, and a follower is notified.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Receiver, Span};
use crate::{http, wait_for};

const EVENTS: &str = "marquee.events.event.v1";
const NOTIFICATIONS: &str = "marquee.notifications.notification.v1";
const ROUTE: &str = "/v1/channels/{channel}/events";
/// How long a story may take until it is told again: notifications may not have known of the follower.
const PATIENCE: Duration = Duration::from_secs(8);
const ATTEMPTS: u8 = 5;

/// The steps of a story, first to last.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Story {
    /// `POST /v1/channels/{channel}/events`, from the caller's step.
    pub rest: Span,
    /// `CreateEvent` of events.
    pub rpc: Span,
    /// The event's message is put into the outbox.
    pub publish: Span,
    /// The outbox' relay sends it.
    pub send: Span,
    /// notifications handles it.
    pub process: Span,
    /// A page of followers.
    pub fan_out: Span,
    /// The notification's message is put into the outbox.
    pub notification: Span,
}

/// A creator with a channel, and a follower of it.
pub struct People {
    rest: String,
    creator: String,
    channel: String,
}

impl People {
    /// Registers them at the REST face at this address, for example `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn register(rest: &str) -> Result<Self> {
        let unique = format!("{}{}", std::process::id(), jitter());
        let creator = sign_in(rest, &format!("creator{unique}@example.org")).await?;
        let follower = sign_in(rest, &format!("follower{unique}@example.org")).await?;
        let channel = json!({ "handle": format!("owls{unique}"), "display_name": "Owls" });
        let created = post(&format!("{rest}/v1/channels"), &creator, None, &channel).await?;
        let channel = created["channel"]["name"]
            .as_str()
            .with_context(|| created.to_string())?;
        let follow = json!({ "channel": channel });
        post(
            &format!("{rest}/v1/accounts/me/follows"),
            &follower,
            None,
            &follow,
        )
        .await?;
        Ok(Self {
            rest: rest.to_owned(),
            channel: channel.to_owned(),
            creator,
        })
    }

    /// The creator schedules an event, as a step of the trace of this `traceparent`.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn schedule(&self, traceparent: &str) -> Result<()> {
        let event = json!({ "title": "Owls", "scheduled_start_time": "2099-01-01T20:00:00Z" });
        let url = format!("{}/v1/{}/events", self.rest, self.channel);
        post(&url, &self.creator, Some(traceparent), &event).await?;
        Ok(())
    }
}

/// Tells the story until the collector has seen all of it, and checks that each step is below the one before.
///
/// # Errors
/// When a step is missing, or is not below the one that caused it; with what there is.
pub async fn tell(people: &People, collector: &Receiver) -> Result<Story> {
    let mut last = None;
    for attempt in 1..=ATTEMPTS {
        let trace_id = format!("{:016x}{:016x}", u64::from(attempt), jitter());
        let parent = format!("{:016x}", 0xca11_u64 + u64::from(attempt));
        people.schedule(&format!("00-{trace_id}-{parent}-01")).await?;
        let told = wait_for("the notification's span", PATIENCE, async || {
            let spans = collector.traces().remove(&trace_id)?;
            steps(&spans, &parent).ok()
        });
        match told.await {
            Ok(story) => return Ok(story),
            Err(error) => {
                let spans = collector.traces().remove(&trace_id).unwrap_or_default();
                last = steps(&spans, &parent).err().or(Some(error));
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("nothing was tried")))
}

fn steps(spans: &[Span], parent: &str) -> Result<Story> {
    let below = |parent: &str, kind: &str, name: &str, group: &str| {
        let found = spans.iter().find(|span| {
            span.kind == kind
                && span.name == name
                && span.parent_span_id == parent
                && span.attribute("messaging.consumer.group.name").contains(group)
        });
        found.cloned().with_context(|| {
            let steps: Vec<_> = spans
                .iter()
                .map(|span| {
                    format!(
                        "{} of {}: {} {}",
                        span.span_id, span.parent_span_id, span.kind, span.name
                    )
                })
                .collect();
            format!("no {kind} {name:?} below {parent} among {steps:#?}")
        })
    };
    let rest = below(parent, "Server", &format!("POST {ROUTE}"), "")?;
    let rpc = below(
        &rest.span_id,
        "Server",
        "marquee.events.v1.EventService/CreateEvent",
        "",
    )?;
    let publish = below(&rpc.span_id, "Producer", &format!("publish {EVENTS}"), "")?;
    let send = below(&publish.span_id, "Client", &format!("send {EVENTS}"), "")?;
    let process = below(
        &publish.span_id,
        "Consumer",
        &format!("process {EVENTS}"),
        "notifications",
    )?;
    // A page of followers and a page of reminders: the one that told somebody.
    let notification = spans
        .iter()
        .find(|span| span.kind == "Producer" && span.name == format!("publish {NOTIFICATIONS}"));
    let notification = notification.cloned().context("no notification")?;
    let fan_out = spans
        .iter()
        .find(|span| span.span_id == notification.parent_span_id);
    let fan_out = fan_out.cloned().context("nothing caused the notification")?;
    ensure!(fan_out.name == "fan out notifications", "{fan_out:?}");
    ensure!(fan_out.parent_span_id == process.span_id, "{fan_out:?}");
    let failed: Vec<_> = spans.iter().filter(|span| span.error.is_some()).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(Story {
        rest,
        rpc,
        publish,
        send,
        process,
        fan_out,
        notification,
    })
}

async fn sign_in(rest: &str, email: &str) -> Result<String> {
    let password = "correct horse battery";
    let account = json!({
        "account": { "email": email, "display_name": "Somebody" },
        "password": password,
    });
    post(&format!("{rest}/v1/accounts"), "", None, &account).await?;
    let login = json!({ "email": email, "password": password });
    let session = post(&format!("{rest}/v1/sessions:login"), "", None, &login).await?;
    let token = session["tokens"]["access_token"].as_str();
    Ok(token.with_context(|| session.to_string())?.to_owned())
}

async fn post(url: &str, token: &str, traceparent: Option<&str>, body: &Value) -> Result<Value> {
    let (authorization, body) = (format!("authorization: Bearer {token}"), body.to_string());
    let traceparent = traceparent.map(|parent| format!("traceparent: {parent}"));
    let mut arguments = vec!["--request", "POST", "--header", "content-type: application/json"];
    if !token.is_empty() {
        arguments.extend(["--header", &authorization]);
    }
    if let Some(traceparent) = &traceparent {
        arguments.extend(["--header", traceparent]);
    }
    arguments.extend(["--data", &body, url]);
    let answer = http::curl(&arguments).await?;
    ensure!(answer.status == 200, "{url}: {answer:?}");
    answer.json()
}

/// Differs from call to call and from run to run.
fn jitter() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one("story")
}
