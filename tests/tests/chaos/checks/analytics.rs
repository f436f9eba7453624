//! The figures are those of the beacons that were acknowledged, each counted once however often it was sent.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use marquee_proto::analytics::v1::GetEventSummaryRequest;

use super::{Ledgers, eventually};
use crate::kills::Killer;

pub(super) async fn check(killer: &Killer, ledgers: &Ledgers) -> Result<String> {
    let client = &killer.client;
    eventually(killer, async || {
        let mut wrong = Vec::new();
        for writer in &ledgers.writers {
            let get = GetEventSummaryRequest {
                event: writer.watched.clone(),
            };
            let summary = client
                .must(
                    "audience",
                    Some(&writer.creator.person),
                    &get,
                    |api, request| async move { api.audience().get_event_summary(request).await },
                )
                .await?
                .summary
                .context("no summary")?;
            let viewers: BTreeSet<_> = writer.sessions.iter().map(|session| &session.viewer).collect();
            let sent = (writer.sessions.len() as i64, viewers.len() as i64);
            if (summary.views, summary.unique_viewers) != sent {
                wrong.push(format!(
                    "(views, viewers) of {} are {:?}, sent were {sent:?}",
                    writer.watched,
                    (summary.views, summary.unique_viewers)
                ));
            }
            let watched: SignedDuration = writer.sessions.iter().filter_map(|session| session.watched).sum();
            let counted = summary.watched_time.unwrap_or_default();
            let counted = SignedDuration::new(counted.seconds, counted.nanos);
            // Times are kept in milliseconds, and a session has several.
            let rounding = SignedDuration::from_millis(5 * writer.sessions.len() as i64);
            if (counted - watched).abs() > rounding {
                wrong.push(format!(
                    "{} was watched for {watched:?}, counted are {counted:?}",
                    writer.watched
                ));
            }
        }
        Ok(wrong)
    })
    .await;
    eventually(killer, async || {
        let audiences = ledgers.streams.audiences.iter();
        let wrong = audiences.filter(|(_, last)| *last.lock() != Some(0));
        Ok(wrong
            .map(|(event, last)| format!("a stream says that {:?} watch {event}", last.lock()))
            .collect())
    })
    .await;
    let sessions: usize = ledgers.writers.iter().map(|writer| writer.sessions.len()).sum();
    let beacons: i64 = ledgers
        .writers
        .iter()
        .flat_map(|writer| &writer.sessions)
        .map(|session| session.sent)
        .sum();
    Ok(format!(
        "{beacons} beacons of {sessions} views counted once, with their viewers and watched time"
    ))
}
