//! An inbox over server-sent events, as a page of any site reads it, with a stock client.

use std::time::Duration;

use anyhow::{Result, ensure};
use marquee_proto::notifications::v1::ListNotificationsRequest;
use marquee_proto::subscriptions::v1::CreateFollowRequest;
use marquee_testkit::http::{ServerSentEvent, ServerSentEvents};
use marquee_testkit::{Person, Ready, wait_for, wait_until};
use serde_json::Value;

use crate::{Api, uuid};

const SOON: Duration = Duration::from_secs(20);

/// An inbox over server-sent events resumes without loss or repeat.
///
/// # Errors
/// The first thing that is not as it should be.
pub async fn story(place: &Ready) -> Result<()> {
    let api = Api::at(place).await?;
    // Others may tell their story at the same place.
    let tag = &uuid()[..8];
    let creator = api.register(&format!("nora-{tag}@example.org"), "Nora").await?;
    let channel = api
        .channel(&creator, &format!("nightjazz{tag}"), "Night Jazz")
        .await?;
    let viewer = api
        .register(&format!("victor-{tag}@example.org"), "Victor")
        .await?;
    let follow = CreateFollowRequest {
        parent: "accounts/me".into(),
        channel: channel.name.clone(),
    };
    api.follows().create_follow(viewer.request(follow)).await?;
    // Events are scheduled until one is told of: from then on the follow is known.
    let mut before = Vec::new();
    wait_for("the follow to be known", SOON, async || {
        let event = api.event(&creator, &channel, "Sound check").await.ok()?;
        before.push(event.name);
        (!told(&api, &viewer).await.ok()?.is_empty()).then_some(())
    })
    .await?;

    // 1. It opens at once with an id, which says where it is.
    let mut inbox = Inbox::open(place, &viewer, None)?;
    let opened = inbox.next().await?;
    ensure!(!opened.id.is_empty(), "{opened:?}");
    ensure!(notified(&opened)?.is_none(), "{opened:?}");

    // 2. What happens comes by itself.
    let first = api.event(&creator, &channel, "Early set").await?.name;
    let message = inbox.next_of_others(&before).await?;
    ensure!(notified(&message)?.as_ref() == Some(&first), "{message:?}");
    ensure!(
        !message.id.is_empty() && message.id != opened.id,
        "{message:?} {opened:?}"
    );
    drop(inbox);

    // 3. Two more while nobody reads, each told before the next is scheduled so that their order is known.
    let mut missed = Vec::new();
    for title in ["Late set", "Encore"] {
        let name = api.event(&creator, &channel, title).await?.name;
        wait_until("it is told", SOON, async || {
            told(&api, &viewer).await.is_ok_and(|told| told.contains(&name))
        })
        .await?;
        missed.push(name);
    }

    // 4. Who comes back with the last id gets what was missed, once and in order, and then what is new.
    let mut inbox = Inbox::open(place, &viewer, Some(&message.id))?;
    let resumed = inbox.next().await?;
    ensure!(
        resumed.id == message.id && notified(&resumed)?.is_none(),
        "{resumed:?}"
    );
    let mut seen = Vec::new();
    for _ in &missed {
        let message = inbox.next_of_others(&before).await?;
        seen.extend(notified(&message)?);
    }
    ensure!(seen == missed, "{seen:?} {missed:?}");
    let last = api.event(&creator, &channel, "Jam session").await?.name;
    let message = inbox.next_of_others(&before).await?;
    ensure!(notified(&message)?.as_ref() == Some(&last), "{message:?}");
    Ok(())
}

/// The stream of an inbox, as `EventSource` asks for it: with the token in the query.
struct Inbox(ServerSentEvents);

impl Inbox {
    fn open(place: &Ready, person: &Person, last_event_id: Option<&str>) -> Result<Self> {
        let (rest, token) = (&place.rest, &person.access_token);
        let url = format!("{rest}/v1/accounts/me/notifications:watch?access_token={token}");
        let header = last_event_id.map(|id| format!("last-event-id: {id}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        Ok(Self(ServerSentEvents::open(&url, &headers)?))
    }

    async fn next(&mut self) -> Result<ServerSentEvent> {
        let event = tokio::time::timeout(SOON, self.0.next()).await??;
        ensure!(event.kind.is_empty(), "{event:?}");
        Ok(event)
    }

    /// The next one that is not about one of these.
    async fn next_of_others(&mut self, events: &[String]) -> Result<ServerSentEvent> {
        loop {
            let message = self.next().await?;
            match notified(&message)? {
                Some(event) if events.contains(&event) => {}
                _ => return Ok(message),
            }
        }
    }
}

/// The event that a message tells of; none when it only says where the stream is.
fn notified(message: &ServerSentEvent) -> Result<Option<String>> {
    let json: Value = serde_json::from_str(&message.data)?;
    Ok(json["notification"]["event"].as_str().map(ToOwned::to_owned))
}

/// The events that somebody was told of.
async fn told(api: &Api, person: &Person) -> Result<Vec<String>> {
    let list = ListNotificationsRequest {
        parent: "accounts/me".into(),
        ..ListNotificationsRequest::default()
    };
    let listed = api
        .inbox()
        .list_notifications(person.request(list))
        .await?
        .into_inner();
    Ok(listed
        .notifications
        .into_iter()
        .map(|notification| notification.event)
        .collect())
}
