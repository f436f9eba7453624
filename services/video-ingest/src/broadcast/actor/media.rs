//! What becomes of the media: packaged, shown, stored.

use jiff::Timestamp;
use marquee_hls::{Init, Output, Packager, Segment, UtcMicros};

use super::Actor;
use crate::broadcast::Input;
use crate::error::{Error, Result, chain};
use crate::media::Writer;
use crate::relay::Tag;

impl Actor {
    pub(super) async fn media(&mut self, encoder: u64, batch: Vec<Input>, tags: Vec<Tag>) {
        if self.encoder.as_ref().is_none_or(|current| current.id != encoder) {
            return;
        }
        // Captions alone are no sign of life.
        if !batch.is_empty() {
            self.refuse_newcomer();
        }
        self.shared.relay.push(tags);
        let now = UtcMicros(Timestamp::now().as_microsecond());
        let before = self.meter.bytes();
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
                Ok(outputs) if outputs.is_empty() => continue,
                Ok(outputs) => self.outputs(outputs).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = stored {
                return self.failed(&error).await;
            }
        }
        self.counts.received.increment(self.meter.bytes() - before);
    }

    /// The encoder sent what cannot be packaged, or it cannot be stored.
    async fn failed(&mut self, error: &Error) {
        tracing::warn!(stream = %self.shared.name, error = %chain(error), "the encoder is sent away");
        self.take_over(&error.for_encoder()).await;
    }

    /// Shows and puts away what the packager gave out. After an error of the storage the packager is ahead of the journal.
    async fn outputs(&mut self, outputs: Vec<Output>) -> Result<()> {
        let mut outputs = outputs.into_iter().peekable();
        let mut shown = None;
        while let Some(output) = outputs.next() {
            let stored = match output {
                Output::Warning(warning) => {
                    self.counts.repairs.increment(1);
                    self.meter.repaired();
                    tracing::debug!(stream = %self.shared.name, %warning, "the timeline was repaired");
                    continue;
                }
                Output::Part(part) => {
                    // The last part and its segment are one change: those who wait are woken once.
                    let segment = match outputs.peek() {
                        Some(Output::Segment(segment)) if segment.record.msn == part.msn => {
                            Some(segment.record.clone())
                        }
                        _ => None,
                    };
                    shown = segment.as_ref().map(|segment| segment.msn);
                    self.window().part(part, segment);
                    continue;
                }
                Output::Init(init) => self.begin_generation(init).await,
                Output::Segment(segment) => {
                    // Players do not wait for the disk.
                    if shown != Some(segment.record.msn) {
                        self.window().segment(segment.record.clone());
                    }
                    self.store(segment).await
                }
            };
            if stored.is_err() {
                self.is_ahead = true;
                return stored;
            }
        }
        Ok(())
    }

    async fn begin_generation(&mut self, init: Init) -> Result<()> {
        self.on_air().await?;
        self.window().init(&init);
        let record = init.record.clone();
        let (writer, stored) = self.take_writer().await?.init(init).await;
        self.writer = Some(writer);
        stored?;
        self.init = Some(record);
        self.show_recording();
        Ok(())
    }

    /// What leaves the live playlist stays on disk: it is the recording.
    async fn store(&mut self, segment: Segment) -> Result<()> {
        let (writer, stored) = self.take_writer().await?.segment(&segment).await;
        self.writer = Some(writer);
        stored?;
        self.counts.segments.increment(1);
        self.show_recording();
        Ok(())
    }

    /// Whether what arrives is kept.
    fn show_recording(&mut self) {
        let state = self.writer.as_ref().map(Writer::state);
        if let (Some(entry), Some(state)) = (&mut self.entry, state)
            && entry.stream.recording != state
        {
            entry.stream.recording = state;
            self.show_stream();
        }
    }

    async fn take_writer(&mut self) -> Result<Writer> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => Ok(self.shared.folder.writer().await?.0),
        }
    }

    /// Puts away what the encoder has sent so far.
    pub(super) async fn flush(&mut self) {
        let outputs = self.packager.interrupt();
        if !self.is_ahead
            && let Err(error) = self.outputs(outputs).await
        {
            tracing::error!(stream = %self.shared.name, error = %chain(&error), "the end of what was received is not stored");
        }
        if self.is_ahead {
            self.go_back().await;
        }
    }

    /// Takes packager and journal back to the last whole segment. False when the journal cannot be had.
    pub(super) async fn go_back(&mut self) -> bool {
        // It holds the file that a line may be torn in.
        self.writer = None;
        match self.shared.folder.writer().await {
            Ok((writer, journal)) => {
                self.packager = Packager::resume(self.config.packager.clone(), journal.state());
                // The line that failed may be whole after all.
                self.window().restore(&journal);
                self.init = journal.inits.last().cloned();
                self.writer = Some(writer);
                self.is_ahead = false;
            }
            Err(error) => {
                tracing::error!(stream = %self.shared.name, error = %chain(&error), "the journal cannot be opened");
            }
        }
        !self.is_ahead
    }
}
