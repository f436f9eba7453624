//! One `moof` and `mdat`. The boxes around the media are written here rather than by `mp4-atom`, since they are the only
//! bytes that are made five times a second for each stream; a test reads them back with it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{AUDIO_TRACK, NON_SYNC, SYNC};
use crate::UtcMicros;

/// A CMAF chunk: one `moof` and one `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The segment it belongs to.
    pub msn: u64,
    /// Counted from zero within the segment.
    pub index: u32,
    /// Names the publish it belongs to, see [`crate::part_name`]: the first generation of it.
    pub run: u32,
    /// Counted from zero within the publish, across segments.
    pub number: u64,
    /// Which initialization segment it needs.
    pub generation: u32,
    /// Microseconds.
    pub duration_us: i64,
    /// Whether it starts with a keyframe (or is audio only).
    pub independent: bool,
    /// Whether `EXT-X-DISCONTINUITY` stands before its segment.
    pub discontinuity: bool,
    /// The wall clock of the first sample of its segment.
    pub program_date_time: UtcMicros,
    chunks: Vec<Bytes>,
    len: usize,
}

impl Part {
    /// The bytes in order: the boxes first, then the frames as they came in.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The name that playlists give it.
    pub fn name(&self) -> String {
        crate::part_name(self.run, self.number)
    }

    /// Bytes of all chunks.
    #[expect(clippy::len_without_is_empty, reason = "a part is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// What stays the same when it is named anew in a later place.
    pub(crate) fn new(chunks: Vec<Bytes>) -> Self {
        Self {
            msn: 0,
            index: 0,
            run: 0,
            number: 0,
            generation: 0,
            duration_us: 0,
            independent: false,
            discontinuity: false,
            program_date_time: UtcMicros::default(),
            len: chunks.iter().map(Bytes::len).sum(),
            chunks,
        }
    }
}

/// One coded frame with its place in the track's timescale.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Written before the data; mostly empty.
    pub(crate) head: Bytes,
    pub(crate) data: Bytes,
    pub(crate) duration: u32,
    pub(crate) composition: i32,
    pub(crate) sync: bool,
}

/// The samples of one track in a part.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) track_id: u32,
    /// Decode time of the first sample, in the track's timescale.
    pub(crate) start: i64,
    pub(crate) samples: Vec<Sample>,
}

/// Whether the initialization segment calls a track's samples sync unless a part says otherwise.
fn default_sync(track_id: u32) -> bool {
    track_id == AUDIO_TRACK
}

impl Sample {
    fn len(&self) -> usize {
        self.head.len() + self.data.len()
    }
}

impl Run {
    pub(crate) fn new(track_id: u32) -> Self {
        Self {
            track_id,
            start: 0,
            samples: Vec::new(),
        }
    }
}

/// Numbers the parts.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    sequence_number: u32,
}

impl Writer {
    /// Takes the samples out of the runs, which keep their capacity. `None` if there are none.
    pub(crate) fn write(&mut self, runs: [&mut Run; 2]) -> Option<Part> {
        let count: usize = runs.iter().map(|run| run.samples.len()).sum();
        if count == 0 {
            return None;
        }
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let layouts = [Layout::of(runs[0]), Layout::of(runs[1])];
        let moof_len = 8 + 16 + layouts.iter().map(|layout| layout.traf_len).sum::<usize>();
        let mut boxes = BytesMut::with_capacity(moof_len + 16);
        box_header(&mut boxes, moof_len, b"moof");
        box_header(&mut boxes, 16, b"mfhd");
        boxes.put_u32(0);
        boxes.put_u32(self.sequence_number);
        let mut payload = 0usize;
        for (run, layout) in runs.iter().zip(&layouts) {
            if layout.traf_len > 0 {
                layout.write(run, moof_len + 8 + payload, &mut boxes);
                payload += run.samples.iter().map(Sample::len).sum::<usize>();
            }
        }
        // A part is bounded far below 4 GiB by the segmenter.
        box_header(&mut boxes, 8 + payload, b"mdat");
        let mut chunks = Vec::with_capacity(1 + count);
        chunks.push(boxes.freeze());
        for run in runs {
            for sample in run.samples.drain(..) {
                if !sample.head.is_empty() {
                    chunks.push(sample.head);
                }
                chunks.push(sample.data);
            }
        }
        Some(Part::new(chunks))
    }
}

fn box_header(buffer: &mut BytesMut, len: usize, kind: &[u8; 4]) {
    buffer.put_u32(len as u32);
    buffer.put_slice(kind);
}

const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;

/// Which fields the samples of a `traf` need.
struct Layout {
    traf_len: usize,
    trun_len: usize,
    trun_flags: u32,
}

