//! The index says what the stores say: everything, as it is now, and nothing else.

use std::collections::BTreeMap;

use anyhow::Result;
use marquee_proto::events::v1::{EventState, ListChannelsRequest};
use marquee_proto::search::v1::{ResultKind, SearchRequest};

use super::{eventually, stores};
use crate::client::Client;
use crate::kills::Killer;

/// By name: title and state.
type Found = BTreeMap<String, (String, String)>;

pub(super) async fn check(killer: &Killer) -> Result<String> {
    let client = &killer.client;
    let mut kept = Found::new();
    for (name, event) in stores::events_of(client, "channels/-").await? {
        let state = match event.state() {
            EventState::Scheduled => "scheduled",
            EventState::Live => "live",
            EventState::Ended => "ended",
            EventState::Cancelled => "cancelled",
            EventState::Unspecified => "",
        };
        kept.insert(name, (event.title, state.to_owned()));
    }
    let events = kept.len();
    kept.extend(channels(client).await?);
    eventually(killer, async || {
        let found = everything(client).await?;
        let mut wrong = Vec::new();
        for (name, is) in &kept {
            if found.get(name) != Some(is) {
                wrong.push(format!(
                    "search has {name} as {:?}, it is {is:?}",
                    found.get(name)
                ));
            }
        }
        for name in found.keys().filter(|name| !kept.contains_key(*name)) {
            wrong.push(format!("search finds {name}, which does not exist"));
        }
        Ok(wrong)
    })
    .await;
    Ok(format!(
        "{events} events and {} channels in the index as in the store",
        kept.len() - events
    ))
}

async fn channels(client: &Client) -> Result<Found> {
    let mut channels = Found::new();
    let mut page_token = String::new();
    loop {
        let list = ListChannelsRequest {
            page_size: 200,
            page_token: page_token.clone(),
            ..ListChannelsRequest::default()
        };
        let page = client
            .must("event", None, &list, |api, request| async move {
                api.channels().list_channels(request).await
            })
            .await?;
        for channel in page.channels {
            channels.insert(channel.name, (channel.display_name, String::new()));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(channels);
        }
    }
}

async fn everything(client: &Client) -> Result<Found> {
    let mut found = Found::new();
    for kind in [ResultKind::Event, ResultKind::Channel] {
        let mut page_token = String::new();
        loop {
            let search = SearchRequest {
                kind: kind.into(),
                page_size: 100,
                page_token: page_token.clone(),
                ..SearchRequest::default()
            };
            let page = client
                .must("search", None, &search, |api, request| async move {
                    api.search().search(request).await
                })
                .await?;
            for result in page.results {
                found.insert(result.name, (result.title, result.state));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    Ok(found)
}
