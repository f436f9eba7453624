//! CreateEvent beside bare inserts into the same server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;
use tokio::task::JoinSet;

use super::api::Person;
use super::places::Places;
use super::report::{Delays, Table};

const CALLERS: [usize; 3] = [1, 8, 64];
const ROUNDS: usize = 3;
const WINDOW: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(500);
/// The servers on the JVM compile what they do often: not while it is measured.
const BEFORE: usize = 4;
const CONNECTIONS: usize = 4;

/// Writes of one window.
struct Run {
    per_second: f64,
    delays: Delays,
}

pub(crate) async fn measure(places: &Places) -> Result<Vec<Table>> {
    let connections = places.connect(CONNECTIONS).await?;
    let owner = Person::register(connections.first().context("no connection")?.clone()).await?;
    let channel: Arc<str> = owner.channel().await?.into();
    let event = owner.event(&channel, "Owls").await?;
    let stored = places
        .database("events")
        .await?
        .collection::<Document>("events")
        .find_one(doc! { "_id": &event.name })
        .await?
        .context("the event is not stored")?;
    let size = mongodb::bson::serialize_to_vec(&stored)?.len();
    let database = places.database("bench").await?;
    let bare = database.collection_with_options::<Document>(
        "bare",
        mongodb::options::CollectionOptions::builder()
            .write_concern(WriteConcern::majority())
            .build(),
    );

    let mut table = Table::new(
        format!(
            "CreateEvent (gRPC through NGINX, MongoDB majority, outbox) beside bare inserts with majority of a document of the same \
             {size} bytes without its indexes; medians of {ROUNDS} alternating windows of {} s",
            WINDOW.as_secs()
        ),
        [
            "callers",
            "CreateEvent/s",
            "bare inserts/s",
            "ratio",
            "CreateEvent p50 / p99, ms",
            "bare p50 / p99, ms",
        ],
    );
    for _ in 0..BEFORE {
        let (person, channel) = (owner.clone(), channel.clone());
        window(CALLERS[1], move |_| {
            let (person, channel) = (person.clone(), channel.clone());
            move || {
                let (person, channel) = (person.clone(), channel.clone());
                async move { person.event(&channel, "Owls").await.map(drop) }
            }
        })
        .await?;
    }
    for callers in CALLERS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let people: Vec<_> = connections.iter().map(|to| owner.over(to)).collect();
            ours.push(
                window(callers, |number| {
                    let person = people[number % people.len()].clone();
                    let channel = channel.clone();
                    move || {
                        let (person, channel) = (person.clone(), channel.clone());
                        async move { person.event(&channel, "Owls").await.map(drop) }
                    }
                })
                .await?,
            );
            theirs.push(
                window(callers, |_| {
                    let (bare, stored) = (bare.clone(), stored.clone());
                    move || {
                        let (bare, stored) = (bare.clone(), stored.clone());
                        async move { insert(&bare, stored).await }
                    }
                })
                .await?,
            );
        }
        let (ours, theirs) = (middle(ours)?, middle(theirs)?);
        let delays = |run: &Run| {
            format!(
                "{:.1} / {:.1}",
                run.delays.percentile(50),
                run.delays.percentile(99)
            )
        };
        table.row([
            callers.to_string(),
            format!("{:.0}", ours.per_second),
            format!("{:.0}", theirs.per_second),
            format!("{:.2}", ours.per_second / theirs.per_second),
            delays(&ours),
            delays(&theirs),
        ]);
    }
    database.drop().await?;
    Ok(vec![table])
}

async fn insert(bare: &Collection<Document>, mut document: Document) -> Result<()> {
    document.insert("_id", ObjectId::new());
    bare.insert_one(document).await?;
    Ok(())
}

/// Each caller one write after the other.
async fn window<W, F>(callers: usize, writer: impl Fn(usize) -> W) -> Result<Run>
where
    W: Fn() -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let began = Instant::now();
    for number in 0..callers {
        let write = writer(number);
        running.spawn(async move {
            let mut delays = Vec::new();
            while began.elapsed() < WARM_UP + WINDOW {
                let sent = Instant::now();
                write().await?;
                let ended = Instant::now();
                if sent > began + WARM_UP && ended <= began + WARM_UP + WINDOW {
                    delays.push(ended - sent);
                }
            }
            anyhow::Ok(delays)
        });
    }
    let mut delays = Delays::default();
    for done in running.join_all().await {
        for delay in done? {
            delays.add(delay);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let per_second = delays.len() as f64 / WINDOW.as_secs_f64();
    Ok(Run { per_second, delays })
}

/// The run in the middle.
fn middle(mut runs: Vec<Run>) -> Result<Run> {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle).context("no runs")
}
