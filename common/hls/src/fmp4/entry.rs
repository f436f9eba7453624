//! Sample entries: what a decoder is told before the first sample.

use bytes::Bytes;
use mp4_atom::{
    AnySampleGroupEntry, Audio, Av01, Av1c, Avc1, Avcc, AvccExt, Codec, Colr, Dops, FourCC, Hvc1, HvcCArray,
    Hvcc, Mp4a, Opus as OpusEntry, OpusChannelMapping, Sgpd, SgpdEntry, Visual, Vp09, VpcC, esds,
};

use super::AUDIO_TRACK;
use crate::codec::{Aac, Av1, Avc, Hevc, Opus, Vp9};
use crate::{AudioConfig, VideoConfig};

pub(super) fn video(config: &VideoConfig) -> Codec {
    let (width, height) = config.resolution();
    let visual = Visual {
        data_reference_index: 1,
        width,
        height,
        ..Visual::default()
    };
    match config {
        VideoConfig::Avc(avc) => avc1(avc, visual),
        VideoConfig::Hevc(hevc) => hvc1(hevc, visual),
        VideoConfig::Av1(av1) => av01(av1, visual),
        VideoConfig::Vp9(vp9) => vp09(vp9, visual),
    }
}

pub(super) fn audio(config: &AudioConfig) -> Codec {
    match config {
        AudioConfig::Aac(aac) => mp4a(aac),
        AudioConfig::Opus(opus) => opus_entry(opus),
    }
}

fn to_vecs(sets: &[Bytes]) -> Vec<Vec<u8>> {
    sets.iter().map(|set| set.to_vec()).collect()
}

fn avc1(avc: &Avc, visual: Visual) -> Codec {
    Codec::Avc1(Avc1 {
        visual,
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
    })
}

/// `hvc1`, which Apple's players ask for: all parameter sets are in the entry.
fn hvc1(hevc: &Hevc, visual: Visual) -> Codec {
    let array = |(nal_unit_type, units): &(u8, Vec<Bytes>)| HvcCArray {
        completeness: true,
        nal_unit_type: *nal_unit_type,
        nalus: to_vecs(units),
    };
    Codec::Hvc1(Hvc1 {
        visual,
        hvcc: Hvcc {
            configuration_version: 1,
            general_profile_space: hevc.profile.space,
            general_tier_flag: hevc.profile.high_tier,
            general_profile_idc: hevc.profile.profile,
            general_profile_compatibility_flags: hevc.profile.compatibility.to_be_bytes(),
            general_constraint_indicator_flags: hevc.profile.constraints,
            general_level_idc: hevc.profile.level,
            min_spatial_segmentation_idc: hevc.layers.min_spatial_segmentation,
            parallelism_type: hevc.layers.parallelism,
            chroma_format_idc: hevc.chroma_format,
            bit_depth_luma_minus8: hevc.bit_depth[0].saturating_sub(8),
            bit_depth_chroma_minus8: hevc.bit_depth[1].saturating_sub(8),
            avg_frame_rate: hevc.layers.average_frame_rate,
            constant_frame_rate: hevc.layers.constant_frame_rate,
            num_temporal_layers: hevc.layers.temporal_layers,
            temporal_id_nested: hevc.layers.temporal_id_nested,
            length_size_minus_one: hevc.length_size - 1,
            arrays: hevc.arrays.iter().map(array).collect(),
        },
        ..Hvc1::default()
    })
}

fn av01(av1: &Av1, visual: Visual) -> Codec {
    let format = &av1.format;
    let colr = format.colour.map(|[primaries, transfer, matrix]| Colr::Nclx {
        colour_primaries: primaries.into(),
        transfer_characteristics: transfer.into(),
        matrix_coefficients: matrix.into(),
        full_range_flag: format.full_range,
    });
    Codec::Av01(Av01 {
        visual,
        av1c: Av1c {
            seq_profile: format.profile,
            seq_level_idx_0: format.level,
            seq_tier_0: format.high_tier,
            high_bitdepth: format.bit_depth > 8,
            twelve_bit: format.bit_depth == 12,
            monochrome: format.monochrome,
            chroma_subsampling_x: format.subsampling[0],
            chroma_subsampling_y: format.subsampling[1],
            chroma_sample_position: format.sample_position,
            initial_presentation_delay: av1.presentation_delay,
            config_obus: [&av1.sequence_header[..], &av1.metadata].concat(),
        },
        colr,
        ..Av01::default()
    })
}

fn vp09(vp9: &Vp9, visual: Visual) -> Codec {
    let [color_primaries, transfer_characteristics, matrix_coefficients] = vp9.colour;
    Codec::Vp09(Vp09 {
        visual,
        vpcc: VpcC {
            profile: vp9.profile,
            level: vp9.level(),
            bit_depth: vp9.bit_depth,
            chroma_subsampling: vp9.chroma_subsampling,
            video_full_range_flag: vp9.full_range,
            color_primaries,
            transfer_characteristics,
            matrix_coefficients,
            codec_initialization_data: Vec::new(),
        },
        ..Vp09::default()
    })
}

fn mp4a(aac: &Aac) -> Codec {
    Codec::Mp4a(Mp4a {
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
    })
}

/// Encapsulation of Opus in ISO Base Media File Format 4.3.1, 4.3.2.
fn opus_entry(opus: &Opus) -> Codec {
    Codec::Opus(OpusEntry {
        audio: Audio {
            data_reference_index: 1,
            channel_count: opus.channels.into(),
            sample_size: 16,
            sample_rate: 48_000.into(),
        },
        dops: Dops {
            output_channel_count: opus.channels,
            pre_skip: opus.pre_skip,
            input_sample_rate: opus.input_sample_rate,
            output_gain: opus.output_gain,
            channel_mapping: opus.mapping.as_ref().map(|mapping| OpusChannelMapping {
                family: mapping.family,
                stream_count: mapping.streams,
                coupled_count: mapping.coupled,
                channel_mapping: mapping.channels.clone(),
            }),
        },
        btrt: None,
    })
}

/// How far before a place decoding must begin, so that the sound there is right: for Opus, 80 ms (the same, 4.3.6). It is the
/// default of all samples, so that parts need not repeat it.
pub(super) fn roll(config: &AudioConfig) -> Option<Sgpd> {
    let roll = FourCC::new(b"roll");
    let packets: i16 = match config {
        AudioConfig::Opus(_) => -4,
        AudioConfig::Aac(_) => return None,
    };
    Some(Sgpd {
        grouping_type: roll,
        default_length: Some(2),
        default_group_description_index: Some(1),
        static_group_description: false,
        static_mapping: false,
        essential: false,
        entries: vec![SgpdEntry {
            description_length: None,
            entry: AnySampleGroupEntry::UnknownGroupingType(roll, packets.to_be_bytes().to_vec()),
        }],
    })
}
