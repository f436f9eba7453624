//! The task that runs one broadcast.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_hls::{InitRecord, Journal, Kind, MediaPlaylist, Output, Packager, UtcMicros};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::figures::Meter;
use super::ledger::{Entry, Ledger, Turn};
use super::{Command, Encoder, Input, Playlists, Shared};
use crate::config::Config;
use crate::domain::{LiveStream, State};
use crate::error::{Error, Result};
use crate::media::Writer;

/// How often figures are read while media arrives.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// Between two tries to store a change, while the store does not take it.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Runs one broadcast from its first encoder to its end.
pub(crate) struct Actor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) config: Arc<Config>,
    pub(crate) ledger: Ledger,
    pub(crate) shutdown: CancellationToken,
    packager: Packager,
    playlist: MediaPlaylist,
    init: Option<InitRecord>,
    writer: Option<Writer>,
    /// None until the first media.
    entry: Option<Entry>,
    encoder: Option<Encoder>,
    newcomer: Option<Newcomer>,
    /// When the stream ends unless media arrives; set while interrupted.
    grace: Option<Instant>,
    meter: Meter,
    began: Instant,
    next_figures: Instant,
}

/// An encoder that waits to see whether the one before it is alive.
struct Newcomer {
    encoder: Encoder,
    reply: oneshot::Sender<Result<(), String>>,
    deadline: Instant,
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
        let playlist = MediaPlaylist::new(Kind::Live {
            window: config.live_window,
        });
        let now = Instant::now();
        Self {
            shared,
            commands,
            config,
            ledger,
            shutdown,
            packager,
            playlist,
            init: None,
            writer: None,
            entry: None,
            encoder: None,
            newcomer: None,
            grace: None,
            meter: Meter::default(),
            began: now,
            next_figures: now + FIGURES_EVERY,
        }
    }

    /// Goes on with a broadcast that was running when the process stopped: it waits for its encoder as if that had just
    /// left.
    pub(crate) async fn recover(&mut self, entry: Entry) -> Result<()> {
        let (writer, journal) = self.shared.folder.writer().await?;
        self.packager = Packager::resume(self.config.packager.clone(), journal.state());
        self.playlist = journal.playlist(Kind::Live {
            window: self.config.live_window,
        });
        self.init = journal.inits.last().cloned();
        self.writer = Some(writer);
        self.entry = Some(entry);
        self.show_playlists();
        self.show_stream();
        self.interrupted().await;
        Ok(())
    }

    /// Runs until the stream has ended, nobody wants to begin it any more, or the service stops.
    pub(crate) async fn run(mut self) {
        loop {
            let shutdown = self.shutdown.clone();
            let timer = self.timer();
            let over = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => true,
                },
                () = sleep_until(timer) => self.timers().await,
                () = shutdown.cancelled() => {
                    self.stop_service().await;
                    true
                }
            };
            if over {
                return;
            }
        }
    }

    async fn command(&mut self, command: Command) -> bool {
        match command {
            Command::Join { encoder, reply } => self.join(encoder, reply),
            Command::Media { encoder, batch } => self.media(encoder, batch).await,
            Command::Leave { encoder } => return self.leave(encoder).await,
            Command::Dismiss { key, reason } => {
                if self.encoder.as_ref().is_some_and(|encoder| encoder.key == key) {
                    self.dismiss(reason).await;
                }
            }
            Command::Stop { reply } => {
                self.dismiss("the stream was stopped by its owner".to_owned())
                    .await;
                self.end().await;
                // The caller may have gone away.
                let _ = reply.send(self.entry.as_ref().map(|entry| entry.stream.clone()));
                return true;
            }
        }
        false
    }

    // --- encoders come and go

    fn join(&mut self, encoder: Encoder, reply: oneshot::Sender<Result<(), String>>) {
        if self.encoder.is_none() {
            self.welcome(encoder, reply);
        } else if self.newcomer.is_none() {
            let deadline = Instant::now() + self.config.takeover_wait;
            self.newcomer = Some(Newcomer {
                encoder,
                reply,
                deadline,
            });
        } else {
            refuse(reply);
        }
    }

    fn welcome(&mut self, encoder: Encoder, reply: oneshot::Sender<Result<(), String>>) {
        // A newcomer that did not wait for the answer will not send a Leave either.
        if reply.send(Ok(())).is_ok() {
            self.encoder = Some(encoder);
        }
    }

    async fn leave(&mut self, encoder: u64) -> bool {
        if self
            .newcomer
            .as_ref()
            .is_some_and(|newcomer| newcomer.encoder.id == encoder)
        {
            self.newcomer = None;
        }
        if self.encoder.as_ref().is_some_and(|current| current.id == encoder) {
            self.encoder = None;
            self.interrupted().await;
            if let Some(newcomer) = self.newcomer.take() {
                self.welcome(newcomer.encoder, newcomer.reply);
            }
        }
        self.entry.is_none() && self.encoder.is_none()
    }

    /// Sends the encoder away; what it sent is kept.
    async fn dismiss(&mut self, reason: String) {
        if let Some(encoder) = self.encoder.take() {
            // The connection may have ended by itself.
            let _ = encoder.dismiss.send(reason);
            self.interrupted().await;
        }
    }

    // --- media

    async fn media(&mut self, encoder: u64, batch: Vec<Input>) {
        if self.encoder.as_ref().is_none_or(|current| current.id != encoder) {
            return;
        }
        if let Some(newcomer) = self.newcomer.take() {
            refuse(newcomer.reply);
        }
        let now = UtcMicros(Timestamp::now().as_microsecond());
        for input in batch {
            let outputs = match input {
                Input::Expected(expected) => {
                    self.packager.expect(expected);
                    continue;
                }
                Input::Config(config) => {
                    self.packager.push_config(config);
                    continue;
                }
                Input::Frame(frame) => {
                    self.meter.frame(&frame);
                    self.packager.push_frame(frame, now)
                }
            };
            let stored = match outputs {
                Ok(outputs) => self.outputs(outputs).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = stored {
                tracing::warn!(stream = %self.shared.name, error = %chain(&error), "the publisher is sent away");
                return self.dismiss(chain(&error)).await;
            }
        }
    }

    async fn outputs(&mut self, outputs: Vec<Output>) -> Result<()> {
        for output in outputs {
            match output {
                Output::Init(init) => {
                    self.on_air().await?;
                    let record = init.record.clone();
                    let (writer, stored) = self.take_writer().await?.init(init).await;
                    self.writer = Some(writer);
                    stored?;
                    self.init = Some(record);
                }
                Output::Segment(segment) => {
                    let (writer, stored) = self.take_writer().await?.segment(&segment).await;
                    self.writer = Some(writer);
                    stored?;
                    // What leaves the live playlist stays on disk: it is the recording.
                    self.playlist.push(segment.record);
                    self.show_playlists();
                }
                Output::Part(_) => {}
                Output::Warning(warning) => {
                    metrics::counter!("marquee_packager_warnings_total").increment(1);
                    tracing::debug!(stream = %self.shared.name, %warning, "the timeline was repaired");
                }
            }
        }
        Ok(())
    }

    async fn take_writer(&mut self) -> Result<Writer> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => Ok(self.shared.folder.writer().await?.0),
        }
    }

    // --- the stream's states

    /// Media that can be played arrives: the stream starts or resumes.
    async fn on_air(&mut self) -> Result<()> {
        match &mut self.entry {
            None => {
                let mut entry = Entry::new(LiveStream::start(&self.shared.name, Timestamp::now()));
                self.ledger.started(&mut entry).await?;
                tracing::info!(stream = %self.shared.name, "the stream started");
                self.entry = Some(entry);
            }
            Some(entry) => {
                if entry.stream.resume() {
                    if let Err(error) = self.ledger.resumed(entry).await {
                        entry.stream.interrupt();
                        return Err(error);
                    }
                    tracing::info!(stream = %self.shared.name, "the stream goes on");
                }
            }
        }
        self.grace = None;
        self.show_stream();
        Ok(())
    }

    /// The encoder is gone: what it sent is kept, and the grace period begins.
    async fn interrupted(&mut self) {
        self.flush().await;
        self.meter.interrupt();
        self.grace = Some(Instant::now() + self.config.reconnect_grace);
        let now = Timestamp::now();
        let Some(mut entry) = self.entry.take() else {
            return;
        };
        if entry.stream.interrupt() {
            tracing::info!(stream = %self.shared.name, "the stream is interrupted");
            let turn = Turn::Interrupted {
                grace: self.config.reconnect_grace,
                now,
            };
            self.until_stored(&mut entry, &turn).await;
        }
        self.entry = Some(entry);
        self.show_stream();
    }

    /// The grace period is over, or the owner stopped the stream.
    async fn end(&mut self) {
        self.flush().await;
        let Some(mut entry) = self.entry.take() else {
            return;
        };
        if entry.stream.end(Timestamp::now()) {
            if let Some(writer) = self.writer.take() {
                let (_, stored) = writer.end().await;
                warn(&self.shared, stored);
            }
            let journal = match self.shared.folder.journal().await {
                Ok(journal) => journal.unwrap_or_default(),
                Err(error) => {
                    warn(&self.shared, Err(error));
                    Journal::default()
                }
            };
            self.until_stored(&mut entry, &Turn::Ended(journal)).await;
            tracing::info!(stream = %self.shared.name, "the stream ended");
            self.playlist.end();
            self.show_playlists();
        }
        self.entry = Some(entry);
        self.show_stream();
    }

    /// The service stops: what was received is kept, and the stream goes on when the service is back.
    async fn stop_service(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            let _ = encoder
                .dismiss
                .send("the server is restarting; reconnect".to_owned());
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        let outputs = self.packager.interrupt();
        // Without an init nothing can have been put out.
        if !outputs.is_empty() {
            let stored = self.outputs(outputs).await;
            warn(&self.shared, stored);
        }
    }

    /// Tries until the store takes it: what encoders and viewers saw must not be forgotten.
    async fn until_stored(&self, entry: &mut Entry, turn: &Turn) {
        while let Err(error) = self.ledger.turned(entry, turn).await {
            tracing::error!(stream = %self.shared.name, error = %chain(&error), "the stream's state is not stored; trying again");
            tokio::select! {
                () = tokio::time::sleep(RETRY_EVERY) => {}
                // At the next start the stream is found as it was stored last.
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    // --- time

    fn timer(&self) -> Instant {
        let newcomer = self.newcomer.as_ref().map(|newcomer| newcomer.deadline);
        let figures = self.encoder.as_ref().map(|_| self.next_figures);
        let far = Instant::now() + Duration::from_secs(3_600);
        [newcomer, self.grace, figures]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }

    async fn timers(&mut self) -> bool {
        let now = Instant::now();
        if self
            .newcomer
            .as_ref()
            .is_some_and(|newcomer| newcomer.deadline <= now)
            && let Some(newcomer) = self.newcomer.take()
        {
            self.dismiss("another encoder took over with the same key".to_owned())
                .await;
            self.welcome(newcomer.encoder, newcomer.reply);
        }
        if self.next_figures <= now {
            self.next_figures = now + FIGURES_EVERY;
            self.read_figures(now);
        }
        // An encoder that is connected and sends nothing does not keep a stream alive.
        if self.grace.is_some_and(|grace| grace <= now) && self.entry.is_some() {
            self.dismiss("no media arrived within the reconnect grace period".to_owned())
                .await;
            self.end().await;
            return true;
        }
        self.entry.is_none() && self.encoder.is_none() && self.newcomer.is_none()
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

    fn show_playlists(&self) {
        self.shared
            .playlists
            .send_replace(Playlists::render(self.init.as_ref(), &self.playlist).map(Arc::new));
    }
}

fn refuse(reply: oneshot::Sender<Result<(), String>>) {
    // The newcomer may have gone away.
    let _ = reply.send(Err(
        "the channel is on the air with another encoder; stop that one first".to_owned(),
    ));
}

fn warn(shared: &Shared, stored: Result<()>) {
    if let Err(error) = stored {
        tracing::error!(stream = %shared.name, error = %chain(&error), "media is not stored");
    }
}

/// An error with its sources, on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
