//! Every acknowledged write has its event on the bus, and each key's are in order.

use std::collections::BTreeMap;

use anyhow::Result;
use marquee_bus::Message;
use marquee_proto::events::v1::{Event, EventChanged, event_changed::Change};
use marquee_proto::topic;
use prost::Message as _;

use super::Ledgers;
use crate::kills::Killer;

const TOPICS: [topic::Topic; 6] = [
    topic::EVENT,
    topic::ACCOUNT,
    topic::MEMBERSHIP,
    topic::FOLLOW,
    topic::REMINDER,
    topic::PAYMENT,
];

pub(super) async fn check(killer: &Killer, ledgers: &Ledgers) -> Result<String> {
    let (messages, again) = killer.bus.read(&TOPICS).await?;
    let wrong = |fault: String| killer.client.meter.fault(fault);
    let types = |topic: &topic::Topic, key: &str| -> Vec<String> {
        let of = messages.get(&format!("{} {key}", topic.name));
        let last = |message: &Message| {
            let (_, last) = message.event_type.rsplit_once('.').unwrap_or_default();
            last.to_owned()
        };
        of.map(|of| of.iter().map(last).collect()).unwrap_or_default()
    };
    let expect = |topic: &topic::Topic, key: &str, expected: &[&str]| {
        let found = types(topic, key);
        if found != expected {
            wrong(format!("{} has {found:?} of {key}, not {expected:?}", topic.name));
        }
    };
    for writer in &ledgers.writers {
        for (name, event) in &writer.events {
            let of = messages.get(&format!("{} {name}", topic::EVENT.name));
            if let Err(fault) = versions(of.map_or(&[], Vec::as_slice), event) {
                wrong(format!("{} of {name}: {fault}", topic::EVENT.name));
            }
        }
        for (at, fan) in writer.fans.iter().enumerate() {
            expect(&topic::ACCOUNT, &fan.name, &["created"]);
            let joined: &[&str] = if writer.memberships.contains_key(&at) {
                &["started"]
            } else {
                &[]
            };
            let paid: &[&str] = if joined.is_empty() { &[] } else { &["succeeded"] };
            expect(&topic::MEMBERSHIP, &fan.name, joined);
            expect(&topic::PAYMENT, &fan.name, paid);
            for reminder in writer.reminders.get(&at).into_iter().flat_map(BTreeMap::keys) {
                expect(&topic::REMINDER, reminder, &["created"]);
            }
        }
        for ((fan, channel), follows) in &writer.follows {
            let id = writer.quiet[*channel].trim_start_matches("channels/");
            let key = format!("{}/follows/{id}", writer.fans[*fan].name);
            let found = types(&topic::FOLLOW, &key);
            let in_turn = found.iter().enumerate().all(|(at, kind)| {
                let expected = if at % 2 == 0 { "created" } else { "deleted" };
                kind == expected
            });
            if !in_turn || (found.len() % 2 == 1) != *follows {
                wrong(format!(
                    "{} has {found:?} of {key}, which is {follows}",
                    topic::FOLLOW.name
                ));
            }
        }
    }
    let count: usize = messages.values().map(Vec::len).sum();
    Ok(format!(
        "{count} messages of {} keys read from Kafka in order, {again} of them there twice",
        messages.len()
    ))
}

/// From scheduled to what was acknowledged last, each newer than the one before.
fn versions(messages: &[Message], last: &Event) -> Result<(), String> {
    let mut before: Option<Event> = None;
    for (at, message) in messages.iter().enumerate() {
        let changed = EventChanged::decode(message.value.as_ref()).map_err(|error| error.to_string())?;
        let event = match changed.change {
            Some(Change::Scheduled(change)) if at == 0 => change.event,
            Some(Change::Updated(change)) if at > 0 => change.event,
            other => return Err(format!("message {at} is {other:?}")),
        };
        let event = event.ok_or("a message without an event")?;
        let time = |event: &Event| {
            let time = event.update_time.unwrap_or_default();
            (time.seconds, time.nanos)
        };
        if before.as_ref().is_some_and(|before| time(before) >= time(&event)) {
            return Err(format!("message {at} is not newer than the one before"));
        }
        before = Some(event);
    }
    match before {
        Some(newest) if newest.title == last.title && newest.etag == last.etag => Ok(()),
        newest => Err(format!(
            "the newest is {:?}, acknowledged was {:?}",
            newest.map(|event| event.title),
            last.title
        )),
    }
}
