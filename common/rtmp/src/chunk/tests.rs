use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{Kind, Message, Reader, Writer};
use crate::{Error, Limits};

fn message(chunk_stream: u32, timestamp: u32, kind: Kind, payload: &[u8]) -> Message {
    Message {
        chunk_stream,
        timestamp,
        kind,
        stream: 1,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn read_all(reader: &mut Reader, mut data: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut data)? {
        messages.push(message);
    }
    Ok(messages)
}

fn reader() -> Reader {
    Reader::new(&Limits::default())
}

/// A type 0 header for chunk stream 4, stream 1.
fn full_header(timestamp: u32, length: u32, kind: Kind) -> Vec<u8> {
    let mut bytes = vec![0x04];
    bytes.extend_from_slice(&timestamp.to_be_bytes()[1..]);
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.push(kind.0);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes
}

prop_compose! {
    fn any_message()(
        chunk_stream in prop_oneof![2u32..70, 300u32..330, 65_590u32..=65_599],
        timestamp in prop_oneof![0u32..100_000, any::<u32>(), 0xFF_FFF0u32..0x100_0010],
        kind in prop_oneof![Just(Kind::AUDIO), Just(Kind::VIDEO), Just(Kind::DATA_AMF0)],
        stream in 0u32..3,
        payload in prop::collection::vec(any::<u8>(), 0..700),
    ) -> Message {
        Message { chunk_stream, timestamp, kind, stream, payload: payload.into() }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_however_it_is_split(
        messages in prop::collection::vec(any_message(), 1..24),
        sizes in prop::collection::vec(1u32..400, 1..4),
        splits in prop::collection::vec(1usize..200, 1..50),
    ) {
        let mut writer = Writer::new();
        let mut bytes = BytesMut::new();
        for (index, message) in messages.iter().enumerate() {
            if let Some(size) = sizes.get(index) {
                writer.set_chunk_size(*size, &mut bytes);
            }
            writer.write(
                message.chunk_stream, message.timestamp, message.kind, message.stream, &message.payload, &mut bytes,
            );
        }
        let mut reader = Reader::new(&Limits { chunk_streams: 32, ..Limits::default() });
        let mut read = Vec::new();
        let (mut rest, mut splits) = (&bytes[..], splits.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*splits.next().unwrap()));
            read.extend(read_all(&mut reader, piece).unwrap());
            rest = after;
        }
        prop_assert_eq!(read, messages);
        prop_assert_eq!(reader.partial_bytes(), 0);
        prop_assert!(!reader.is_inside_message());
    }

    #[test]
    fn interleaved_chunk_streams_do_not_disturb_each_other(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..900), 2..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
    ) {
        // One message per chunk stream, cut at 128 bytes, the chunks dealt out in any order.
        let mut queues: Vec<Vec<Vec<u8>>> = payloads.iter().enumerate().map(|(index, payload)| {
            let id = 4 + u8::try_from(index).unwrap();
            payload.chunks(128).enumerate().map(|(chunk, body)| {
                let mut header = full_header(40, u32::try_from(payload.len()).unwrap(), Kind::VIDEO);
                header[0] = id;
                let mut bytes = if chunk == 0 { header } else { vec![0xC0 | id] };
                bytes.extend_from_slice(body);
                bytes
            }).rev().collect()
        }).collect();
        let mut reader = reader();
        let mut read = Vec::new();
        let mut order = order.iter().cycle();
        while queues.iter().any(|queue| !queue.is_empty()) {
            let open: Vec<usize> = (0..queues.len()).filter(|index| !queues[*index].is_empty()).collect();
            let chosen = open[order.next().unwrap().index(open.len())];
            let chunk = queues[chosen].pop().unwrap();
            read.extend(read_all(&mut reader, &chunk).unwrap());
            // An index that always picks the same queue is fine: it empties.
        }
        prop_assert_eq!(read.len(), payloads.len());
        for message in read {
            prop_assert_eq!(&message.payload[..], &payloads[message.chunk_stream as usize - 4][..]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_within_the_bound(
        bytes in prop::collection::vec(any::<u8>(), 0..4096),
        pieces in 1usize..64,
    ) {
        let limits = Limits { partial_bytes: 100_000, ..Limits::default() };
        let mut reader = Reader::new(&limits);
        for piece in bytes.chunks(pieces) {
            let result = read_all(&mut reader, piece);
            prop_assert!(reader.partial_bytes() <= limits.partial_bytes);
            if result.is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_type_3_header_that_begins_a_message_repeats_the_delta() {
    let mut bytes = full_header(1000, 1, Kind::AUDIO);
    bytes.push(0xAA);
    bytes.extend_from_slice(&[0x84, 0, 0, 23, 0xBB]); // type 2, delta 23
    bytes.extend_from_slice(&[0xC4, 0xCC, 0xC4, 0xDD]);
    let timestamps: Vec<u32> = read_all(&mut reader(), &bytes)
        .unwrap()
        .iter()
        .map(|message| message.timestamp)
        .collect();
    assert_eq!(timestamps, [1000, 1023, 1046, 1069]);
}

#[test]
fn ten_minutes_of_equal_silent_frames_do_not_drift() {
    // AAC at 44.1 kHz: 23.2 ms a frame, so that deltas alternate between 23 and 24 and most headers are type 3.
    let mut writer = Writer::new();
    let mut bytes = BytesMut::new();
    let frames = 600 * 44_100 / 1024;
    for frame in 0..frames {
        writer.write(
            4,
            frame * 1024 * 10 / 441,
            Kind::AUDIO,
            1,
            &[0xAF, 1, 0x21, 0x10],
            &mut bytes,
        );
    }
    let read = read_all(&mut reader(), &bytes).unwrap();
    assert_eq!(read.len(), frames as usize);
    assert_eq!(
        read.last().map(|message| message.timestamp),
        Some((frames - 1) * 1024 * 10 / 441)
    );
    assert!(bytes.len() < frames as usize * 8, "short headers are used");
}

#[test]
fn a_type_3_header_after_type_0_takes_its_timestamp_as_delta() {
    let mut bytes = full_header(40, 1, Kind::AUDIO);
    bytes.extend_from_slice(&[0xAA, 0xC4, 0xBB]);
    let read = read_all(&mut reader(), &bytes).unwrap();
    assert_eq!(read[1].timestamp, 80);
}

#[test]
fn extended_timestamps_are_repeated_on_continuations() {
    let payload = [7u8; 300];
    let mut writer = Writer::new();
    let mut bytes = BytesMut::new();
    writer.write(4, 0x0102_0304, Kind::VIDEO, 1, &payload, &mut bytes);
    assert_eq!(bytes.len(), 12 + 4 + 300 + 2 * 5);
    assert_eq!(
        read_all(&mut reader(), &bytes).unwrap(),
        [message(4, 0x0102_0304, Kind::VIDEO, &payload)]
    );
}

#[test]
fn extended_timestamps_may_be_left_out_of_continuations() {
    for length in [130u32, 131, 300] {
        let payload = vec![7u8; length as usize];
        let mut bytes = full_header(0xFF_FFFF, length, Kind::VIDEO);
        bytes.extend_from_slice(&0x0102_0304u32.to_be_bytes());
        for (index, chunk) in payload.chunks(128).enumerate() {
            if index > 0 {
                bytes.push(0xC4);
            }
            bytes.extend_from_slice(chunk);
        }
        // The next message, so that the peek at a chunk shorter than the field finds something.
        bytes.extend_from_slice(&full_header(5, 1, Kind::AUDIO));
        bytes.push(0xAA);
        let mut reader = reader();
        let read: Vec<Message> = bytes
            .chunks(1)
            .flat_map(|byte| read_all(&mut reader, byte).unwrap())
            .collect();
        assert_eq!(
            read[0],
            message(4, 0x0102_0304, Kind::VIDEO, &payload),
            "length {length}"
        );
        assert_eq!(read[1], message(4, 5, Kind::AUDIO, &[0xAA]));
    }
}

#[test]
fn timestamps_wrap() {
    let mut bytes = full_header(0xFF_FFFF, 1, Kind::AUDIO);
    bytes.extend_from_slice(&u32::MAX.to_be_bytes());
    bytes.push(0xAA);
    bytes.extend_from_slice(&[0x84, 0, 0, 3, 0xBB]);
    assert_eq!(read_all(&mut reader(), &bytes).unwrap()[1].timestamp, 2);
}

#[test]
fn abort_discards_the_unfinished_message() {
    let mut bytes = full_header(0, 200, Kind::VIDEO);
    bytes.extend_from_slice(&[1; 128]);
    bytes.extend_from_slice(&[0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 4]);
    bytes.extend_from_slice(&full_header(7, 1, Kind::VIDEO));
    bytes.push(0xAA);
    let mut reader = reader();
    assert_eq!(
        read_all(&mut reader, &bytes).unwrap(),
        [message(4, 7, Kind::VIDEO, &[0xAA])]
    );
    assert_eq!(reader.partial_bytes(), 0);
}

#[test]
fn set_chunk_size_counts_from_the_next_chunk() {
    let mut writer = Writer::new();
    let mut bytes = BytesMut::new();
    let payload = [9u8; 1000];
    writer.write(6, 0, Kind::VIDEO, 1, &payload, &mut bytes);
    writer.set_chunk_size(4096, &mut bytes);
    writer.write(6, 40, Kind::VIDEO, 1, &payload, &mut bytes);
    let expected = [
        message(6, 0, Kind::VIDEO, &payload),
        message(6, 40, Kind::VIDEO, &payload),
    ];
    assert_eq!(read_all(&mut reader(), &bytes).unwrap(), expected);
}

#[test]
fn a_chunk_size_of_0_is_refused() {
    let bytes = [0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let expected = Error::MalformedControl {
        what: "set chunk size",
        why: "the size is 0",
    };
    assert_eq!(read_all(&mut reader(), &bytes), Err(expected));
}

#[test]
fn librtmp_may_open_a_chunk_stream_with_a_type_1_header() {
    let bytes = [0x42, 0, 0, 5, 0, 0, 6, 4, 0, 3, 0, 0, 0, 0];
    let read = read_all(&mut reader(), &bytes).unwrap();
    assert_eq!(
        (read[0].timestamp, read[0].stream, read[0].kind),
        (5, 0, Kind::USER_CONTROL)
    );
}

#[test]
fn a_chunk_stream_cannot_begin_with_type_2_or_3() {
    for (byte, header_type) in [(0x84, 2), (0xC4, 3)] {
        let expected = Error::NoPreviousHeader {
            chunk_stream: 4,
            header_type,
        };
        assert_eq!(read_all(&mut reader(), &[byte, 0, 0, 0, 0]), Err(expected));
    }
}

#[test]
fn a_header_inside_a_message_is_refused() {
    for (header_type, first) in [(0, 0x04u8), (1, 0x44), (2, 0x84)] {
        let mut bytes = full_header(0, 200, Kind::VIDEO);
        bytes.extend_from_slice(&[1; 128]);
        bytes.push(first);
        bytes.extend_from_slice(&[0; 11]);
        let expected = Error::HeaderInsideMessage {
            chunk_stream: 4,
            header_type,
            received: 128,
            expected: 200,
        };
        assert_eq!(read_all(&mut reader(), &bytes), Err(expected));
    }
}

#[test]
fn a_message_beyond_the_limit_is_named() {
    let bytes = full_header(4000, 16_000_000, Kind::VIDEO);
    let error = read_all(&mut reader(), &bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "video message of 16000000 bytes at 4000 ms on chunk stream 4: at most 4194304 are taken"
    );
}

#[test]
fn sixteen_megabytes_on_a_thousand_chunk_streams_stay_within_the_bound() {
    let limits = Limits {
        message_size: 16 << 20,
        chunk_streams: 1000,
        ..Limits::default()
    };
    let mut reader = Reader::new(&limits);
    let mut ended = None;
    for id in 0..=255u8 {
        let mut bytes = full_header(0, 16_000_000, Kind::VIDEO);
        bytes.splice(..1, [0, id]);
        bytes.extend_from_slice(&[0; 128]);
        match read_all(&mut reader, &bytes) {
            Ok(_) => assert!(reader.partial_bytes() <= limits.partial_bytes),
            Err(error) => {
                ended = Some(error);
                break;
            }
        }
    }
    assert_eq!(
        ended,
        Some(Error::TooMuchPartial {
            max: limits.partial_bytes
        })
    );
}

#[test]
fn too_many_chunk_streams_are_refused() {
    let mut reader = reader();
    let error = (0..100u8).find_map(|id| {
        let mut bytes = full_header(0, 1, Kind::AUDIO);
        bytes.splice(..1, [0, id]);
        bytes.push(0);
        read_all(&mut reader, &bytes).err()
    });
    assert_eq!(error, Some(Error::TooManyChunkStreams { max: 32 }));
}

#[test]
fn a_declared_length_alone_allocates_little() {
    let mut reader = reader();
    read_all(&mut reader, &full_header(0, 4_000_000, Kind::VIDEO)).unwrap();
    assert!(reader.partial_bytes() <= 64 << 10);
}
