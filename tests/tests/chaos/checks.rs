//! What must hold once the load has stopped. Each check notes all that is wrong; none ends the run.

mod analytics;
mod inboxes;
mod kafka;
mod logs;
mod searched;
mod stores;
mod video;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use marquee_testkit::Ready;

use crate::kills::{Killer, Row};
use crate::on_fleet::Viewer;
use crate::stage::{Playlists, Told};
use crate::viewer::Streams;
use crate::writer::Writer;

/// How long what was written may take to be everywhere, once nobody writes.
const SOON: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);

/// What everybody was told is done.
pub(crate) struct Ledgers {
    pub(crate) writers: Vec<Writer>,
    pub(crate) stages: Vec<Told>,
    pub(crate) viewers: Vec<Viewer>,
    pub(crate) streams: Streams,
    pub(crate) playlists: Playlists,
    pub(crate) rows: Vec<Row>,
}

/// Waits until every outbox is empty and no consumer has anything before it.
pub(crate) async fn settled(killer: &mut Killer, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    // Twice, since what is consumed may be published again as something else.
    let mut quiet = 0;
    while quiet < 2 {
        killer.ask_all().await;
        let outboxes = killer.metrics.outboxes.iter().filter(|(_, depth)| **depth > 0.0);
        let outboxes: Vec<_> = outboxes
            .map(|(service, depth)| format!("{service}: {depth}"))
            .collect();
        let lags = killer.bus.lags(&killer.metrics).await?;
        let lags: Vec<_> = lags.into_iter().filter(|(_, lag)| *lag > 0).collect();
        quiet = if outboxes.is_empty() && lags.is_empty() {
            quiet + 1
        } else {
            0
        };
        if Instant::now() > deadline {
            bail!("not settled after {limit:?}: outboxes {outboxes:?}, lags {lags:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Asks again and again until nothing is wrong; what is still wrong at the limit is noted.
async fn eventually(killer: &Killer, mut ask: impl AsyncFnMut() -> Result<Vec<String>>) {
    let deadline = Instant::now() + SOON;
    loop {
        let wrong = match ask().await {
            Ok(wrong) if wrong.is_empty() => return,
            Ok(wrong) => wrong,
            Err(error) => vec![format!("{error:#}")],
        };
        if Instant::now() > deadline {
            for fault in wrong {
                killer.client.meter.fault(fault);
            }
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// All of them; what was counted, in words.
pub(crate) async fn all(
    killer: &mut Killer,
    place: &Ready,
    ledgers: &mut Ledgers,
    folder: &Path,
) -> Result<Vec<String>> {
    let meter = killer.client.meter.clone();
    if let Err(error) = settled(killer, SOON).await {
        meter.fault(format!("{error:#}"));
    }
    let mut sums = vec![stores::check(killer, ledgers).await?];
    println!("chaos: {}", sums[0]);
    // Once more for everybody who follows by now.
    let finals = inboxes::finals(killer, ledgers).await?;
    if let Err(error) = settled(killer, SOON).await {
        meter.fault(format!("{error:#}"));
    }
    for sum in [
        inboxes::check(killer, ledgers, &finals).await?,
        searched::check(killer).await?,
        analytics::check(killer, ledgers).await?,
        video::check(killer, place, ledgers).await?,
        kafka::check(killer, ledgers).await?,
        logs::check(killer, ledgers, folder)?,
    ] {
        println!("chaos: {sum}");
        sums.push(sum);
    }
    for (topic, letters) in killer.bus.dead_letters().await {
        meter.fault(format!("{letters} dead letters of {topic}"));
    }
    if let Err(error) = killer.fleet.check() {
        meter.fault(format!("{error}"));
    }
    Ok(sums)
}
