//! Audio tag bodies (FLV E.4.2, E-RTMP "Enhanced Audio").

use bytes::Bytes;

use super::cursor::{self, Cursor};
use super::packet::{self, Body, Packet};
use crate::Result;

/// One audio message, or one track of a message that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// 0 but in multitrack messages; 0 is the default track there, too.
    pub track: u8,
    /// To be added to the message's timestamp: nanoseconds, below 1,000,000.
    pub offset_ns: u32,
    /// What it carries.
    pub body: AudioBody,
}

/// Codecs that are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// Configuration is an AudioSpecificConfig, frames are raw.
    Aac,
    /// Frames with their headers; no configuration.
    Mp3,
    /// Configuration is an `OpusHead` (RFC 7845 5.1).
    Opus,
    /// Configuration is the `fLaC` marker and STREAMINFO.
    Flac,
    /// No configuration.
    Ac3,
    /// No configuration.
    Eac3,
}

/// What an audio message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioBody {
    /// The decoder's configuration.
    SequenceStart {
        /// Codec.
        codec: AudioCodec,
        /// Its configuration.
        config: Bytes,
    },
    /// One frame.
    CodedFrames {
        /// Codec.
        codec: AudioCodec,
        /// The frame.
        data: Bytes,
    },
    /// No frames of this sequence follow.
    SequenceEnd,
    /// Channel order (E-RTMP "MultichannelConfig").
    Metadata(Bytes),
    /// A codec, or a packet of one, that is not taken apart.
    Unsupported {
        /// Its name, for the person at the encoder.
        codec: String,
    },
}

impl AudioCodec {
    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            AudioCodec::Aac => "AAC",
            AudioCodec::Mp3 => "MP3",
            AudioCodec::Opus => "Opus",
            AudioCodec::Flac => "FLAC",
            AudioCodec::Ac3 => "AC-3",
            AudioCodec::Eac3 => "E-AC-3",
        }
    }

    fn from_four_cc(four_cc: [u8; 4]) -> Option<Self> {
        match &four_cc {
            b"mp4a" => Some(AudioCodec::Aac),
            b".mp3" => Some(AudioCodec::Mp3),
            b"Opus" => Some(AudioCodec::Opus),
            b"fLaC" => Some(AudioCodec::Flac),
            b"ac-3" => Some(AudioCodec::Ac3),
            b"ec-3" => Some(AudioCodec::Eac3),
            _ => None,
        }
    }
}

impl Audio {
    /// Reads a message body; of several tracks, the first.
    ///
    /// # Errors
    /// [`MalformedMedia`](crate::Error::MalformedMedia) when it ends too early for what it says it is. An unknown codec is no
    /// error but [`AudioBody::Unsupported`].
    pub fn parse(payload: &Bytes) -> Result<Self> {
        match Self::tracks(payload).next() {
            Some(first) => first,
            None => Err(Cursor::new(payload, WHAT).short()),
        }
    }

    /// Reads all tracks of a message, in the order in which they are there. After an error nothing comes.
    pub fn tracks(payload: &Bytes) -> AudioTracks {
        AudioTracks(State::Begin(payload.clone()))
    }
}

const WHAT: &str = "audio message";

/// The tracks of one audio message.
#[derive(Debug)]
pub struct AudioTracks(State);

#[derive(Debug)]
enum State {
    Begin(Bytes),
    Enhanced(Packet),
    End,
}

impl Iterator for AudioTracks {
    type Item = Result<Audio>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::Begin(payload) = &self.0 {
            match begin(payload) {
                Ok(Begun::Enhanced(packet)) => self.0 = State::Enhanced(packet),
                Ok(Begun::Legacy(audio)) => {
                    self.0 = State::End;
                    return Some(Ok(audio));
                }
                Err(error) => {
                    self.0 = State::End;
                    return Some(Err(error));
                }
            }
        }
        match &mut self.0 {
            State::Enhanced(packet) => {
                let body = packet.next()?;
                Some(body.map(|body| enhanced(packet.packet_type, packet.offset_ns, body)))
            }
            State::Begin(_) | State::End => None,
        }
    }
}

enum Begun {
    Legacy(Audio),
    Enhanced(Packet),
}

fn begin(payload: &Bytes) -> Result<Begun> {
    const EX_HEADER: u8 = 9;
    const MULTITRACK: u8 = 5;
    let mut cursor = Cursor::new(payload, WHAT);
    let head = cursor.u8()?;
    if head >> 4 == EX_HEADER {
        let (packet_type, offset_ns) = packet::mod_ex(head & 0x0F, &mut cursor)?;
        return Packet::read(packet_type, offset_ns, MULTITRACK, cursor).map(Begun::Enhanced);
    }
    Ok(Begun::Legacy(Audio {
        track: 0,
        offset_ns: 0,
        body: legacy(head >> 4, cursor)?,
    }))
}

fn legacy(format: u8, mut cursor: Cursor) -> Result<AudioBody> {
    Ok(match format {
        10 => match cursor.u8()? {
            0 => AudioBody::SequenceStart {
                codec: AudioCodec::Aac,
                config: cursor.rest(),
            },
            1 => AudioBody::CodedFrames {
                codec: AudioCodec::Aac,
                data: cursor.rest(),
            },
            other => AudioBody::Unsupported {
                codec: format!("AAC packet type {other}"),
            },
        },
        2 | 14 => AudioBody::CodedFrames {
            codec: AudioCodec::Mp3,
            data: cursor.rest(),
        },
        other => AudioBody::Unsupported {
            codec: legacy_name(other),
        },
    })
}

fn enhanced(packet_type: u8, offset_ns: u32, body: Body) -> Audio {
    let Body {
        track,
        four_cc,
        cursor,
    } = body;
    let body = match (packet_type, AudioCodec::from_four_cc(four_cc)) {
        (_, None) => AudioBody::Unsupported {
            codec: cursor::name(four_cc),
        },
        (0, Some(codec)) => AudioBody::SequenceStart {
            codec,
            config: cursor.rest(),
        },
        (1, Some(codec)) => AudioBody::CodedFrames {
            codec,
            data: cursor.rest(),
        },
        (2, Some(_)) => AudioBody::SequenceEnd,
        (4, Some(_)) => AudioBody::Metadata(cursor.rest()),
        (other, Some(codec)) => AudioBody::Unsupported {
            codec: format!("{} packet type {other}", codec.name()),
        },
    };
    Audio {
        track,
        offset_ns,
        body,
    }
}

fn legacy_name(format: u8) -> String {
    match format {
        0 | 3 => "PCM".into(),
        1 => "ADPCM".into(),
        4..=6 => "Nellymoser".into(),
        7 => "G.711 A-law".into(),
        8 => "G.711 mu-law".into(),
        11 => "Speex".into(),
        other => format!("FLV audio format {other}"),
    }
}
