//! Every acknowledged write is there, at its owner, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use marquee_proto::events::v1::{Event, ListEventsRequest};
use marquee_proto::subscriptions::v1::{
    GetAccountRequest, ListFollowsRequest, ListMembershipsRequest, ListPaymentsRequest, ListRemindersRequest,
};

use super::Ledgers;
use crate::client::Client;
use crate::kills::Killer;
use crate::writer::Writer;

pub(super) async fn check(killer: &Killer, ledgers: &Ledgers) -> Result<String> {
    let client = &killer.client;
    let (mut accounts, mut events, mut writes) = (0, 0, 0);
    for writer in &ledgers.writers {
        writes += writer.writes;
        accounts += writer.fans.len();
        events += writer.events.len();
        let kept = events_of(client, &writer.channel).await?;
        for (name, event) in &writer.events {
            match kept.get(name) {
                Some(kept) if kept.title == event.title && kept.etag == event.etag => {}
                other => client.meter.fault(format!(
                    "{name} is {:?}, acknowledged was {:?}",
                    other.map(|event| (&event.title, &event.etag)),
                    (&event.title, &event.etag)
                )),
            }
        }
        for name in kept.keys().filter(|name| !writer.events.contains_key(*name)) {
            client.meter.fault(format!("{name} was made by nobody"));
        }
        for fan in 0..writer.fans.len() {
            of_fan(client, writer, fan).await?;
        }
    }
    Ok(format!(
        "{writes} writes of writers; {accounts} accounts with their follows, reminders, memberships and payments, and {events} \
         events read back"
    ))
}

/// What is kept of an account, against its ledger.
async fn of_fan(client: &Client, writer: &Writer, fan: usize) -> Result<()> {
    let member = &writer.fans[fan];
    let parent = "accounts/me".to_owned();
    let get = GetAccountRequest { name: parent.clone() };
    let account = client
        .must("account", Some(&member.person), &get, |api, request| async move {
            api.accounts().get_account(request).await
        })
        .await?
        .account
        .unwrap_or_default();
    let differ = |what: &str, kept: BTreeSet<String>, expected: BTreeSet<String>| {
        if kept != expected {
            client.meter.fault(format!(
                "{what} of {}: missing {:?}, too many {:?}",
                member.name,
                expected.difference(&kept).collect::<Vec<_>>(),
                kept.difference(&expected).collect::<Vec<_>>()
            ));
        }
    };
    differ(
        "account",
        BTreeSet::from([account.name]),
        BTreeSet::from([member.name.clone()]),
    );

    let list = ListFollowsRequest {
        parent: parent.clone(),
        page_size: 200,
        ..ListFollowsRequest::default()
    };
    let kept = client
        .must("follow", Some(&member.person), &list, |api, request| async move {
            api.follows().list_follows(request).await
        })
        .await?
        .follows;
    let follows = writer
        .follows
        .iter()
        .filter(|((who, _), now)| *who == fan && **now);
    differ(
        "follows",
        kept.into_iter().map(|follow| follow.channel).collect(),
        follows.map(|((_, at), _)| writer.quiet[*at].clone()).collect(),
    );

    let mut kept = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let list = ListRemindersRequest {
            parent: parent.clone(),
            page_size: 200,
            page_token: page_token.clone(),
        };
        let page = client
            .must("remind", Some(&member.person), &list, |api, request| async move {
                api.reminders().list_reminders(request).await
            })
            .await?;
        kept.extend(page.reminders.into_iter().map(|reminder| reminder.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected = writer.reminders.get(&fan).map(|of| of.keys().cloned().collect());
    differ("reminders", kept, expected.unwrap_or_default());

    let list = ListMembershipsRequest {
        parent: parent.clone(),
        ..ListMembershipsRequest::default()
    };
    let kept = client
        .must("join", Some(&member.person), &list, |api, request| async move {
            api.memberships().list_memberships(request).await
        })
        .await?
        .memberships;
    let joined = writer.memberships.get(&fan);
    differ(
        "memberships",
        kept.into_iter().map(|membership| membership.name).collect(),
        joined
            .map(|(membership, _)| membership.clone())
            .into_iter()
            .collect(),
    );
    let list = ListPaymentsRequest {
        parent,
        ..ListPaymentsRequest::default()
    };
    let kept = client
        .must("join", Some(&member.person), &list, |api, request| async move {
            api.payments().list_payments(request).await
        })
        .await?
        .payments;
    // Nobody pays twice.
    differ(
        "payments",
        kept.into_iter().map(|payment| payment.name).collect(),
        joined.map(|(_, payment)| payment.clone()).into_iter().collect(),
    );
    Ok(())
}

/// Every event of a channel, or of all with `channels/-`.
pub(super) async fn events_of(client: &Client, parent: &str) -> Result<BTreeMap<String, Event>> {
    let mut events = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let list = ListEventsRequest {
            parent: parent.to_owned(),
            page_size: 200,
            page_token: page_token.clone(),
            ..ListEventsRequest::default()
        };
        let page = client
            .must("event", None, &list, |api, request| async move {
                api.events().list_events(request).await
            })
            .await?;
        for event in page.events {
            events.insert(event.name.clone(), event);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(events);
        }
    }
}
