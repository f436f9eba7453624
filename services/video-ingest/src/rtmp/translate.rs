//! RTMP media messages in the packager's terms.

use marquee_hls::{AudioConfig, Expected, Frame, FrameRate, MediaConfig, VideoConfig};
use marquee_rtmp::Media;
use marquee_rtmp::media::{Audio, AudioBody, AudioCodec, Video, VideoBody, VideoCodec};
use marquee_rtmp::metadata::Metadata;

use crate::broadcast::Input;

/// Why the publisher cannot be served; shown at the encoder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The codec cannot be packaged.
    #[error("{codec} video is not supported; set the encoder to H.264, H.265, AV1 or VP9")]
    VideoCodec { codec: String },
    /// The codec cannot be packaged.
    #[error("{codec} audio is not supported; set the encoder to AAC or Opus")]
    AudioCodec { codec: String },
    /// A message is not what its header says.
    #[error(transparent)]
    Rtmp(#[from] marquee_rtmp::Error),
    /// A sequence header cannot be read.
    #[error(transparent)]
    Hls(#[from] marquee_hls::Error),
}

/// Translates one publish. Of several tracks of a kind, one is carried: the default one, which has the lowest id (E-RTMP
/// "Multitrack" recommends 0). Rungs for a ladder are made by us, from that one.
#[derive(Debug)]
pub(crate) struct Translator {
    /// For the log.
    stream: String,
    video: Lane<VideoCodec>,
    audio: Lane<AudioCodec>,
    /// As the metadata has it; a codec may not tell.
    frame_rate: Option<FrameRate>,
}

/// What is known of the tracks of one kind.
#[derive(Debug)]
struct Lane<C> {
    carried: Option<u8>,
    /// Of the last sequence header of the carried track.
    codec: Option<C>,
    /// The packager was given the sequence header of another track.
    stale: bool,
    left_out: [bool; 256],
}

impl<C> Default for Lane<C> {
    fn default() -> Self {
        Self {
            carried: None,
            codec: None,
            stale: false,
            left_out: [false; 256],
        }
    }
}

impl<C: PartialEq> Lane<C> {
    /// Whether messages of this track are carried. A lower track takes the place of a higher one.
    fn carries(&mut self, track: u8) -> bool {
        match self.carried {
            Some(carried) if carried < track => false,
            Some(carried) if carried == track => true,
            _ => {
                self.stale = self.codec.take().is_some();
                self.carried = Some(track);
                true
            }
        }
    }

    /// Whether frames of this codec can be decoded with the sequence header that the packager has. It says itself when it
    /// has none.
    fn decodes(&self, codec: &C) -> bool {
        match &self.codec {
            Some(known) => known == codec,
            None => !self.stale,
        }
    }

    /// Says once that a track is left out.
    fn leave_out(&mut self, track: u8, kind: &'static str, stream: &str) {
        let told = &mut self.left_out[usize::from(track)];
        if !std::mem::replace(told, true) {
            tracing::warn!(%stream, track, kind, "an encoder sends several tracks of a kind; this one is left out");
            metrics::counter!("video_ingest_tracks_left_out_total", "kind" => kind).increment(1);
        }
    }
}

impl Translator {
    /// For a publish to this stream.
    pub(crate) fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            video: Lane::default(),
            audio: Lane::default(),
            frame_rate: None,
        }
    }

    /// A video message; none when it carries nothing for the packager.
    pub(crate) fn video(&mut self, media: &Media) -> Result<Option<Input>, Error> {
        // Empty messages are a sign of life.
        if media.payload.is_empty() {
            return Ok(None);
        }
        let mut input = None;
        for video in Video::tracks(&media.payload) {
            let video = video?;
            let is_carried = match &video.body {
                VideoBody::SequenceStart { .. }
                | VideoBody::CodedFrames { .. }
                | VideoBody::Unsupported { .. } => self.video.carries(video.track),
                VideoBody::SequenceEnd | VideoBody::Metadata(_) | VideoBody::Command => continue,
            };
            if is_carried {
                input = self.picture(media.timestamp, video)?.or(input);
            } else {
                self.video.leave_out(video.track, "video", &self.stream);
            }
        }
        Ok(input)
    }

    fn picture(&mut self, timestamp: u32, video: Video) -> Result<Option<Input>, Error> {
        let keyframe = video.is_keyframe();
        Ok(match video.body {
            VideoBody::SequenceStart { codec, config } => {
                self.video.codec = Some(codec);
                let config = match codec {
                    VideoCodec::Avc => VideoConfig::avc(config),
                    VideoCodec::Hevc => VideoConfig::hevc(config),
                    VideoCodec::Av1 => VideoConfig::av1(config),
                    VideoCodec::Vp9 => VideoConfig::vp9(config),
                }?;
                let config = config.or_frame_rate(self.frame_rate);
                Some(Input::Config(MediaConfig::Video(config)))
            }
            VideoBody::CodedFrames {
                codec,
                composition_time,
                data,
            } if self.video.decodes(&codec) => {
                let frame = Frame::video(timestamp, composition_time, keyframe, data);
                Some(Input::Frame(frame.with_offset_ns(video.offset_ns)))
            }
            VideoBody::Unsupported { codec } => return Err(Error::VideoCodec { codec }),
            _ => None,
        })
    }

    /// An audio message; none when it carries nothing for the packager.
    pub(crate) fn audio(&mut self, media: &Media) -> Result<Option<Input>, Error> {
        // Empty messages announce silence (E-RTMP "AudioPacketType").
        if media.payload.is_empty() {
            return Ok(None);
        }
        let mut input = None;
        for audio in Audio::tracks(&media.payload) {
            let audio = audio?;
            let is_carried = match &audio.body {
                AudioBody::SequenceStart { .. }
                | AudioBody::CodedFrames { .. }
                | AudioBody::Unsupported { .. } => self.audio.carries(audio.track),
                AudioBody::SequenceEnd | AudioBody::Metadata(_) => continue,
            };
            if is_carried {
                input = self.sound(media.timestamp, audio)?.or(input);
            } else {
                self.audio.leave_out(audio.track, "audio", &self.stream);
            }
        }
        Ok(input)
    }

    fn sound(&mut self, timestamp: u32, audio: Audio) -> Result<Option<Input>, Error> {
        let refused = |codec: AudioCodec| Error::AudioCodec {
            codec: codec.name().to_owned(),
        };
        Ok(match audio.body {
            AudioBody::SequenceStart { codec, config } => {
                let config = match codec {
                    AudioCodec::Aac => AudioConfig::aac(config)?,
                    AudioCodec::Opus => AudioConfig::opus(&config)?,
                    _ => return Err(refused(codec)),
                };
                self.audio.codec = Some(codec);
                Some(Input::Config(MediaConfig::Audio(config)))
            }
            AudioBody::CodedFrames { codec, data } => match codec {
                AudioCodec::Aac | AudioCodec::Opus if self.audio.decodes(&codec) => {
                    let frame = Frame::audio(timestamp, data);
                    Some(Input::Frame(frame.with_offset_ns(audio.offset_ns)))
                }
                AudioCodec::Aac | AudioCodec::Opus => None,
                _ => return Err(refused(codec)),
            },
            AudioBody::Unsupported { codec } => return Err(Error::AudioCodec { codec }),
            AudioBody::SequenceEnd | AudioBody::Metadata(_) => None,
        })
    }

    /// Metadata that says which tracks there will be.
    pub(crate) fn metadata(&mut self, metadata: &Metadata) -> Option<Input> {
        self.frame_rate = metadata.frame_rate.and_then(FrameRate::from_decimal);
        let (video, audio) = (metadata.video_codec.is_some(), metadata.audio_codec.is_some());
        (video || audio).then_some(Input::Expected(Expected { video, audio }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// x264, 1280x720, 30000/1001.
    const AVC: &[u8] = &[
        0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
        0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x75, 0x30, 0x07, 0x8c, 0x18,
        0xcb, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];

    fn media(payload: impl Into<Bytes>) -> Media {
        Media {
            stream: 1,
            timestamp: 40,
            payload: payload.into(),
        }
    }

    fn data(input: Option<Input>) -> Vec<u8> {
        match input {
            Some(Input::Frame(frame)) => frame.data.to_vec(),
            other => panic!("{other:?} is no frame"),
        }
    }

    #[test]
    fn of_several_tracks_the_lowest_is_carried() {
        let mut translator = Translator::new("s");
        let start = |track: u8| media([&b"\x96\x00avc1"[..], &[track], AVC].concat());
        // Track 1 comes first and is carried until track 0 is there.
        assert!(matches!(translator.video(&start(1)), Ok(Some(Input::Config(_)))));
        assert_eq!(
            data(translator.video(&media(&b"\x96\x03avc1\x01x"[..])).unwrap()),
            b"x"
        );
        // Its frames cannot be decoded with the other one's sequence header.
        assert!(matches!(
            translator.video(&media(&b"\x96\x03avc1\x00x"[..])),
            Ok(None)
        ));
        assert!(matches!(translator.video(&start(0)), Ok(Some(Input::Config(_)))));
        let both = media(&b"\x96\x13avc1\x00\x00\x00\x04low!\x01\x00\x00\x04high"[..]);
        assert_eq!(data(translator.video(&both).unwrap()), b"low!");
        let other = media(&b"\x96\x03avc1\x01high"[..]);
        assert!(matches!(translator.video(&other), Ok(None)));
        // Not a multitrack message: track 0.
        let plain = media(&b"\x93avc1plain"[..]);
        assert_eq!(data(translator.video(&plain).unwrap()), b"plain");
    }

    #[test]
    fn a_track_that_is_left_out_may_be_of_any_codec() {
        let mut translator = Translator::new("s");
        let opus = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
        let start = media([&b"\x95\x00Opus\x00"[..], opus].concat());
        assert!(matches!(translator.audio(&start), Ok(Some(Input::Config(_)))));
        let surround = media(&b"\x95\x01ac-3\x01frame"[..]);
        assert!(matches!(translator.audio(&surround), Ok(None)));
        let many = media(&b"\x95\x21Opus\x00\x00\x00\x02\xfc\xffac-3\x01\x00\x00\x01x"[..]);
        assert_eq!(data(translator.audio(&many).unwrap()), b"\xfc\xff");
    }

    #[test]
    fn refusals_name_the_codec_and_what_is_taken() {
        for (payload, reason) in [
            (
                &b"\x91\x00\x00\x00\x00\x00"[..],
                "\\x00\\x00\\x00\\x00 audio is not supported; set the encoder to AAC or Opus",
            ),
            (
                b"\x90ac-3",
                "AC-3 audio is not supported; set the encoder to AAC or Opus",
            ),
            (
                b"\x91ec-3x",
                "E-AC-3 audio is not supported; set the encoder to AAC or Opus",
            ),
            (
                b"\x90fLaC",
                "FLAC audio is not supported; set the encoder to AAC or Opus",
            ),
            (
                b"\x2f\xff\xfb",
                "MP3 audio is not supported; set the encoder to AAC or Opus",
            ),
        ] {
            let error = Translator::new("s").audio(&media(payload)).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
        let error = Translator::new("s").video(&media(&b"\x90vvc1"[..])).unwrap_err();
        let reason = "vvc1 video is not supported; set the encoder to H.264, H.265, AV1 or VP9";
        assert_eq!(error.to_string(), reason);
    }

    #[test]
    fn frames_of_another_codec_than_the_sequence_header_are_left_out() {
        let mut translator = Translator::new("s");
        translator
            .video(&media([&b"\x90avc1"[..], AVC].concat()))
            .unwrap();
        assert!(matches!(translator.video(&media(&b"\x93hvc1x"[..])), Ok(None)));
        assert_eq!(data(translator.video(&media(&b"\x93avc1x"[..])).unwrap()), b"x");
    }

    #[test]
    fn nanoseconds_and_the_metadatas_frame_rate_are_carried() {
        let mut translator = Translator::new("s");
        let metadata = Metadata {
            frame_rate: Some(29.97),
            video_codec: Some(7.0),
            ..Metadata::default()
        };
        assert!(matches!(translator.metadata(&metadata), Some(Input::Expected(_))));
        let start = media(&b"\x90vp09\x00\x0b\x82\x02\x02\x02\x00\x00"[..]);
        let Ok(Some(Input::Config(MediaConfig::Video(config)))) = translator.video(&start) else {
            panic!("no configuration")
        };
        assert_eq!(config.frame_rate(), FrameRate::new(30_000, 1_001));
        let late = media(&b"\xa7\x02\x0b\x71\xb0\x01vp09x"[..]);
        let Ok(Some(Input::Frame(frame))) = translator.video(&late) else {
            panic!("no frame")
        };
        assert_eq!(
            (frame.dts_ms, frame.offset_ns, frame.keyframe),
            (40, 750_000, false)
        );
    }
}
