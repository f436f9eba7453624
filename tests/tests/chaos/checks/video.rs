//! Every stream went on or ended, and its recording has all that was listed.

use anyhow::Result;
use marquee_testkit::Ready;

use super::{Ledgers, eventually};
use crate::kills::Killer;
use crate::probes::get;

pub(super) async fn check(killer: &Killer, place: &Ready, ledgers: &Ledgers) -> Result<String> {
    let client = &killer.client;
    eventually(killer, async || {
        ledgers.playlists.look(&client.meter).await;
        let open = ledgers
            .playlists
            .all()
            .into_iter()
            .filter(|(_, seen)| !seen.ended);
        Ok(open
            .map(|(path, seen)| format!("{path} of {} has not ended", seen.event))
            .collect())
    })
    .await;
    let (mut recordings, mut segments) = (0, 0);
    for event in ledgers.stages.iter().flat_map(|told| &told.events) {
        let path = client.event(event).await?.recording_path;
        let seen = ledgers
            .playlists
            .all()
            .into_values()
            .find(|seen| seen.event == *event);
        let newest = seen.map_or(0, |seen| seen.segments);
        if newest == 0 {
            client.meter.fault(format!("no player saw a segment of {event}"));
        }
        match read(&place.pages, &path).await {
            Ok(count) if count >= newest.max(1) => {
                recordings += 1;
                segments += count;
            }
            Ok(count) => client.meter.fault(format!(
                "{newest} segments of {event} were listed, its recording {path} has {count}"
            )),
            Err(error) => client
                .meter
                .fault(format!("recording {path} of {event}: {error:#}")),
        }
    }
    eventually(killer, async || {
        let mut wrong = Vec::new();
        for (name, last) in &ledgers.streams.events {
            let is = client.event(name).await?;
            let last = last.lock().clone().unwrap_or_default();
            if last.etag != is.etag {
                wrong.push(format!(
                    "a stream says that {name} is {:?} and {:?}, it is {:?}",
                    last.state(),
                    last.recording_path,
                    is.state()
                ));
            }
        }
        Ok(wrong)
    })
    .await;
    let restarts: usize = ledgers.stages.iter().map(|told| told.restarts).sum();
    Ok(format!(
        "{recordings} recordings with {segments} segments read; publishers were started again {restarts} times"
    ))
}

/// How many segments a recording has; each is read.
async fn read(address: &str, path: &str) -> Result<u64> {
    let media = path.replace("index.m3u8", "media.m3u8");
    let (status, body) = get(address, &media).await?;
    let text = String::from_utf8_lossy(&body);
    anyhow::ensure!(
        status == 200 && text.contains("#EXT-X-ENDLIST"),
        "{status}: {text}"
    );
    let folder = media.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut count = 0;
    for file in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let path = if file.starts_with('/') {
            file.to_owned()
        } else {
            format!("{folder}/{file}")
        };
        let (status, body) = get(address, &path).await?;
        anyhow::ensure!(status == 200 && !body.is_empty(), "{path}: {status}");
        count += 1;
    }
    Ok(count)
}
