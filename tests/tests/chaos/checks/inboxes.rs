//! Everybody was told of everything exactly once, in the list and on every stream.

use std::collections::BTreeMap;

use anyhow::Result;
use marquee_proto::notifications::v1::{ListNotificationsRequest, Notification, NotificationKind};

use super::{Ledgers, eventually};
use crate::cast::Member;
use crate::client::Client;
use crate::kills::Killer;

/// How often an account is told of an event.
type Inbox = BTreeMap<(String, NotificationKind), usize>;

/// Schedules an event on every quiet channel: by writer and channel, its name.
pub(super) async fn finals(killer: &Killer, ledgers: &Ledgers) -> Result<Vec<Vec<String>>> {
    let mut finals = Vec::new();
    for writer in &ledgers.writers {
        let mut names = Vec::new();
        for channel in &writer.quiet {
            let event = killer
                .client
                .schedule(&writer.creator, channel, "The last one")
                .await?;
            names.push(event.name);
        }
        finals.push(names);
    }
    Ok(finals)
}

pub(super) async fn check(killer: &Killer, ledgers: &Ledgers, finals: &[Vec<String>]) -> Result<String> {
    let expected = expected(ledgers, finals);
    let client = &killer.client;
    let mut lists = BTreeMap::new();
    eventually(killer, async || {
        let mut wrong = Vec::new();
        lists.clear();
        for (member, expected) in &expected {
            let list = list(client, member).await?;
            wrong.extend(differences(member, expected, &list));
            lists.insert(member.name.clone(), list);
        }
        Ok(wrong)
    })
    .await;
    eventually(killer, async || {
        let mut wrong = Vec::new();
        for device in &ledgers.streams.inboxes {
            let got = device.got.lock().clone();
            // Newest first.
            let list = lists.get(&device.account);
            let kept: Vec<_> = list
                .into_iter()
                .flatten()
                .rev()
                .map(|one| one.name.clone())
                .collect();
            let mut sorted = (got.clone(), kept.clone());
            sorted.0.sort();
            sorted.1.sort();
            if sorted.0 != sorted.1 {
                let missing: Vec<_> = kept.iter().filter(|name| !got.contains(name)).collect();
                wrong.push(format!(
                    "a stream of {} had {} of {} notifications, missing {missing:?}",
                    device.account,
                    got.len(),
                    kept.len()
                ));
            }
        }
        Ok(wrong)
    })
    .await;
    let notifications: usize = lists.values().map(Vec::len).sum();
    let streamed: usize = ledgers
        .streams
        .inboxes
        .iter()
        .map(|device| device.got.lock().len())
        .sum();
    Ok(format!(
        "{notifications} notifications in {} inboxes and {streamed} on {} streams, each once",
        lists.len(),
        ledgers.streams.inboxes.len()
    ))
}

fn expected<'a>(ledgers: &'a Ledgers, finals: &[Vec<String>]) -> Vec<(&'a Member, Inbox)> {
    let mut all = Vec::new();
    for viewer in &ledgers.viewers {
        let mut inbox = Inbox::new();
        for writer in ledgers
            .writers
            .iter()
            .filter(|writer| writer.number == viewer.writer)
        {
            // The first one was there before the follow.
            for event in writer.events.keys().filter(|event| **event != writer.watched) {
                inbox.insert((event.clone(), NotificationKind::EventScheduled), 1);
            }
        }
        let stages = ledgers
            .stages
            .iter()
            .filter(|told| viewer.stages.contains(&told.stage.channel));
        for event in stages.flat_map(|told| &told.events) {
            for kind in [
                NotificationKind::EventScheduled,
                NotificationKind::EventLive,
                NotificationKind::RecordingReady,
            ] {
                inbox.insert((event.clone(), kind), 1);
            }
        }
        all.push((&viewer.member, inbox));
    }
    for (writer, finals) in ledgers.writers.iter().zip(finals) {
        for (at, fan) in writer.fans.iter().enumerate() {
            let mut inbox = Inbox::new();
            for event in writer.reminders.get(&at).into_iter().flat_map(|of| of.values()) {
                *inbox
                    .entry((event.clone(), NotificationKind::EventReminder))
                    .or_default() += 1;
            }
            for (channel, event) in finals.iter().enumerate() {
                if writer.followers(channel).contains(fan.name.as_str()) {
                    inbox.insert((event.clone(), NotificationKind::EventScheduled), 1);
                }
            }
            all.push((fan, inbox));
        }
    }
    all
}

fn differences(member: &Member, expected: &Inbox, list: &[Notification]) -> Vec<String> {
    let mut got = Inbox::new();
    for notification in list {
        *got.entry((notification.event.clone(), notification.kind()))
            .or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (what, count) in expected {
        let found = got.get(what).copied().unwrap_or(0);
        if found != *count {
            wrong.push(format!(
                "{} was told {found} times, not {count}, of {:?} {}",
                member.name, what.1, what.0
            ));
        }
    }
    for (what, count) in got.iter().filter(|(what, _)| !expected.contains_key(*what)) {
        wrong.push(format!(
            "{} was told {count} times and not at all is right of {:?} {}",
            member.name, what.1, what.0
        ));
    }
    wrong
}

async fn list(client: &Client, member: &Member) -> Result<Vec<Notification>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = ListNotificationsRequest {
            parent: "accounts/me".into(),
            page_size: 200,
            page_token: page_token.clone(),
            ..ListNotificationsRequest::default()
        };
        let page = client
            .must("inbox", Some(&member.person), &list, |api, request| async move {
                api.inbox().list_notifications(request).await
            })
            .await?;
        all.extend(page.notifications);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
