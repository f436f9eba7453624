//! Channels on the air: a publisher each, which is started again when it ends. Some broadcasts are stopped after a while,
//! and the next one begins: the journey of an event from scheduled to its recording, again and again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use marquee_proto::events::v1::{Event, EventState};
use marquee_proto::video_ingest::v1::StopLiveStreamRequest;
use parking_lot::Mutex;
use tokio::process::{Child, Command};

use crate::cast::Member;
use crate::client::Client;
use crate::meter::Meter;
use crate::probes::get;

/// How long a broadcast of a stage that changes is on the air.
const ON_THE_AIR: Duration = Duration::from_secs(20);
/// How long an event may take to go live, end, or have its recording, with a part away in between.
const PATIENCE: Duration = Duration::from_secs(150);
const PAUSE: Duration = Duration::from_millis(700);

/// A channel with its publisher.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) creator: Member,
    pub(crate) channel: String,
    pub(crate) first_event: String,
    key: String,
    /// Whether its broadcasts are stopped and begun again.
    changes: bool,
}

/// What became of a stage.
pub(crate) struct Told {
    pub(crate) stage: Stage,
    /// Its events in order; all have gone live, all have ended, all have a recording.
    pub(crate) events: Vec<String>,
    /// How often the publisher was started again.
    pub(crate) restarts: usize,
}

impl Stage {
    pub(crate) async fn new(client: &Client, tag: &str, number: usize, changes: bool) -> Result<Self> {
        let creator = client
            .register(&format!("stage{number}-{tag}@example.org"))
            .await?;
        let channel = client
            .channel(&creator, &format!("stage{number}-{tag}"))
            .await?
            .name;
        let key = client.stream_key(&creator, &channel).await?;
        Ok(Self {
            creator,
            channel,
            first_event: String::new(),
            key,
            changes,
        })
    }

    /// Schedules the first event, so that those who follow the stage by now are told of it.
    pub(crate) async fn open(&mut self, client: &Client) -> Result<()> {
        self.first_event = self.next_event(client, 0).await?;
        Ok(())
    }

    async fn next_event(&self, client: &Client, number: usize) -> Result<String> {
        let title = format!("On stage {number} of {}", self.channel);
        Ok(client.schedule(&self.creator, &self.channel, &title).await?.name)
    }

