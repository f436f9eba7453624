//! The stream's states: what happens when it starts, is interrupted, resumes and ends.

use std::time::Duration;

use jiff::Timestamp;
use marquee_hls::Journal;
use tokio::time::Instant;

use super::Actor;
use super::encoders::refuse;
use crate::broadcast::Command;
use crate::broadcast::ledger::{Entry, Turn};
use crate::domain::LiveStream;
use crate::error::{Result, chain};

/// Between two tries to store a change, while the store does not take it.
const RETRY_EVERY: Duration = Duration::from_millis(500);
const RESTARTING: &str = "the server is restarting; reconnect";

impl Actor {
    /// Media that can be played arrives: the stream starts or resumes.
    pub(super) async fn on_air(&mut self) -> Result<()> {
        match &mut self.entry {
            None => {
                let mut entry = Entry::new(LiveStream::start(&self.shared.name, Timestamp::now()));
                self.ledger.started(&mut entry).await?;
                tracing::info!(stream = %self.shared.name, "the stream started");
                self.entry = Some(entry);
            }
            Some(entry) => {
                let before = entry.stream.clone();
                if entry.stream.resume() {
                    if let Err(error) = self.ledger.resumed(entry).await {
                        entry.stream = before;
                        return Err(error);
                    }
                    tracing::info!(stream = %self.shared.name, "the stream goes on");
                }
            }
        }
        self.grace = None;
        self.proof = None;
        self.counts.on_air(true);
        self.show_stream();
        Ok(())
    }

    /// The encoder is gone: what it sent is kept, and the grace period begins.
    pub(super) async fn interrupted(&mut self) {
        self.flush().await;
        self.window().interrupt();
        self.shared.relay.interrupt();
        self.proof = None;
        self.counts.on_air(false);
        let figures = self.meter.interrupt(self.began.elapsed(), self.init.as_ref());
        let Some(mut entry) = self.entry.take() else {
            return;
        };
        entry.stream.figures = figures;
        // Coming and going without sending anything does not make the grace period longer.
        if entry.stream.interrupt() {
            tracing::info!(stream = %self.shared.name, "the stream is interrupted");
            self.grace = Some(Instant::now() + self.config.reconnect_grace);
            let turn = Turn::Interrupted {
                grace: self.config.reconnect_grace,
                now: Timestamp::now(),
            };
            self.until_stored(&mut entry, &turn).await;
        }
        self.entry = Some(entry);
        self.show_stream();
    }

    /// The grace period is over, or the owner stopped the stream.
    pub(super) async fn end(&mut self) {
        self.flush().await;
        self.ended = true;
        self.counts.on_air(false);
        let figures = self.meter.interrupt(self.began.elapsed(), self.init.as_ref());
        let Some(mut entry) = self.entry.take() else {
            return;
        };
        entry.stream.figures = figures;
        if entry.stream.end(Timestamp::now()) {
            if let Some(writer) = self.writer.take()
                && let (_, Err(error)) = writer.end().await
            {
                tracing::error!(stream = %self.shared.name, error = %chain(&error), "the journal is not closed");
            }
            let journal = self.shared.folder.journal().await.unwrap_or_else(|error| {
                tracing::error!(stream = %self.shared.name, error = %chain(&error), "there is no recording");
                None
            });
            let turn = Turn::Ended(journal.unwrap_or_else(Journal::default));
            self.until_stored(&mut entry, &turn).await;
            tracing::info!(stream = %self.shared.name, "the stream ended");
            self.window().end();
        }
        self.entry = Some(entry);
        self.show_stream();
    }

    /// The service stops: what was received is kept, and the stream waits for the service to be back.
    pub(super) async fn stop_service(&mut self) {
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Media { encoder, batch, tags } => self.media(encoder, batch, tags).await,
                Command::Join { reply, .. } => refuse(reply, RESTARTING),
                // Whoever asked learns that the broadcast is not there any more.
                Command::Leave { .. } | Command::Dismiss { .. } | Command::Stop { .. } => {}
            }
        }
        self.send_all_away(RESTARTING);
        self.interrupted().await;
        self.window().close();
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
}
