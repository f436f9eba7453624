//! `onMetaData`: what an encoder says about its stream. Hints for people; the codec configuration is the truth.

use crate::amf0::{AmfLimits, Value, decode_all};
use crate::{Error, Result};

/// The properties that encoders agree on. What is missing or no number is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Kilobits a second.
    pub video_data_rate: Option<f64>,
    /// Kilobits a second.
    pub audio_data_rate: Option<f64>,
    /// Hertz.
    pub audio_sample_rate: Option<f64>,
    /// Whether there are two channels.
    pub stereo: Option<bool>,
    /// Seconds, in files.
    pub duration: Option<f64>,
    /// What the encoder calls itself.
    pub encoder: Option<String>,
    /// FLV codec id, or a FourCC as a big-endian number.
    pub video_codec: Option<f64>,
    /// FLV sound format, or a FourCC as a big-endian number.
    pub audio_codec: Option<f64>,
}

impl Metadata {
    /// Reads a data message (with or without `@setDataFrame`); `None` when it is another one than `onMetaData`.
    ///
    /// # Errors
    /// [`Error::Amf`] when it cannot be read.
    pub fn parse(payload: &[u8], limits: AmfLimits) -> Result<Option<Self>> {
        let values = decode_all(payload, limits).map_err(Error::Amf)?;
        let mut values = values
            .iter()
            .skip_while(|value| value.as_str() == Some("@setDataFrame"));
        if values.next().and_then(Value::as_str) != Some("onMetaData") {
            return Ok(None);
        }
        let Some(object) = values.next() else {
            return Ok(Some(Self::default()));
        };
        let number = |name| {
            object
                .get(name)
                .and_then(Value::as_number)
                .filter(|number| number.is_finite())
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "filtered to what fits"
        )]
        let pixels = |name| {
            number(name)
                .filter(|size| (1.0..=65_535.0).contains(size))
                .map(|size| size as u32)
        };
        Ok(Some(Self {
            width: pixels("width"),
            height: pixels("height"),
            frame_rate: number("framerate").or_else(|| number("fps")),
            video_data_rate: number("videodatarate"),
            audio_data_rate: number("audiodatarate"),
            audio_sample_rate: number("audiosamplerate"),
            stereo: number("stereo").map(|flag| flag != 0.0),
            duration: number("duration"),
            encoder: object.get("encoder").and_then(Value::as_str).map(str::to_owned),
            video_codec: codec(object.get("videocodecid")),
            audio_codec: codec(object.get("audiocodecid")),
        }))
    }
}

/// A codec id is a number, or a FourCC as text (OBS).
fn codec(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::String(text) => <[u8; 4]>::try_from(text.as_bytes())
            .ok()
            .map(|id| f64::from(u32::from_be_bytes(id))),
        other => other.as_number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::encode;

    fn payload(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        bytes
    }

    #[test]
    fn what_an_encoder_says_is_read() {
        let object = Value::EcmaArray(vec![
            ("width".into(), Value::Number(1280.0)),
            ("height".into(), "720".into()),
            ("framerate".into(), Value::Number(29.97)),
            ("stereo".into(), Value::Boolean(true)),
            ("encoder".into(), "obs-output".into()),
            ("videocodecid".into(), "hvc1".into()),
        ]);
        let bytes = payload(&["@setDataFrame".into(), "onMetaData".into(), object]);
        let metadata = Metadata::parse(&bytes, AmfLimits::default()).unwrap().unwrap();
        assert_eq!((metadata.width, metadata.height), (Some(1280), Some(720)));
        assert_eq!(metadata.frame_rate, Some(29.97));
        assert_eq!(metadata.stereo, Some(true));
        assert_eq!(metadata.encoder.as_deref(), Some("obs-output"));
        assert_eq!(
            metadata.video_codec,
            Some(f64::from(u32::from_be_bytes(*b"hvc1")))
        );
    }

    #[test]
    fn nonsense_sizes_are_left_out() {
        for size in [f64::NAN, -1.0, 1e300] {
            let bytes = payload(&["onMetaData".into(), Value::object([("width", size.into())])]);
            assert_eq!(
                Metadata::parse(&bytes, AmfLimits::default())
                    .unwrap()
                    .unwrap()
                    .width,
                None
            );
        }
    }

    #[test]
    fn other_data_is_none() {
        assert_eq!(
            Metadata::parse(&payload(&["onTextData".into()]), AmfLimits::default()),
            Ok(None)
        );
    }
}
