//! The initialization segment: `ftyp` and `moov` with `mvex`, written once per generation.

use bytes::Bytes;
use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Minf,
    Moov, Mp4a, Mvex, Mvhd, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd, esds,
};

use super::{AUDIO_TRACK, NON_SYNC, SYNC, VIDEO_TIMESCALE, VIDEO_TRACK};
use crate::codec::{Aac, Avc};
use crate::{AudioConfig, Error, Result, VideoConfig};

/// Writes the initialization segment of one or two tracks.
pub(crate) fn write(video: Option<&VideoConfig>, audio: Option<&AudioConfig>) -> Result<Bytes> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 512,
        compatible_brands: [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).to_vec(),
    };
    let mut trak = Vec::with_capacity(2);
    let mut trex = Vec::with_capacity(2);
    if let Some(VideoConfig::Avc(avc)) = video {
        trak.push(video_trak(avc));
        trex.push(defaults(VIDEO_TRACK, NON_SYNC));
    }
    if let Some(AudioConfig::Aac(aac)) = audio {
        trak.push(audio_trak(aac));
        trex.push(defaults(AUDIO_TRACK, SYNC));
    }
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1_000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: AUDIO_TRACK + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex }),
        trak,
        ..Moov::default()
    };
    let mut bytes = Vec::with_capacity(1_536);
    ftyp.encode(&mut bytes)
        .and_then(|()| moov.encode(&mut bytes))
        .map_err(|error| Error::Container(error.to_string()))?;
    Ok(bytes.into())
}

fn defaults(track_id: u32, default_sample_flags: u32) -> Trex {
    Trex {
        track_id,
        default_sample_description_index: 1,
        default_sample_flags,
        ..Trex::default()
    }
}

fn video_trak(avc: &Avc) -> Trak {
    let to_vecs = |sets: &[Bytes]| sets.iter().map(|set| set.to_vec()).collect();
    let codec = Codec::Avc1(Avc1 {
        visual: Visual {
            data_reference_index: 1,
            width: avc.width,
            height: avc.height,
            ..Visual::default()
        },
        avcc: Avcc {
            configuration_version: 1,
            avc_profile_indication: avc.profile[0],
            profile_compatibility: avc.profile[1],
            avc_level_indication: avc.profile[2],
            length_size: avc.length_size,
            sequence_parameter_sets: to_vecs(&avc.sps),
            picture_parameter_sets: to_vecs(&avc.pps),
            ext: avc.high.map(|(chroma_format, luma, chroma)| AvccExt {
                chroma_format,
                bit_depth_luma: luma,
                bit_depth_chroma: chroma,
                sequence_parameter_sets_ext: Vec::new(),
            }),
        },
        ..Avc1::default()
    });
    let tkhd = Tkhd {
        track_id: VIDEO_TRACK,
        enabled: true,
        in_movie: true,
        width: avc.width.into(),
        height: avc.height.into(),
        ..Tkhd::default()
    };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        ..minf(codec)
    };
    trak(tkhd, b"vide", VIDEO_TIMESCALE, minf)
}

fn audio_trak(aac: &Aac) -> Trak {
    let codec = Codec::Mp4a(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: aac.channels,
            sample_size: 16,
            // 16.16 fixed point: higher rates are told by the AudioSpecificConfig alone.
            sample_rate: u16::try_from(aac.sample_rate).unwrap_or(0).into(),
        },
        esds: mp4_atom::Esds {
            es_desc: esds::EsDescriptor {
                es_id: AUDIO_TRACK as u16,
                dec_config: esds::DecoderConfig {
                    // Audio ISO/IEC 14496-3; an audio stream (ISO/IEC 14496-1 tables 5 and 6).
                    object_type_indication: 0x40,
                    stream_type: 5,
                    dec_specific: Some(esds::DecoderSpecific {
                        raw: aac.config.to_vec(),
                        ..esds::DecoderSpecific::default()
                    }),
                    ..esds::DecoderConfig::default()
                },
                ..esds::EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    });
    let tkhd = Tkhd {
        track_id: AUDIO_TRACK,
        enabled: true,
        in_movie: true,
        volume: 1.into(),
        ..Tkhd::default()
    };
    let minf = Minf {
        smhd: Some(Smhd::default()),
        ..minf(codec)
    };
    trak(tkhd, b"soun", aac.sample_rate, minf)
}

fn minf(codec: Codec) -> Minf {
    Minf {
        dinf: Dinf {
            dref: Dref {
                entries: vec![DrefEntry::Url(Url::default())],
            },
        },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![codec] },
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    }
}

fn trak(tkhd: Tkhd, handler: &[u8; 4], timescale: u32, minf: Minf) -> Trak {
    Trak {
        tkhd,
        mdia: Mdia {
            mdhd: Mdhd {
                timescale,
                language: "und".to_owned(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(handler),
                name: String::new(),
            },
            minf,
        },
        ..Trak::default()
    }
}
