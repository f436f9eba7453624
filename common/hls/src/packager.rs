//! The state machine that turns frames into parts and segments.

mod config;
mod output;
mod probe;
mod segmenter;

pub use config::{Config, Expected, MediaConfig};
pub use output::{Init, Output, Segment, State, Warning};

use std::time::Duration;

use self::probe::{Arrived, Probe};
use self::segmenter::{Layout, Picture, Segmenter};
use crate::fmp4::{VIDEO_TIMESCALE, write_init};
use crate::timeline::{Clock, Grid, Origin, SampleClock, SampleTime};
use crate::{AudioConfig, Error, Frame, InitRecord, Result, Track, UtcMicros, VideoConfig};

/// Turns configurations and frames of one stream into initialization segments, parts and segments. It lives as long as the
/// stream: publishers come and go between [`Packager::interrupt`] and the next frame.
#[derive(Debug)]
pub struct Packager {
    config: Config,
    expected: Option<Expected>,
    announced: Tracks,
    phase: Phase,
    clock: Clock,
    segmenter: Segmenter,
    warned: Warned,
    /// What a frame that was refused had completed.
    undelivered: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tracks {
    video: Option<VideoConfig>,
    audio: Option<AudioConfig>,
}

#[derive(Debug)]
enum Phase {
    Probing(Probe),
    Running(Running),
}

/// A generation that is being written.
#[derive(Debug)]
struct Running {
    origin: Origin,
    active: Tracks,
    grid: Grid,
    samples: Option<SampleClock>,
    /// Sound came that the generation has no track for.
    audio_waits: bool,
    video_changed: bool,
    last_key_ms: i64,
    last_audio_ms: i64,
}

/// Which warnings were given since the publish began.
#[derive(Debug, Default)]
struct Warned {
    video_before_config: bool,
    audio_before_config: bool,
    before_keyframe: bool,
}

impl Packager {
    /// A new stream.
    pub fn new(config: Config) -> Self {
        Self::resume(config, State::default())
    }

    /// A stream that goes on after what is stored, see [`crate::Journal::state`].
    pub fn resume(config: Config, state: State) -> Self {
        let segmenter = Segmenter::new(&config, state);
        Self {
            clock: new_clock(&config, &segmenter),
            config,
            expected: None,
            announced: Tracks::default(),
            phase: Phase::Probing(Probe::default()),
            segmenter,
            warned: Warned::default(),
            undelivered: Vec::new(),
        }
    }

    /// Where the stream stands after the last segment that was given out.
    pub fn state(&self) -> State {
        self.segmenter.state().clone()
    }

    /// Takes what the publisher's metadata announces, which saves the wait for a track that never comes.
    pub fn expect(&mut self, expected: Expected) {
        self.expected = Some(expected);
    }

    /// Takes a sequence header. The same one again changes nothing; another one starts a new generation: at the next
    /// keyframe, or at once for audio only.
    pub fn push_config(&mut self, config: MediaConfig) {
        match config {
            MediaConfig::Video(video) => {
                self.announced.video = Some(video.with_size_of(self.announced.video.as_ref()));
            }
            MediaConfig::Audio(audio) => self.announced.audio = Some(audio),
        }
        if let Phase::Running(running) = &mut self.phase {
            running.video_changed = running.active.video != self.announced.video;
        }
    }

    /// Takes a frame and gives out what it completes. `now` is when it came in.
    ///
    /// # Errors
    /// [`Error::KeyframeInterval`] if no keyframe came for too long, [`Error::Container`]. The publisher is to be refused;
    /// [`Self::interrupt`] still gives out what was received.
    pub fn push_frame(&mut self, frame: Frame, now: UtcMicros) -> Result<Vec<Output>> {
        let mut out = std::mem::take(&mut self.undelivered);
        match self.take_frame(frame, now, &mut out) {
            Ok(()) => Ok(out),
            Err(error) => {
                self.undelivered = out;
                Err(error)
            }
        }
    }

    fn take_frame(&mut self, frame: Frame, now: UtcMicros, out: &mut Vec<Output>) -> Result<()> {
        if frame.data.is_empty() {
            return Ok(());
        }
        let frame = self.prepared(frame);
        if !self.has_config(frame.track, out) {
            return Ok(());
        }
        if let Some(max) = self.segmenter.max_segment_us() {
            self.clock.limit_forward(max / 1_000);
        }
        let placed = self.clock.place(frame.track, frame.dts_ms);
        let arrived = Arrived { placed, frame, now };
        match &mut self.phase {
            Phase::Running(_) => self.run(arrived, out)?,
            Phase::Probing(probe) => {
                if !probe.push(arrived, self.config.max_segment_bytes) && !self.warned.before_keyframe {
                    self.warned.before_keyframe = true;
                    out.push(Output::Warning(Warning::BeforeKeyframe));
                }
                if probe.lacks_keyframe() && probe.waited() > self.config.keyframe_limit {
                    return Err(self.keyframe_error());
                }
                let video_announced = self.announced.video.is_some();
                if probe.is_decided(&self.config, self.expected, video_announced) {
                    self.begin(out)?;
                }
            }
        }
        Ok(())
    }

