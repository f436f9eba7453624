//! One part after the other is killed or frozen, and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use marquee_fleet::{Fleet, Kind, Part};

use crate::bus::Bus;
use crate::client::Client;
use crate::meter::Cost;
use crate::metrics::Metrics;
use crate::probes::Canary;
use crate::random::Random;

/// How long it may take until all calls succeed again and what is written reaches everybody.
const WHOLE: Duration = Duration::from_secs(120);
/// How long a slow part is frozen.
const FROZEN: Duration = Duration::from_secs(5);
/// Between one part and the next.
const BETWEEN: Duration = Duration::from_secs(2);

/// What is done to a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    Freeze,
}

/// What was done and what it cost.
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) blow: Blow,
    /// How long it was away, by our doing.
    pub(crate) away: Duration,
    /// From its start until everything says that it is ready.
    pub(crate) ready: Duration,
    /// From the blow until calls of every kind succeeded and a write reached everybody.
    pub(crate) whole: Duration,
    pub(crate) cost: Cost,
    pub(crate) replayed: f64,
    pub(crate) retries: f64,
    /// In seconds since 1970: errors that are logged from here on are explained by it.
    pub(crate) span: (i64, i64),
}

/// Each part is killed once in an order by chance, then each again; besides, some are frozen in between.
pub(crate) fn plan(kills: usize, pauses: usize, random: &mut Random) -> Vec<(Part, Blow)> {
    let mut plan = Vec::new();
    while plan.len() < kills {
        let mut round = Part::all();
        random.shuffle(&mut round);
        plan.extend(round.into_iter().map(|part| (part, Blow::Kill)));
    }
    plan.truncate(kills);
    let mut frozen = Part::all();
    random.shuffle(&mut frozen);
    for part in frozen.into_iter().cycle().take(pauses) {
        plan.insert(random.below(plan.len() + 1), (part, Blow::Freeze));
    }
    plan
}

pub(crate) struct Killer {
    pub(crate) fleet: Fleet,
    pub(crate) client: Client,
    pub(crate) canary: Canary,
    pub(crate) bus: Bus,
    pub(crate) metrics: Metrics,
    pub(crate) random: Random,
}

impl Killer {
    pub(crate) async fn ask_all(&mut self) {
        for kind in Kind::ALL {
            let address = self.fleet.service(kind).address().to_string();
            self.metrics.ask(kind.name(), &address).await;
        }
    }

    /// Does it, and waits until everything is as before.
    pub(crate) async fn strike(&mut self, part: Part, blow: Blow) -> Result<Row> {
        self.ask_all().await;
        let (replayed, retries) = (self.bus.replayed(&self.metrics).await?, self.metrics.retries());
        let pids = self.pids();
        // What a process counted until it is killed.
        if let Part::Service(kind) = part {
            let address = self.fleet.service(kind).address().to_string();
            self.metrics.ask(kind.name(), &address).await;
        }
        let begun = Instant::now();
        let began = jiff::Timestamp::now().as_second();
        let away = match blow {
            Blow::Kill => {
                tokio::task::block_in_place(|| self.fleet.kill(part))?;
                let away = Duration::from_millis(200 + self.random.below(2_800) as u64);
                tokio::time::sleep(away).await;
                away
            }
            Blow::Freeze => {
                self.freeze(part, true)?;
                tokio::time::sleep(FROZEN).await;
                self.freeze(part, false)?;
                FROZEN
            }
        };
        let started = Instant::now();
        if blow == Blow::Kill {
            tokio::task::block_in_place(|| self.fleet.restart(part))
                .with_context(|| format!("{} does not start again", part.name()))?;
        }
        tokio::task::block_in_place(|| self.fleet.wait_ready())
            .with_context(|| format!("not all is ready after {} was killed", part.name()))?;
        let ready = Instant::now();
        let until = jiff::Timestamp::now().as_second() + 1;
        self.until_whole(part, ready).await?;
        let whole = Instant::now();
        self.untouched(part, blow, &pids)?;
        self.ask_all().await;
        let row = Row {
            part: part.name(),
            blow,
            away,
            ready: ready - started,
            whole: whole - begun,
            cost: self.client.meter.cost(begun, whole),
            replayed: (self.bus.replayed(&self.metrics).await? - replayed).max(0.0),
            retries: self.metrics.retries() - retries,
            span: (began, until),
        };
        tokio::time::sleep(BETWEEN).await;
        Ok(row)
    }

    async fn until_whole(&self, part: Part, ready: Instant) -> Result<()> {
        loop {
            let silent = self.client.meter.silent_since(ready);
            // Few register or join; who can log in or follow can do that.
            let silent: Vec<_> = silent
                .into_iter()
                .filter(|kind| !["register", "join", "remind"].contains(kind))
                .collect();
            if silent.is_empty() {
                break;
            }
            if ready.elapsed() > WHOLE {
                bail!(
                    "no success of {silent:?} for {WHOLE:?} after {} came back",
                    part.name()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !self.canary.sings(&self.client, WHOLE).await? {
            bail!(
                "what is written does not reach everybody {WHOLE:?} after {} came back",
                part.name()
            );
        }
        Ok(())
    }

    fn freeze(&mut self, part: Part, freeze: bool) -> Result<()> {
        match part {
            Part::Backend(backend) => {
                let server = self.fleet.backend(backend).context("no such server")?;
                if freeze {
                    server.pause();
                } else {
                    server.resume();
                }
            }
            Part::Service(kind) if freeze => self.fleet.service(kind).pause()?,
            Part::Service(kind) => self.fleet.service(kind).resume()?,
            Part::Gateway if freeze => self.fleet.nginx().pause()?,
            Part::Gateway => self.fleet.nginx().resume()?,
        }
        Ok(())
    }

    fn pids(&mut self) -> Vec<(Part, Option<u32>)> {
        let pid = |part| match part {
            Part::Service(kind) => self.fleet.service(kind).pid(),
            Part::Backend(backend) => self.fleet.backend(backend).map(|server| server.pid()),
            Part::Gateway => self.fleet.nginx().pid(),
        };
        let pids = Part::all().into_iter().map(pid).collect::<Vec<_>>();
        Part::all().into_iter().zip(pids).collect()
    }

    /// No process but the killed one is another than before, and all run.
    fn untouched(&mut self, part: Part, blow: Blow, before: &[(Part, Option<u32>)]) -> Result<()> {
        self.fleet.check()?;
        for (was, is) in before.iter().zip(self.pids()) {
            if *was != is && (is.0 != part || blow == Blow::Freeze) {
                bail!("{} ended when {} was killed", is.0.name(), part.name());
            }
            if let Part::Backend(backend) = is.0
                && self
                    .fleet
                    .backend(backend)
                    .is_some_and(|server| !server.running())
            {
                bail!("{backend} ended when {} was killed", part.name());
            }
        }
        Ok(())
    }
}
