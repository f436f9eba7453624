use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::backends::{Backend, Home};
use marquee_fleet::{Fleet, Gateway, Kind, Options, Part};
use marquee_testkit::{Ready, program};
use marquee_tests::{Api, uuid};
use tokio::task::JoinSet;

use crate::bus::Bus;
use crate::cast::Member;
use crate::checks::{self, Ledgers};
use crate::client::Client;
use crate::kills::{self, Killer};
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::probes::{self, Canary};
use crate::random::Random;
use crate::stage::{Air, Playlists, Stage};
use crate::table::table;
use crate::viewer::Streams;
use crate::writer::{WRITERS, Writer};

/// How many parts are frozen besides, when nobody says otherwise.
const PAUSES: u64 = 3;
const PUBLISHERS: usize = 20;
/// Of the publishers, those whose broadcasts end and begin again.
const CHANGING: usize = 4;
const VIEWERS: usize = 60;
const INBOXES: usize = 120;
const EVENT_STREAMS: usize = 50;
const AUDIENCE_STREAMS: usize = 30;
/// Streams on one connection; NGINX takes 128.
const PER_CONNECTION: usize = 40;

fn setting(name: &str, default: u64) -> Result<u64> {
    std::env::var(name).map_or(Ok(default), |value| {
        value
            .parse()
            .with_context(|| format!("{name} is {value:?}, which is no number"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs programs"]
async fn each_part_is_killed_and_nothing_is_lost_or_done_twice() -> Result<()> {
    let kills = setting("MARQUEE_CHAOS_KILLS", Part::all().len() as u64)? as usize;
    let pauses = setting("MARQUEE_CHAOS_PAUSES", PAUSES)? as usize;
    let seed = setting("MARQUEE_CHAOS_SEED", u64::from(std::process::id()))?;
    println!("chaos: {kills} kills, {pauses} pauses, seed {seed}");
    // PostgreSQL is another user, who must get there: no folder of `tempfile`.
    let folder = std::env::temp_dir().join(format!("marquee-chaos-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("pages"))?;
    let outcome = run(&folder, kills, pauses, seed).await;
    match &outcome {
        Ok(()) => {
            std::fs::remove_dir_all(&folder)?;
        }
        Err(_) => {
            std::fs::remove_dir_all(folder.join("programs"))?;
            println!("chaos: the logs are in {}", folder.display());
        }
    }
    outcome
}

fn start(folder: &Path) -> Result<Fleet> {
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs)?;
    // Copies, since what is started again must be what was killed, whatever is built meanwhile.
    for name in Kind::ALL.map(Kind::program).into_iter().chain(["marquee"]) {
        std::fs::copy(program(name)?, programs.join(name))?;
    }
    std::fs::write(folder.join("pages/index.html"), "<title>Marquee</title>")?;
    let options = Options {
        folder: folder.to_owned(),
        programs,
        nginx: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx"),
        pages: folder.join("pages"),
        home: Home::default()?,
        gateway: Gateway::on_free_ports()?,
        otlp: None,
        calls_per_second: 10_000,
        settings: vec![
            (
                None,
                "LOG".into(),
                std::env::var("MARQUEE_CHAOS_LOG").unwrap_or_else(|_| "info".into()),
            ),
            // Nobody signs in again here: that is not what is tried.
            (
                Some(Kind::Subscriptions),
                "ACCESS_TOKEN_LIFETIME".into(),
                "240".into(),
            ),
            // Long enough for a server that comes back on a busy machine.
            (Some(Kind::VideoIngest), "RECONNECT_GRACE".into(), "90".into()),
        ],
    };
    let never = AtomicBool::new(false);
    Ok(Fleet::start(options, &never, &mut |line| println!("  {line}"))?)
}

async fn run(folder: &Path, kills: usize, pauses: usize, seed: u64) -> Result<()> {
    let begun = Instant::now();
    let mut fleet = tokio::task::block_in_place(|| start(folder))?;
    let place: Ready = serde_json::from_value(fleet.places())?;
    let kafka = fleet.backend(Backend::Kafka).context("no Kafka")?.address();
    println!(
        "chaos: the fleet is ready after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let client = Client {
        api: Api::at(&place).await?,
        meter: Meter::default(),
        over: Arc::default(),
    };
    let mut random = Random::new(seed);
    let plan = kills::plan(kills, pauses, &mut random);
    let canary = Canary::new(&client).await?;
    let mut killer = Killer {
        fleet,
        client: client.clone(),
        canary,
        bus: Bus::open(&kafka)?,
        metrics: Metrics::default(),
        random,
    };

    let (writers, mut stages) = cast(&client, seed).await?;
    let (viewers, mut streams) = audience(&client, &place, &writers, &mut stages, &mut killer).await?;
    for stage in &mut stages {
        stage.open(&client).await?;
    }
    for number in 0..EVENT_STREAMS {
        streams.event(
            &client.on(&place, number).await?,
            &stages[number % PUBLISHERS].first_event,
        );
    }
    for number in 0..AUDIENCE_STREAMS {
        streams.audience(
            &client.on(&place, number).await?,
            &writers[number % WRITERS].watched,
        );
    }
    let playlists = Playlists::new(&place.pages);
    let air = Air {
        program: folder.join("programs/marquee"),
        film: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../services/marquee/assets/demo.flv"),
        rtmp: place.rtmp.clone(),
        log: folder.join("logs/publishers.log"),
        playlists: playlists.clone(),
    };
    let probes = probes::start(&client, &viewers[0].member, &stages[0], &playlists);
    let mut publishing = JoinSet::new();
    for stage in stages {
        publishing.spawn(stage.run(client.clone(), air.clone()));
    }
    let mut writing = JoinSet::new();
    for writer in writers {
        let client = client.on(&place, writer.number).await?;
        writing.spawn(writer.run(client));
    }
    println!(
        "chaos: the load is on after {:.0} s: {PUBLISHERS} publishers, {} streams of viewers, {WRITERS} writers",
        begun.elapsed().as_secs_f64(),
        streams.len()
    );
    tokio::time::sleep(Duration::from_secs(8)).await;
    let loaded = Instant::now();

    let mut rows = Vec::new();
    let mut struck = Ok(());
    for (number, (part, blow)) in plan.into_iter().enumerate() {
        match killer.strike(part, blow).await {
            Ok(row) => {
                println!(
                    "chaos: {:2} {} away {:.1} s, ready {:.1} s, whole after {:.1} s, {} calls failed, {} streams reopened, {:.0} \
                     replayed",
                    number + 1,
                    part.name(),
                    row.away.as_secs_f64(),
                    row.ready.as_secs_f64(),
                    row.whole.as_secs_f64(),
                    row.cost.failures,
                    row.cost.reopened,
                    row.replayed
                );
                rows.push(row);
            }
            Err(error) => {
                struck = Err(error);
                break;
            }
        }
    }
    let under_load = loaded.elapsed();
    client.over.store(true, Ordering::Relaxed);
    let sums = vec![format!(
        "seed {seed}; {:.0} s under load, {} calls succeeded",
        under_load.as_secs_f64(),
        client.meter.total()
    )];
    let text = table(&rows, &sums);
    println!("\n{text}");
    struck?;

    let mut ledgers = Ledgers {
        writers: Vec::new(),
        stages: Vec::new(),
        viewers,
        streams,
        playlists,
        rows,
    };
    while let Some(writer) = writing.join_next().await {
        ledgers.writers.push(writer?);
    }
    println!(
        "chaos: the writers are done after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    while let Some(stage) = publishing.join_next().await {
        ledgers.stages.push(stage??);
    }
    for probe in probes {
        probe.await?;
    }
    println!(
        "chaos: the load is off after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let sums = checks::all(&mut killer, &place, &mut ledgers, folder).await?;
    let text = table(
        &ledgers.rows,
        &[
            sums,
            vec![text_of(
                under_load,
                seed,
                ledgers.writers.iter().map(|writer| writer.writes).sum(),
            )],
        ]
        .concat(),
    );
    println!("{text}");
    let file = program("marquee")?;
    let file = file
        .ancestors()
        .nth(2)
        .context("no target folder")?
        .join("chaos.md");
    std::fs::write(&file, text)?;
    println!(
        "chaos: {} after {:.0} s",
        file.display(),
        begun.elapsed().as_secs_f64()
    );
    let faults = client.meter.faults();
    ensure!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    tokio::task::block_in_place(|| killer.fleet.stop())?;
    Ok(())
}

fn text_of(under_load: Duration, seed: u64, writes: usize) -> String {
    format!(
        "seed {seed}, {:.0} s under load, {writes} writes acknowledged ({:.0}/s in all, outages included)",
        under_load.as_secs_f64(),
        writes as f64 / under_load.as_secs_f64()
    )
}

impl Client {
    /// The same on a connection of its own, for every so many.
    pub(crate) async fn on(&self, place: &Ready, number: usize) -> Result<Self> {
        if !number.is_multiple_of(PER_CONNECTION) {
            return Ok(self.clone());
        }
        Ok(Self {
            api: Api::at(place).await?,
            ..self.clone()
        })
    }
}

async fn cast(client: &Client, seed: u64) -> Result<(Vec<Writer>, Vec<Stage>)> {
    let tag = &uuid()[..8];
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(client, tag, number, seed).await?);
    }
    let mut stages = Vec::new();
    for number in 0..PUBLISHERS {
        stages.push(Stage::new(client, tag, number, number < CHANGING).await?);
    }
    Ok((writers, stages))
}

/// Somebody who watches, and what is followed.
pub(crate) struct Viewer {
    pub(crate) member: Member,
    /// The writer's channel.
    pub(crate) writer: usize,
    pub(crate) stages: Vec<String>,
}

async fn audience(
    client: &Client,
    place: &Ready,
    writers: &[Writer],
    stages: &mut [Stage],
    killer: &mut Killer,
) -> Result<(Vec<Viewer>, Streams)> {
    let mut viewers = Vec::new();
    let mut streams = Streams::default();
    let tag = &uuid()[..8];
    let mut connection = client.clone();
    for number in 0..VIEWERS {
        let member = client
            .register(&format!("viewer{number}-{tag}@example.org"))
            .await?;
        if (number * INBOXES / VIEWERS).is_multiple_of(PER_CONNECTION) {
            connection = client.on(place, 0).await?;
        }
        // Several devices each.
        for _ in 0..INBOXES / VIEWERS {
            streams.inbox(&connection, &member);
        }
        let writer = number % WRITERS;
        client.follow(&member, &writers[writer].channel).await?;
        let both =
            [number % PUBLISHERS, (number + 7) % PUBLISHERS].map(|stage| stages[stage].channel.clone());
        for channel in &both {
            client.follow(&member, channel).await?;
        }
        viewers.push(Viewer {
            member,
            writer,
            stages: both.to_vec(),
        });
    }
    // From now on everybody who follows is told.
    checks::settled(killer, Duration::from_secs(60)).await?;
    Ok((viewers, streams))
}