    /// The publisher is gone: gives out all that was received, as a last, shorter segment. The next frame begins a new
    /// generation with a discontinuity; its sequence headers must be pushed again.
    pub fn interrupt(&mut self) -> Vec<Output> {
        let mut out = std::mem::take(&mut self.undelivered);
        if let Phase::Probing(_) = self.phase {
            // A publish shorter than the wait for missing tracks. There is nobody left to refuse.
            let _ = self.begin(&mut out);
        }
        if let Phase::Running(running) = &self.phase {
            self.segmenter.close(None, running.grid.nominal(), &mut out);
        }
        self.segmenter.end_publish();
        self.phase = Phase::Probing(Probe::default());
        self.clock = new_clock(&self.config, &self.segmenter);
        self.announced = Tracks::default();
        self.expected = None;
        self.warned = Warned::default();
        out
    }

    /// Brings a picture into the form of a sample, and hears what a keyframe says of itself.
    fn prepared(&mut self, mut frame: Frame) -> Frame {
        if frame.track == Track::Video
            && let Some(video) = &self.announced.video
        {
            frame.data = video.sample(frame.data);
            if frame.keyframe
                && let Some(changed) = video.at_keyframe(&frame.data)
            {
                self.push_config(MediaConfig::Video(changed));
            }
        }
        frame
    }

    fn has_config(&mut self, track: Track, out: &mut Vec<Output>) -> bool {
        let (known, warned) = match track {
            Track::Video => (
                // Without a size, no player can be initialized.
                matches!(&self.announced.video, Some(video) if video.resolution().0 > 0),
                &mut self.warned.video_before_config,
            ),
            Track::Audio => (
                self.announced.audio.is_some(),
                &mut self.warned.audio_before_config,
            ),
        };
        if !known && !*warned {
            *warned = true;
            out.push(Output::Warning(Warning::FrameBeforeConfig(track)));
        }
        known
    }

    fn keyframe_error(&self) -> Error {
        Error::KeyframeInterval {
            seconds: u32::try_from(self.config.keyframe_limit.as_secs()).unwrap_or(u32::MAX),
        }
    }

    /// Begins the first generation of a publish with the tracks that the probe found.
    fn begin(&mut self, out: &mut Vec<Output>) -> Result<()> {
        let Phase::Probing(probe) = &mut self.phase else {
            return Ok(());
        };
        let audio_frame_ms = self.announced.audio.as_ref().map_or(0, |audio| {
            i64::from(audio.samples_per_frame() * 1_000 / audio.sample_rate()) + 1
        });
        let Some(found) = std::mem::take(probe).finish(audio_frame_ms) else {
            return Ok(());
        };
        let origin = Origin {
            ms: found.origin_ms,
            media_us: self.segmenter.state().media_end_us,
        };
        let tracks = Tracks {
            video: self.announced.video.clone().filter(|_| found.video),
            audio: self.announced.audio.clone().filter(|_| found.audio),
        };
        let grid = Grid::new(tracks.video.as_ref().and_then(VideoConfig::frame_rate));
        let running = Running {
            origin,
            samples: None,
            active: Tracks::default(),
            grid,
            audio_waits: false,
            video_changed: false,
            last_key_ms: found.origin_ms,
            last_audio_ms: found.origin_ms,
        };
        self.phase = Phase::Running(running);
        self.begin_generation(tracks, out)?;
        for arrived in found.frames {
            self.run(arrived, out)?;
        }
        Ok(())
    }

    fn begin_generation(&mut self, tracks: Tracks, out: &mut Vec<Output>) -> Result<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let (video, audio) = (tracks.video.as_ref(), tracks.audio.as_ref());
        let bytes = write_init(video, audio)?;
        let layout = Layout {
            video: video.is_some(),
            audio: audio.map(|audio| (audio.sample_rate(), audio.samples_per_frame())),
        };
        let generation = self.segmenter.begin(layout, video);
        let codecs: Vec<String> = [video.map(VideoConfig::codec), audio.map(AudioConfig::codec)]
            .into_iter()
            .flatten()
            .collect();
        out.push(Output::Init(Init {
            record: InitRecord {
                generation,
                codecs: codecs.join(","),
                resolution: video.map(VideoConfig::resolution),
                frame_rate: video.and_then(VideoConfig::frame_rate),
                range: video.and_then(VideoConfig::range),
                part_target_us: self.segmenter.state().part_target_us,
                target_duration: self.segmenter.state().target_duration,
            },
            bytes,
        }));
        if running.active.audio != tracks.audio {
            running.samples = audio.map(|audio| SampleClock::new(audio.samples_per_frame()));
        }
        if running.active.video != tracks.video {
            running.grid.change_rate(video.and_then(VideoConfig::frame_rate));
        }
        running.active = tracks;
        running.audio_waits = false;
        running.video_changed = false;
        Ok(())
    }

