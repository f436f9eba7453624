//! One `moof` and `mdat`. The boxes around the media are written here rather than by `mp4-atom`, since they are the only
//! bytes that are made five times a second for each stream; a test reads them back with it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{NON_SYNC, SYNC};

/// A CMAF chunk: one `moof` and one `mdat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The segment it belongs to.
    pub msn: u64,
    /// Counted from zero within the segment.
    pub index: u32,
    /// Which initialization segment it needs.
    pub generation: u32,
    /// Microseconds.
    pub duration_us: i64,
    /// Whether it starts with a keyframe (or is audio only).
    pub independent: bool,
    chunks: Vec<Bytes>,
    len: usize,
}

impl Part {
    /// The bytes in order: the boxes first, then the frames as they came in.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
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
            generation: 0,
            duration_us: 0,
            independent: false,
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
        let layouts = [Layout::of(&runs[0].samples), Layout::of(&runs[1].samples)];
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
    fn of(samples: &[Sample]) -> Self {
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
        // The track's default says that the samples of video are not sync, and those of audio are: the first may differ.
        trun_flags |= if samples[1..].iter().all(|sample| !sample.sync) {
            FIRST_FLAGS
        } else {
            FLAGS
        };
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
