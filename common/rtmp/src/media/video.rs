//! Video tag bodies (FLV E.4.3, E-RTMP "Enhanced Video").

use bytes::Bytes;

use super::cursor::{self, Cursor};
use super::packet::{self, Body, Packet};
use crate::Result;

/// One video message, or one track of a message that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Keyframe or not.
    pub frame_type: FrameType,
    /// 0 but in multitrack messages; 0 is the default track there, too.
    pub track: u8,
    /// To be added to the message's timestamp: nanoseconds, below 1,000,000.
    pub offset_ns: u32,
    /// What it carries.
    pub body: VideoBody,
}

/// FLV frame type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// 1 and 4: can be decoded without what came before.
    Key,
    /// 2.
    Inter,
    /// 3: no other frame needs it.
    Disposable,
    /// 5: no frame but a command to the player (seek).
    Command,
    /// 0, 6 and 7, which nothing should send.
    Reserved,
}

/// Codecs whose configuration and frames are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264; configuration is an AVCDecoderConfigurationRecord, frames are length-prefixed NAL units.
    Avc,
    /// H.265; configuration is an HEVCDecoderConfigurationRecord, frames are length-prefixed NAL units.
    Hevc,
    /// AV1; configuration is an AV1CodecConfigurationRecord, frames are OBUs.
    Av1,
    /// VP9; configuration is a VPCodecConfigurationRecord.
    Vp9,
}

/// What a video message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoBody {
    /// The decoder configuration record.
    SequenceStart {
        /// Codec.
        codec: VideoCodec,
        /// The record.
        config: Bytes,
    },
    /// One frame.
    CodedFrames {
        /// Codec.
        codec: VideoCodec,
        /// Presentation minus decoding time, milliseconds.
        composition_time: i32,
        /// The frame.
        data: Bytes,
    },
    /// No frames of this sequence follow.
    SequenceEnd,
    /// `colorInfo` and the like, AMF0 (E-RTMP).
    Metadata(Bytes),
    /// A frame type 5 message, which has no frame.
    Command,
    /// A codec, or a packet of one, that is not taken apart.
    Unsupported {
        /// Its name, for the person at the encoder.
        codec: String,
    },
}

impl VideoCodec {
    /// The usual name.
    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::Avc => "H.264",
            VideoCodec::Hevc => "H.265",
            VideoCodec::Av1 => "AV1",
            VideoCodec::Vp9 => "VP9",
        }
    }

    /// How sequence headers and frames name it.
    pub fn four_cc(self) -> [u8; 4] {
        match self {
            VideoCodec::Avc => *b"avc1",
            VideoCodec::Hevc => *b"hvc1",
            VideoCodec::Av1 => *b"av01",
            VideoCodec::Vp9 => *b"vp09",
        }
    }

    fn from_four_cc(four_cc: [u8; 4]) -> Option<Self> {
        match &four_cc {
            b"avc1" => Some(VideoCodec::Avc),
            b"hvc1" => Some(VideoCodec::Hevc),
            b"av01" => Some(VideoCodec::Av1),
            b"vp09" => Some(VideoCodec::Vp9),
            _ => None,
        }
    }
}

impl Video {
    /// Reads a message body; of several tracks, the first.
    ///
    /// # Errors
    /// [`MalformedMedia`](crate::Error::MalformedMedia) when it ends too early for what it says it is. An unknown codec is no
    /// error but [`VideoBody::Unsupported`].
    pub fn parse(payload: &Bytes) -> Result<Self> {
        match Self::tracks(payload).next() {
            Some(first) => first,
            None => Err(Cursor::new(payload, WHAT).short()),
        }
    }

    /// Reads all tracks of a message, in the order in which they are there. After an error nothing comes.
    pub fn tracks(payload: &Bytes) -> VideoTracks {
        VideoTracks(State::Begin(payload.clone()))
    }

    /// Whether this is a frame that can be decoded without what came before.
    pub fn is_keyframe(&self) -> bool {
        self.frame_type == FrameType::Key && matches!(self.body, VideoBody::CodedFrames { .. })
    }
}

const WHAT: &str = "video message";

/// The tracks of one video message.
#[derive(Debug)]
pub struct VideoTracks(State);

#[derive(Debug)]
enum State {
    Begin(Bytes),
    Enhanced(FrameType, Packet),
    End,
}

