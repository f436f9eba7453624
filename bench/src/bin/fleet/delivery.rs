//! From the RPC that is acknowledged to the event in another service's handler.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use marquee_bus::{Consumer, Delivery, EventBus, Handler, HandlerError};
use marquee_proto::events::v1::{Event, EventChanged, event_changed};
use marquee_proto::name::new_id;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::api::Person;
use super::places::Places;
use super::report::{DELAYS, Delays, Table};

const PER_SECOND: usize = 200;
const WARM_UP: usize = 15 * PER_SECOND;
const MEASURED: usize = 20 * PER_SECOND;
/// For the last ones to be delivered.
const PATIENCE: Duration = Duration::from_secs(20);
const TARGET_MS: f64 = 150.0;

/// An event at one of its changes.
type Change = (String, i64, i32);

fn change(event: &Event) -> Option<Change> {
    let time = event.update_time.as_ref()?;
    Some((event.name.clone(), time.seconds, time.nanos))
}

/// When each change was delivered first.
#[derive(Default)]
struct Delivered(Mutex<HashMap<Change, Instant>>);

#[async_trait]
impl Handler<EventChanged> for Delivered {
    async fn handle(&self, delivery: Delivery<EventChanged>) -> Result<(), HandlerError> {
        use event_changed::Change::{Scheduled, Updated};
        let now = Instant::now();
        let event = match delivery.event.change {
            Some(Scheduled(scheduled)) => scheduled.event,
            Some(Updated(updated)) => updated.event,
            _ => None,
        };
        if let Some(change) = event.as_ref().and_then(change) {
            self.0.lock().entry(change).or_insert(now);
        }
        Ok(())
    }
}

struct Call {
    change: Change,
    sent: Instant,
    acknowledged: Instant,
}

pub(crate) async fn measure(places: &Places) -> Result<Vec<Table>> {
    let connections = places.connect(4).await?;
    let first = connections.first().context("no connection")?;
    let owner = Person::register(first.clone()).await?;
    let channel = owner.channel().await?;
    let people: Vec<_> = connections.iter().map(|to| owner.over(to)).collect();

    let bus: Arc<dyn EventBus> = places.bus()?;
    let delivered = Arc::new(Delivered::default());
    let stop = CancellationToken::new();
    let consumer = Consumer::new(bus, format!("bench-{}", new_id())).on::<EventChanged>(delivered.clone());
    let consumer = tokio::spawn(consumer.run(stop.clone()));
    // It has its partitions once it tells of one change in each of a few.
    for _ in 0..20 {
        let event = owner.event(&channel, "Sound check").await?;
        let change = change(&event).context("no update time")?;
        wait(|| delivered.0.lock().contains_key(&change)).await?;
    }

    let (calls, span) = load(&people, &channel).await?;
    let measured = calls.get(WARM_UP.min(calls.len())..).unwrap_or_default();
    wait(|| {
        let delivered = delivered.0.lock();
        measured.iter().all(|call| delivered.contains_key(&call.change))
    })
    .await?;
    stop.cancel();
    consumer.await??;

    let (mut from_answer, mut from_call, mut answer) = Default::default();
    let mut before = 0;
    let delivered = delivered.0.lock();
    for call in measured {
        let at = *delivered.get(&call.change).context("not delivered")?;
        before += usize::from(at <= call.acknowledged);
        add(&mut from_answer, at.saturating_duration_since(call.acknowledged));
        add(&mut from_call, at.saturating_duration_since(call.sent));
        add(&mut answer, call.acknowledged - call.sent);
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = calls.len() as f64 / span.as_secs_f64();
    let title = format!(
        "Delivery at {rate:.0} events/s, half of them created and half changed; {before} of {} were delivered before their answer \
         was read (counted as 0)",
        measured.len()
    );
    let mut table = Table::new(title, DELAYS);
    table.row(from_answer.cells("RPC acknowledged, handler of another service", Some(TARGET_MS)));
    table.row(from_call.cells("RPC sent, handler of another service", None));
    table.row(answer.cells("RPC sent, RPC acknowledged", None));
    Ok(vec![table])
}

fn add(delays: &mut Delays, delay: Duration) {
    delays.add(delay);
}

/// Calls at a rate of its own, however long each takes; in the order in which they were sent.
async fn load(people: &[Person], channel: &str) -> Result<(Vec<Call>, Duration)> {
    let created: Arc<Mutex<VecDeque<String>>> = Arc::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(PER_SECOND)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    let began = Instant::now();
    for (number, person) in (0..WARM_UP + MEASURED).zip(people.iter().cycle()) {
        ticks.tick().await;
        let (person, channel, created) = (person.clone(), channel.to_owned(), created.clone());
        running.spawn(async move {
            let known = (number % 2 == 1).then(|| created.lock().pop_front()).flatten();
            let sent = Instant::now();
            let event = match &known {
                Some(name) => person.rename(name, &format!("Owls {number}")).await?,
                None => person.event(&channel, &format!("Owls {number}")).await?,
            };
            let acknowledged = Instant::now();
            if known.is_none() {
                created.lock().push_back(event.name.clone());
            }
            let change = change(&event).context("no update time")?;
            anyhow::Ok((
                number,
                Call {
                    change,
                    sent,
                    acknowledged,
                },
            ))
        });
    }
    let span = began.elapsed();
    let mut calls = Vec::new();
    for done in running.join_all().await {
        calls.push(done?);
    }
    calls.sort_unstable_by_key(|(number, _)| *number);
    Ok((calls.into_iter().map(|(_, call)| call).collect(), span))
}

async fn wait(done: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !done() {
        ensure!(began.elapsed() < PATIENCE, "not delivered within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
