//! RTMP media messages in the packager's terms.

use marquee_hls::{AudioConfig, Expected, Frame, MediaConfig, VideoConfig};
use marquee_rtmp::Media;
use marquee_rtmp::media::{Audio, AudioBody, AudioCodec, Video, VideoBody, VideoCodec};
use marquee_rtmp::metadata::Metadata;

use crate::broadcast::Input;

/// Why the publisher cannot be served; shown at the encoder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The codec cannot be packaged.
    #[error("{codec} video is not supported; set the encoder to H.264")]
    VideoCodec { codec: String },
    /// The codec cannot be packaged.
    #[error("{codec} audio is not supported; set the encoder to AAC")]
    AudioCodec { codec: String },
    /// A message is not what its header says.
    #[error(transparent)]
    Rtmp(#[from] marquee_rtmp::Error),
    /// A sequence header cannot be read.
    #[error(transparent)]
    Hls(#[from] marquee_hls::Error),
}

/// A video message; none when it carries nothing for the packager.
pub(crate) fn video(media: &Media) -> Result<Option<Input>, Error> {
    if media.payload.is_empty() {
        return Ok(None);
    }
    let video = Video::parse(&media.payload)?;
    let keyframe = video.is_keyframe();
    if video.track != 0 {
        return Ok(None);
    }
    match video.body {
        VideoBody::SequenceStart {
            codec: VideoCodec::Avc,
            config,
        } => Ok(Some(Input::Config(MediaConfig::Video(VideoConfig::avc(config)?)))),
        VideoBody::CodedFrames {
            codec: VideoCodec::Avc,
            composition_time,
            data,
        } => Ok(Some(Input::Frame(Frame::video(
            media.timestamp,
            composition_time,
            keyframe,
            data,
        )))),
        VideoBody::SequenceStart { codec, .. } | VideoBody::CodedFrames { codec, .. } => {
            Err(Error::VideoCodec {
                codec: codec.name().to_owned(),
            })
        }
        VideoBody::Unsupported { codec } => Err(Error::VideoCodec { codec }),
        VideoBody::SequenceEnd | VideoBody::Metadata(_) | VideoBody::Command => Ok(None),
    }
}

/// An audio message; none when it carries nothing for the packager.
pub(crate) fn audio(media: &Media) -> Result<Option<Input>, Error> {
    if media.payload.is_empty() {
        return Ok(None);
    }
    let audio = Audio::parse(&media.payload)?;
    if audio.track != 0 {
        return Ok(None);
    }
    match audio.body {
        AudioBody::SequenceStart {
            codec: AudioCodec::Aac,
            config,
        } => Ok(Some(Input::Config(MediaConfig::Audio(AudioConfig::aac(config)?)))),
        AudioBody::CodedFrames {
            codec: AudioCodec::Aac,
            data,
        } => Ok(Some(Input::Frame(Frame::audio(media.timestamp, data)))),
        AudioBody::SequenceStart { codec, .. } | AudioBody::CodedFrames { codec, .. } => {
            Err(Error::AudioCodec {
                codec: codec.name().to_owned(),
            })
        }
        AudioBody::Unsupported { codec } => Err(Error::AudioCodec { codec }),
        AudioBody::SequenceEnd | AudioBody::Metadata(_) => Ok(None),
    }
}

/// Metadata that says which tracks there will be.
pub(crate) fn expected(metadata: &Metadata) -> Option<Input> {
    let (video, audio) = (metadata.video_codec.is_some(), metadata.audio_codec.is_some());
    (video || audio).then_some(Input::Expected(Expected { video, audio }))
}