impl Iterator for VideoTracks {
    type Item = Result<Video>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::Begin(payload) = &self.0 {
            match begin(payload) {
                Ok(Begun::Enhanced(frame_type, packet)) => self.0 = State::Enhanced(frame_type, packet),
                Ok(Begun::Whole(video)) => {
                    self.0 = State::End;
                    return Some(Ok(video));
                }
                Err(error) => {
                    self.0 = State::End;
                    return Some(Err(error));
                }
            }
        }
        match &mut self.0 {
            State::Enhanced(frame_type, packet) => {
                let (frame_type, packet_type, offset_ns) =
                    (*frame_type, packet.packet_type, packet.offset_ns);
                let body = packet.next()?;
                Some(body.and_then(|body| enhanced(frame_type, packet_type, offset_ns, body)))
            }
            State::Begin(_) | State::End => None,
        }
    }
}

enum Begun {
    Whole(Video),
    Enhanced(FrameType, Packet),
}

const METADATA: u8 = 4;

fn begin(payload: &Bytes) -> Result<Begun> {
    const EX_HEADER: u8 = 0x80;
    const MULTITRACK: u8 = 6;
    let mut cursor = Cursor::new(payload, WHAT);
    let head = cursor.u8()?;
    let frame_type = match head >> 4 & 0x07 {
        1 | 4 => FrameType::Key,
        2 => FrameType::Inter,
        3 => FrameType::Disposable,
        5 => FrameType::Command,
        _ => FrameType::Reserved,
    };
    let whole = |body, offset_ns| {
        Begun::Whole(Video {
            frame_type,
            track: 0,
            offset_ns,
            body,
        })
    };
    if head & EX_HEADER == 0 {
        return Ok(whole(legacy(frame_type, head & 0x0F, cursor)?, 0));
    }
    let (packet_type, offset_ns) = packet::mod_ex(head & 0x0F, &mut cursor)?;
    if frame_type == FrameType::Command && packet_type != METADATA {
        return Ok(whole(VideoBody::Command, offset_ns));
    }
    let packet = Packet::read(packet_type, offset_ns, MULTITRACK, cursor)?;
    Ok(Begun::Enhanced(frame_type, packet))
}

fn legacy(frame_type: FrameType, codec_id: u8, mut cursor: Cursor) -> Result<VideoBody> {
    if frame_type == FrameType::Command {
        return Ok(VideoBody::Command);
    }
    let codec = match codec_id {
        7 => VideoCodec::Avc,
        // Not in any specification; what encoders sent before Enhanced RTMP.
        12 => VideoCodec::Hevc,
        other => {
            return Ok(VideoBody::Unsupported {
                codec: legacy_name(other),
            });
        }
    };
    let packet_type = cursor.u8()?;
    let composition_time = cursor.i24()?;
    Ok(match packet_type {
        0 => VideoBody::SequenceStart {
            codec,
            config: cursor.rest(),
        },
        1 => VideoBody::CodedFrames {
            codec,
            composition_time,
            data: cursor.rest(),
        },
        2 => VideoBody::SequenceEnd,
        other => VideoBody::Unsupported {
            codec: format!("{} packet type {other}", codec.name()),
        },
    })
}

fn enhanced(frame_type: FrameType, packet_type: u8, offset_ns: u32, body: Body) -> Result<Video> {
    let Body {
        track,
        four_cc,
        mut cursor,
    } = body;
    let body = match (packet_type, VideoCodec::from_four_cc(four_cc)) {
        (METADATA, _) => VideoBody::Metadata(cursor.rest()),
        (_, None) => VideoBody::Unsupported {
            codec: cursor::name(four_cc),
        },
        (0, Some(codec)) => VideoBody::SequenceStart {
            codec,
            config: cursor.rest(),
        },
        (1, Some(codec)) => {
            let reordered = matches!(codec, VideoCodec::Avc | VideoCodec::Hevc);
            let composition_time = if reordered { cursor.i24()? } else { 0 };
            VideoBody::CodedFrames {
                codec,
                composition_time,
                data: cursor.rest(),
            }
        }
        (2, Some(_)) => VideoBody::SequenceEnd,
        (3, Some(codec)) => VideoBody::CodedFrames {
            codec,
            composition_time: 0,
            data: cursor.rest(),
        },
        (other, Some(codec)) => VideoBody::Unsupported {
            codec: format!("{} packet type {other}", codec.name()),
        },
    };
    Ok(Video {
        frame_type,
        track,
        offset_ns,
        body,
    })
}

fn legacy_name(codec_id: u8) -> String {
    match codec_id {
        2 => "Sorenson H.263".into(),
        3 | 6 => "Screen Video".into(),
        4 | 5 => "VP6".into(),
        other => format!("FLV video codec {other}"),
    }
}
