//! The task that runs one broadcast.
//!
//! Who publishes stands in `actor/encoders.rs`, what becomes of the media in `actor/media.rs`, and what happens when
//! the stream starts, is interrupted, resumes and ends in `actor/states.rs`.

mod encoders;
mod media;
mod states;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_hls::{InitRecord, Packager};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::encoders::Newcomer;
use super::counts::Counts;
use super::figures::Meter;
use super::ledger::{Entry, Ledger};
use super::{Command, Encoder, Shared, Window};
use crate::config::Config;
use crate::domain::State;
use crate::error::Result;
use crate::media::Writer;

/// How often figures are read while media arrives, and players that wait are told that nothing has come.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// Seconds that are kept for whoever begins to watch the figures.
const SAMPLES: usize = 60;

/// Runs one broadcast from its first encoder to its end.
pub(crate) struct Actor {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    config: Arc<Config>,
    ledger: Ledger,
    shutdown: CancellationToken,
    packager: Packager,
    init: Option<InitRecord>,
    writer: Option<Writer>,
    /// A write failed and the packager is ahead of the journal: it has to go back before another encoder begins.
    is_ahead: bool,
    /// None until the first media.
    entry: Option<Entry>,
    encoder: Option<Encoder>,
    newcomer: Option<Newcomer>,
    /// When the stream ends unless somebody publishes; set while it is interrupted.
    grace: Option<Instant>,
    /// Until when the encoder has to have sent something that can be played; none once it has.
    proof: Option<Instant>,
    meter: Meter,
    counts: Counts,
    began: Instant,
    next_figures: Instant,
    ended: bool,
}

impl Actor {
    /// A broadcast that has not begun.
    pub(crate) fn new(
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        config: Arc<Config>,
        ledger: Ledger,
        shutdown: CancellationToken,
    ) -> Self {
        let packager = Packager::new(config.packager.clone());
        let now = Instant::now();
        Self {
            shared,
            commands,
            config,
            ledger,
            shutdown,
            packager,
            init: None,
            writer: None,
            is_ahead: false,
            entry: None,
            encoder: None,
            newcomer: None,
            grace: None,
            proof: None,
            meter: Meter::default(),
            counts: Counts::default(),
            began: now,
            next_figures: now + FIGURES_EVERY,
            ended: false,
        }
    }

    /// Takes up a broadcast that was running when the process stopped: it waits for its encoder as if that had just
    /// left. False when it had been decided to end it; then it has ended now.
    pub(crate) async fn recover(&mut self, entry: Entry) -> Result<bool> {
        let (writer, journal) = self.shared.folder.writer().await?;
        self.packager = Packager::resume(self.config.packager.clone(), journal.state());
        self.window().restore(&journal);
        self.init = journal.inits.last().cloned();
        self.meter = Meter::resume(&journal);
        self.writer = Some(writer);
        self.entry = Some(entry);
        if journal.ended {
            self.end().await;
            return Ok(false);
        }
        self.interrupted().await;
        self.grace = Some(Instant::now() + self.config.reconnect_grace);
        Ok(true)
    }

    /// Ends a stream that cannot be taken up.
    pub(crate) async fn give_up(&mut self, entry: Entry) {
        self.entry = Some(entry);
        self.end().await;
    }

    /// Runs until the stream has ended, nobody wants to begin it any more, or the service stops.
    pub(crate) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        let mut stopped = pin!(shutdown.cancelled());
        // Armed anew only when it would ring too late: most deadlines only ever move back.
        let mut alarm = pin!(sleep_until(self.timer()));
        loop {
            let timer = self.timer();
            if alarm.is_elapsed() || timer < alarm.deadline() {
                alarm.as_mut().reset(timer);
            }
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                () = alarm.as_mut() => self.timers().await,
                () = stopped.as_mut() => return self.stop_service().await,
            }
            if self.is_over() {
                return;
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Join { encoder, reply } => self.join(encoder, reply).await,
            Command::Media { encoder, batch, tags } => self.media(encoder, batch, tags).await,
            Command::Leave { encoder } => self.leave(encoder).await,
            Command::Dismiss { key, reason } => self.dismiss_key(&key, &reason).await,
            Command::Stop { reply } => {
                self.send_all_away("the stream was stopped by its owner");
                self.end().await;
                // The caller may have gone away.
                let _ = reply.send(self.entry.as_ref().map(|entry| entry.stream.clone()));
            }
        }
    }

    /// It has ended, or nobody is left who could begin it.
    fn is_over(&self) -> bool {
        self.ended || self.entry.is_none() && self.encoder.is_none() && self.newcomer.is_none()
    }

    fn timer(&self) -> Instant {
        let newcomer = self.newcomer.as_ref().map(|newcomer| newcomer.deadline);
        let figures = self.entry.as_ref().map(|_| self.next_figures);
        let far = Instant::now() + Duration::from_secs(3_600);
        [newcomer, self.silence(), figures]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }

    /// May come early.
    async fn timers(&mut self) {
        let now = Instant::now();
        if self
            .newcomer
            .as_ref()
            .is_some_and(|newcomer| newcomer.deadline <= now)
        {
            self.take_over("another encoder took over with the same key")
                .await;
        }
        if self.next_figures <= now {
            self.next_figures = now + FIGURES_EVERY;
            if self.encoder.is_some() {
                self.read_figures(now);
            }
            self.window().tick();
        }
        if self.silence().is_some_and(|end| end <= now) {
            self.fell_silent().await;
        }
    }

    fn read_figures(&mut self, now: Instant) {
        let figures = self
            .meter
            .read(now.duration_since(self.began), self.init.as_ref());
        if let Some(entry) = self
            .entry
            .as_mut()
            .filter(|entry| entry.stream.state == State::Live)
        {
            let sample = self.meter.sample(Timestamp::now(), &figures);
            {
                let mut samples = self.shared.samples.lock();
                if samples.len() == SAMPLES {
                    samples.pop_front();
                }
                samples.push_back(sample);
            }
            entry.stream.figures = figures;
            self.show_stream();
        }
    }

    // --- what readers see

    fn show_stream(&self) {
        self.shared
            .stream
            .send_replace(self.entry.as_ref().map(|entry| entry.stream.clone()));
    }

    /// What players see.
    fn window(&self) -> &Window {
        &self.shared.source
    }
}
