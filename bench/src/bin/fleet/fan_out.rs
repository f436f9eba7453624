//! One event to the inboxes of very many followers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mongodb::bson::{Document, doc};

use super::api::Person;
use super::places::Places;
use super::report::{Table, mib};
use super::{followers, memory};

const FOLLOWERS: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(100);

pub(crate) async fn measure(places: &Places) -> Result<Vec<Table>> {
    let connections = places.connect(1).await?;
    let owner = Person::register(connections.first().context("no connection")?.clone()).await?;
    let channel = owner.channel().await?;
    let (_, learned) = followers::make(places, &channel, FOLLOWERS).await?;

    let database = places.database("notifications").await?;
    let rows = database.collection::<Document>("notifications");
    let outbox = database.collection::<Document>("marquee_outbox");
    let pid = *places.pids.get("notifications").context("no process")?;
    let before = rows.estimated_document_count().await?;
    let idle = memory::resident(pid)?;
    let event = owner.event(&channel, "Owls for everybody").await?;
    let began = Instant::now();
    let (mut most, mut first) = (idle, None);
    let wrote = loop {
        most = most.max(memory::resident(pid)?);
        // Nobody else is told of anything meanwhile.
        let told = rows.estimated_document_count().await? - before;
        if told > 0 && first.is_none() {
            first = Some(began.elapsed());
        }
        if told >= FOLLOWERS as u64 {
            break began.elapsed();
        }
        ensure!(began.elapsed() < PATIENCE, "{told} are told after {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    };
    // Each row is an event on the bus as well.
    while outbox.estimated_document_count().await? > 0 {
        ensure!(
            began.elapsed() < PATIENCE,
            "the outbox is not empty after {PATIENCE:?}"
        );
        most = most.max(memory::resident(pid)?);
        tokio::time::sleep(LOOK).await;
    }
    let relayed = began.elapsed();
    let told = rows.count_documents(doc! { "body.event": &event.name }).await?;
    ensure!(told == FOLLOWERS as u64, "{told} inboxes have it");

    let mut table = Table::new(
        "Fan-out of one event to 100,000 followers' inboxes",
        ["figure", "value"],
    );
    let mut row = |figure: &str, value: String| table.row([figure.to_owned(), value]);
    let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = |time: Duration| format!("{:.0}", FOLLOWERS as f64 / time.as_secs_f64());
    row("first rows seen after, s", seconds(first.unwrap_or_default()));
    row("all rows written after, s", seconds(wrote));
    row("rows/s", rate(wrote));
    row("all of them on the bus after, s", seconds(relayed));
    row("memory of notifications before, MiB", mib(idle));
    row("the most meanwhile, MiB", mib(most));
    row("follows learned from the bus before, follows/s", rate(learned));
    Ok(vec![table])
}
