//! Who publishes: one encoder at a time, and at most one that waits to see whether the first is alive.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Actor, Encoder};

/// Why an encoder is turned away while another one publishes.
const OCCUPIED: &str = "the channel is on the air with another encoder; stop that one first";
/// Why an encoder is turned away when what it would send cannot be kept.
const NO_STORAGE: &str = "the server cannot store the stream now; try again";

/// The answer to an encoder that wants to publish: yes, or a reason to refuse it.
type Reply = oneshot::Sender<Result<(), String>>;

/// An encoder that waits to see whether the one before it is alive.
pub(super) struct Newcomer {
    encoder: Encoder,
    reply: Reply,
    pub(super) deadline: Instant,
}

impl Actor {
    pub(super) async fn join(&mut self, encoder: Encoder, reply: Reply) {
        if self.encoder.is_none() && self.newcomer.is_none() {
            self.welcome(encoder, reply).await;
        } else if self.newcomer.is_none() {
            let deadline = Instant::now() + self.config.takeover_wait;
            self.newcomer = Some(Newcomer {
                encoder,
                reply,
                deadline,
            });
        } else {
            refuse(reply, OCCUPIED);
        }
    }

    async fn welcome(&mut self, encoder: Encoder, reply: Reply) {
        if self.is_ahead && !self.go_back().await {
            return refuse(reply, NO_STORAGE);
        }
        // A newcomer that did not wait for the answer will not send a Leave either.
        if reply.send(Ok(())).is_ok() {
            let now = Instant::now();
            let packager = &self.config.packager;
            self.proof = Some(now + packager.keyframe_limit + packager.missing_track_wait);
            if self.entry.is_none() {
                self.shared.folder.record(encoder.record);
            }
            self.meter.begin(now.duration_since(self.began));
            self.encoder = Some(encoder);
        }
    }

    pub(super) async fn leave(&mut self, encoder: u64) {
        if self.encoder.as_ref().is_some_and(|current| current.id == encoder) {
            self.encoder = None;
            self.interrupted().await;
            self.welcome_newcomer().await;
        }
    }

    /// Sends away whoever publishes, or wants to, with this key.
    pub(super) async fn dismiss_key(&mut self, key: &str, reason: &str) {
        if let Some(newcomer) = self.newcomer.take_if(|newcomer| newcomer.encoder.key == key) {
            refuse(newcomer.reply, reason);
        }
        if self.encoder.as_ref().is_some_and(|encoder| encoder.key == key) {
            self.take_over(reason).await;
        }
    }

    /// The encoder has to go; whoever waits comes in its place.
    pub(super) async fn take_over(&mut self, reason: &str) {
        self.send_away(reason);
        self.interrupted().await;
        self.welcome_newcomer().await;
    }

    async fn welcome_newcomer(&mut self) {
        if let Some(newcomer) = self.newcomer.take() {
            self.welcome(newcomer.encoder, newcomer.reply).await;
        }
    }

    /// The encoder is alive: nobody can take its place.
    pub(super) fn refuse_newcomer(&mut self) {
        if let Some(newcomer) = self.newcomer.take() {
            refuse(newcomer.reply, OCCUPIED);
        }
    }

    pub(super) fn send_away(&mut self, reason: &str) {
        if let Some(encoder) = self.encoder.take() {
            // The connection may have ended by itself.
            let _ = encoder.dismiss.send(reason.to_owned());
        }
    }

    pub(super) fn send_all_away(&mut self, reason: &str) {
        self.send_away(reason);
        if let Some(newcomer) = self.newcomer.take() {
            refuse(newcomer.reply, reason);
        }
    }

    /// When nothing that can be played has come for too long. An encoder that is connected and sends nothing of use
    /// keeps neither the stream alive nor its place.
    pub(super) fn silence(&self) -> Option<Instant> {
        match &self.encoder {
            None => self.grace,
            Some(_) => self.proof.map(|proof| proof.max(self.grace.unwrap_or(proof))),
        }
    }

    pub(super) async fn fell_silent(&mut self) {
        if self.newcomer.is_some() {
            return self
                .take_over("another encoder took over with the same key")
                .await;
        }
        self.send_away("nothing that can be played arrived in time");
        self.end().await;
    }
}

pub(super) fn refuse(reply: Reply, reason: &str) {
    // It may have gone away.
    let _ = reply.send(Err(reason.to_owned()));
}