impl Layout {
    fn of(run: &Run) -> Self {
        let samples = &run.samples[..];
        let Some(first) = samples.first() else {
            return Self {
                traf_len: 0,
                trun_len: 0,
                trun_flags: 0,
            };
        };
        let mut trun_flags = DATA_OFFSET | SIZE;
        if samples.iter().any(|sample| sample.duration != first.duration) {
            trun_flags |= DURATION;
        }
        if samples.iter().any(|sample| sample.composition != 0) {
            trun_flags |= COMPOSITION;
        }
        let default = default_sync(run.track_id);
        if samples[1..].iter().any(|sample| sample.sync != default) {
            trun_flags |= FLAGS;
        } else if first.sync != default {
            trun_flags |= FIRST_FLAGS;
        }
        let per_sample = 4 * (trun_flags & (DURATION | SIZE | FLAGS | COMPOSITION)).count_ones();
        let first_flags = if trun_flags & FIRST_FLAGS == 0 { 0 } else { 4 };
        let trun_len = 20 + first_flags + samples.len() * per_sample as usize;
        Self {
            traf_len: 8 + 20 + 20 + trun_len,
            trun_len,
            trun_flags,
        }
    }

    fn write(&self, run: &Run, data_offset: usize, buffer: &mut BytesMut) {
        let flags = |sample: &Sample| if sample.sync { SYNC } else { NON_SYNC };
        let first = &run.samples[0];
        box_header(buffer, self.traf_len, b"traf");
        box_header(buffer, 20, b"tfhd");
        buffer.put_u32(DEFAULT_BASE_IS_MOOF | DEFAULT_DURATION);
        buffer.put_u32(run.track_id);
        buffer.put_u32(first.duration);
        box_header(buffer, 20, b"tfdt");
        buffer.put_u32(1 << 24);
        buffer.put_i64(run.start);
        box_header(buffer, self.trun_len, b"trun");
        // Version 1: composition offsets are signed.
        buffer.put_u32(1 << 24 | self.trun_flags);
        buffer.put_u32(run.samples.len() as u32);
        buffer.put_u32(data_offset as u32);
        if self.trun_flags & FIRST_FLAGS != 0 {
            buffer.put_u32(flags(first));
        }
        for sample in &run.samples {
            if self.trun_flags & DURATION != 0 {
                buffer.put_u32(sample.duration);
            }
            buffer.put_u32(sample.len() as u32);
            if self.trun_flags & FLAGS != 0 {
                buffer.put_u32(flags(sample));
            }
            if self.trun_flags & COMPOSITION != 0 {
                buffer.put_i32(sample.composition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode, DecodeMaybe, Header, Moof};
    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = Vec<(u32, i32, bool, Vec<u8>, bool)>> {
        let bytes = prop::collection::vec(any::<u8>(), 1..20);
        let one = (1u32..5_000, -3_000i32..9_000, any::<bool>(), bytes, any::<bool>());
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn another_reader_finds_every_sample(video in samples(), audio in samples(), start in 0i64..1 << 40) {
            let run = |track_id, list: &[(u32, i32, bool, Vec<u8>, bool)]| Run {
                track_id,
                start,
                samples: list.iter().map(|(duration, composition, sync, data, split)| {
                    let data = Bytes::from(data.clone());
                    let at = if *split { data.len() / 2 } else { 0 };
                    Sample {
                        head: data.slice(..at),
                        data: data.slice(at..),
                        duration: *duration,
                        composition: *composition,
                        sync: *sync,
                    }
                }).collect(),
            };
            let part = Writer::default().write([&mut run(1, &video), &mut run(2, &audio)]);
            let Some(part) = part else {
                prop_assert!(video.is_empty() && audio.is_empty());
                return Ok(());
            };
            let bytes: Vec<u8> = part.chunks().iter().flatten().copied().collect();
            prop_assert_eq!(bytes.len(), part.len());
            let mut rest = &bytes[..];
            let moof = Moof::decode_maybe(&mut rest).unwrap().unwrap();
            let mdat = Header::decode(&mut rest).unwrap();
            prop_assert_eq!(mdat.size, Some(rest.len()));
            let lists = [(1, &video), (2, &audio)].into_iter().filter(|(_, list)| !list.is_empty());
            prop_assert_eq!(moof.traf.len(), lists.clone().count());
            for (traf, (track, list)) in moof.traf.iter().zip(lists) {
                prop_assert_eq!(traf.tfhd.track_id, track);
                prop_assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, start as u64);
                let mut at = traf.trun[0].data_offset.unwrap() as usize;
                prop_assert_eq!(traf.trun[0].samples.len(), list.len());
                for (entry, (duration, composition, sync, data, _)) in traf.trun[0].samples.iter().zip(list) {
                    let size = entry.size.unwrap() as usize;
                    prop_assert_eq!(&bytes[at..at + size], &data[..]);
                    at += size;
                    prop_assert_eq!(entry.duration.or(traf.tfhd.default_sample_duration), Some(*duration));
                    prop_assert_eq!(entry.cts.unwrap_or(0), i64::from(*composition));
                    let flags = |sync| if sync { SYNC } else { NON_SYNC };
                    let found = entry.flags.unwrap_or(flags(track == AUDIO_TRACK));
                    prop_assert_eq!(found, flags(*sync));
                }
            }
        }
    }
}
