//! The initialization segment: `ftyp` and `moov` with `mvex`, written once per generation.

use bytes::Bytes;
use mp4_atom::{
    Codec, Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd, Smhd, Stbl,
    Stco, Stsd, Tkhd, Trak, Trex, Url, Vmhd,
};

use super::{AUDIO_TRACK, NON_SYNC, SYNC, VIDEO_TIMESCALE, VIDEO_TRACK, entry};
use crate::{AudioConfig, Error, Result, VideoConfig};

/// Writes the initialization segment of one or two tracks.
pub(crate) fn write(video: Option<&VideoConfig>, audio: Option<&AudioConfig>) -> Result<Bytes> {
    let mut compatible_brands = [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).to_vec();
    // AV1 ISOBMFF 2.1.
    if let Some(VideoConfig::Av1(_)) = video {
        compatible_brands.push(FourCC::new(b"av01"));
    }
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 512,
        compatible_brands,
    };
    let mut trak = Vec::with_capacity(2);
    let mut trex = Vec::with_capacity(2);
    if let Some(video) = video {
        trak.push(video_trak(video));
        trex.push(defaults(VIDEO_TRACK, NON_SYNC));
    }
    if let Some(audio) = audio {
        trak.push(audio_trak(audio));
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

fn video_trak(video: &VideoConfig) -> Trak {
    let (width, height) = video.resolution();
    let tkhd = Tkhd {
        track_id: VIDEO_TRACK,
        enabled: true,
        in_movie: true,
        width: width.into(),
        height: height.into(),
        ..Tkhd::default()
    };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        ..minf(entry::video(video))
    };
    trak(tkhd, b"vide", VIDEO_TIMESCALE, minf)
}

fn audio_trak(audio: &AudioConfig) -> Trak {
    let tkhd = Tkhd {
        track_id: AUDIO_TRACK,
        enabled: true,
        in_movie: true,
        volume: 1.into(),
        ..Tkhd::default()
    };
    let mut minf = Minf {
        smhd: Some(Smhd::default()),
        ..minf(entry::audio(audio))
    };
    minf.stbl.sgpd.extend(entry::roll(audio));
    trak(tkhd, b"soun", audio.sample_rate(), minf)
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