    /// Publishes until the load is over, then ends the last broadcast.
    pub(crate) async fn run(self, client: Client, air: Air) -> Result<Told> {
        let mut events = vec![self.first_event.clone()];
        let mut restarts = 0;
        loop {
            let event = events.last().context("no event")?.clone();
            let mut publisher = air.publish(&self.key)?;
            let mut live_since = None;
            let begun = Instant::now();
            while !client.is_over() {
                if publisher.try_wait()?.is_some() {
                    restarts += 1;
                    client.meter.reopened();
                    publisher = air.publish(&self.key)?;
                }
                if live_since.is_none() {
                    let found = client.event(&event).await?;
                    if found.state() == EventState::Live {
                        air.playlists.add(&found);
                        live_since = Some(Instant::now());
                    } else if begun.elapsed() > PATIENCE {
                        client.meter.fault(format!(
                            "{event} did not go live in {PATIENCE:?}: {:?}",
                            found.state()
                        ));
                        live_since = Some(Instant::now());
                    }
                }
                if self.changes && live_since.is_some_and(|since| since.elapsed() > ON_THE_AIR) {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            let over = client.is_over();
            if live_since.is_none() && over {
                // It was to begin when the load was over: that is waited for now.
                self.until(&client, &event, "go live", |found| {
                    air.playlists.add(found);
                    found.state() != EventState::Scheduled
                })
                .await?;
            }
            let _ = publisher.kill().await;
            self.stop(&client, &event).await?;
            if over {
                return Ok(Told {
                    stage: self,
                    events,
                    restarts,
                });
            }
            events.push(self.next_event(&client, events.len()).await?);
        }
    }

    /// Ends the broadcast, and waits until its event has ended and has its recording.
    async fn stop(&self, client: &Client, event: &str) -> Result<()> {
        let request = StopLiveStreamRequest {
            name: format!("{}/liveStreams/-", self.channel),
        };
        let stopped = client
            .insist(
                "stream",
                Some(&self.creator.person),
                &request,
                |api, request| async move { api.live_streams().stop_live_stream(request).await },
            )
            .await;
        if let Err(status) = stopped
            && !matches!(
                status.code(),
                // The first attempt did it, and its answer was lost.
                tonic::Code::NotFound | tonic::Code::FailedPrecondition
            )
        {
            client.meter.fault(format!("stop was refused: {status}"));
        }
        self.until(client, event, "end", |found| found.state() == EventState::Ended)
            .await?;
        self.until(client, event, "have its recording", |found| {
            !found.recording_path.is_empty()
        })
        .await
    }

    async fn until(
        &self,
        client: &Client,
        event: &str,
        what: &str,
        fits: impl Fn(&Event) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = client.event(event).await?;
            if fits(&found) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                client
                    .meter
                    .fault(format!("{event} did not {what} in {PATIENCE:?}: {found:?}"));
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How one gets on the air.
#[derive(Clone)]
pub(crate) struct Air {
    pub(crate) program: PathBuf,
    pub(crate) film: PathBuf,
    /// `rtmp://host:port/live`.
    pub(crate) rtmp: String,
    pub(crate) log: PathBuf,
    pub(crate) playlists: Playlists,
}

impl Air {
    fn publish(&self, key: &str) -> Result<Child> {
        let log = log(&self.log)?;
        let child = Command::new(&self.program)
            .args(["--log", "warn", "publish"])
            .arg(&self.film)
            .arg(format!("{}/{key}", self.rtmp))
            .arg("--loop")
            .env("TOKIO_WORKER_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| self.program.display().to_string())
    }
}

fn log(path: &Path) -> Result<std::fs::File> {
    Ok(std::fs::OpenOptions::new().create(true).append(true).open(path)?)
}

/// What players see of the streams: media sequences only ever grow, to their end.
#[derive(Clone)]
pub(crate) struct Playlists {
    address: String,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
}

/// What was seen of one stream.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) event: String,
    /// Of the first segment in the newest playlist.
    pub(crate) media_sequence: u64,
    /// Of the newest segment there was, from 1; a live playlist begins with gaps, which count.
    pub(crate) newest: u64,
    /// Segments with media there were until now, by the number in the newest one's name.
    pub(crate) segments: u64,
    pub(crate) ended: bool,
}

impl Playlists {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            seen: Arc::default(),
        }
    }

    fn add(&self, event: &Event) {
        if !event.playback_path.is_empty() {
            let path = event.playback_path.replace("index.m3u8", "media.m3u8");
            let mut seen = self.seen.lock();
            seen.entry(path).or_default().event.clone_from(&event.name);
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Seen> {
        self.seen.lock().clone()
    }

    /// Looks at every stream that goes on, as a player does.
    pub(crate) async fn look(&self, meter: &Meter) {
        let on_the_air = self.all().into_iter().filter(|(_, seen)| !seen.ended);
        for (path, _) in on_the_air {
            match get(&self.address, &path).await {
                Ok((200, body)) => {
                    meter.success("playlist");
                    self.note(meter, &path, &String::from_utf8_lossy(&body));
                }
                // 404 of a stream that is long over, and of one that is not known to a server that has just begun.
                Ok(_) | Err(_) => meter.failure(),
            }
        }
    }

    fn note(&self, meter: &Meter, path: &str, text: &str) {
        let media_sequence = text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse::<u64>().ok())
            .unwrap_or(0);
        let segments = text.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64;
        let mut all = self.seen.lock();
        let seen = all.entry(path.to_owned()).or_default();
        if media_sequence < seen.media_sequence || media_sequence + segments < seen.newest {
            meter.fault(format!(
                "{path} went back from {}..{} to {media_sequence}..{}",
                seen.media_sequence,
                seen.newest,
                media_sequence + segments
            ));
        }
        seen.media_sequence = media_sequence;
        seen.newest = media_sequence + segments;
        let named = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("segment-")?
                    .strip_suffix(".m4s")?
                    .parse::<u64>()
                    .ok()
            })
            .max();
        seen.segments = seen.segments.max(named.map_or(0, |last| last + 1));
        seen.ended = text.contains("#EXT-X-ENDLIST");
    }
}