    fn run(&mut self, arrived: Arrived, out: &mut Vec<Output>) -> Result<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        if let Some(by_ms) = arrived.placed.jump_ms {
            let track = arrived.frame.track;
            out.push(Output::Warning(Warning::TimestampJump { track, by_ms }));
            self.segmenter.splice();
        }
        let since_key = arrived.placed.ms - running.last_key_ms;
        let limit = i64::try_from(self.config.keyframe_limit.as_millis()).unwrap_or(i64::MAX);
        let is_key = arrived.frame.track == Track::Video && arrived.frame.keyframe;
        if running.active.video.is_some() && !is_key && since_key > limit {
            return Err(self.keyframe_error());
        }
        match arrived.frame.track {
            Track::Video => self.run_video(arrived, out),
            Track::Audio => self.run_audio(arrived, out),
        }
    }

    fn run_video(&mut self, arrived: Arrived, out: &mut Vec<Output>) -> Result<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let Arrived { placed, frame, now } = arrived;
        let changes = running.video_changed || running.active.video.is_none();
        if changes && !frame.keyframe {
            return Ok(());
        }
        let raw = running.origin.ticks(placed.ms, VIDEO_TIMESCALE) + frame.nanos_in(VIDEO_TIMESCALE);
        let composition = i64::from(frame.composition_ms.clamp(-60_000, 60_000)) * 90;
        // New parameter sets begin another grid; else the grid tells where the old generation ends.
        let on_grid = (!changes).then(|| running.grid.place(raw, composition));
        let limit = i64::try_from(self.config.silent_track_limit.as_millis()).unwrap_or(i64::MAX);
        let audio_is_gone = running.active.audio.is_some() && placed.ms - running.last_audio_ms > limit;
        if frame.keyframe && (changes || running.audio_waits || audio_is_gone) {
            let wants_audio = running.active.audio.is_some() && !audio_is_gone || running.audio_waits;
            let tracks = Tracks {
                video: self.announced.video.clone(),
                audio: self.announced.audio.clone().filter(|_| wants_audio),
            };
            out.push(Output::Warning(Warning::TracksChanged));
            let end = on_grid.map_or(raw, |time| time.dts);
            self.segmenter.close(Some(end), running.grid.nominal(), out);
            self.begin_generation(tracks, out)?;
        }
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        if frame.keyframe {
            running.last_key_ms = placed.ms;
        }
        let time = on_grid.unwrap_or_else(|| running.grid.place(raw, composition));
        let picture = Picture {
            dts: time.dts,
            pts: time.pts,
            keyframe: frame.keyframe,
            data: frame.data,
        };
        self.segmenter.picture(picture, running.grid.nominal(), now, out);
        Ok(())
    }

    fn run_audio(&mut self, arrived: Arrived, out: &mut Vec<Output>) -> Result<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let Arrived { placed, frame, now } = arrived;
        running.last_audio_ms = placed.ms;
        if running.active.audio != self.announced.audio {
            if running.active.video.is_some() {
                // Pictures are not given up for sound: it joins at the next keyframe.
                running.audio_waits = true;
                return Ok(());
            }
            out.push(Output::Warning(Warning::TracksChanged));
            self.segmenter.close(None, 0, out);
            let tracks = Tracks {
                video: None,
                audio: self.announced.audio.clone(),
            };
            self.begin_generation(tracks, out)?;
        }
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let (Some(audio), Some(samples)) = (&running.active.audio, &mut running.samples) else {
            return Ok(());
        };
        let rate = audio.sample_rate();
        // What holds no samples is no frame of this codec.
        let Some(count) = audio.samples(&frame.data) else {
            return Ok(());
        };
        let raw = running.origin.ticks(placed.ms, rate) + frame.nanos_in(rate);
        // Sound from before media time begins.
        if raw < 0 || placed.ms < running.origin.ms {
            return Ok(());
        }
        let millis = |samples: i64| samples * 1_000 / i64::from(rate);
        let start = match samples.place(raw, count) {
            SampleTime::Continues(start) => start,
            SampleTime::AfterGap { start, gap } => {
                let by_ms = millis(gap);
                out.push(Output::Warning(Warning::AudioResynchronised { by_ms }));
                start
            }
            SampleTime::Overlaps(first) => {
                out.extend(first.map(|overlap| {
                    let by_ms = -millis(overlap);
                    Output::Warning(Warning::AudioResynchronised { by_ms })
                }));
                return Ok(());
            }
        };
        self.segmenter.sound(start, count, frame.data, now, out);
        Ok(())
    }
}

fn new_clock(config: &Config, segmenter: &Segmenter) -> Clock {
    let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let mut clock = Clock::new(millis(config.jump_forward), millis(config.jump_backward));
    if let Some(max) = segmenter.max_segment_us() {
        clock.limit_forward(max / 1_000);
    }
    clock
}
