//! Whatever a peer sends: no panic, and memory within the limits.

use marquee_rtmp::fuzz;
use proptest::prelude::*;

/// Bytes that look like chunks, so that more than the first header is reached.
fn chunk_like() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (
        0u8..4,
        2u8..8,
        any::<[u8; 3]>(),
        0u8..3,
        any::<u8>(),
        1u8..23,
        prop::collection::vec(any::<u8>(), 0..200),
    );
    prop::collection::vec(chunk, 0..20).prop_map(|chunks| {
        let mut bytes = Vec::new();
        for (header, id, time, length_high, length, kind, payload) in chunks {
            bytes.push(header << 6 | id);
            if header < 3 {
                bytes.extend_from_slice(&time);
            }
            if header < 2 {
                bytes.extend_from_slice(&[0, length_high, length, kind]);
            }
            if header == 0 {
                bytes.extend_from_slice(&[1, 0, 0, 0]);
            }
            bytes.extend_from_slice(&payload);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn in_any_buffer(data in prop::collection::vec(any::<u8>(), 0..2048)) {
        fuzz::buffers(&data);
    }

    #[test]
    fn as_chunks(data in chunk_like(), piece in 1usize..300) {
        fuzz::chunks(&data, piece);
    }

    #[test]
    fn to_a_server(data in chunk_like(), piece in 1usize..3000, raw: bool) {
        fuzz::server(&data, piece, raw);
    }

    #[test]
    fn to_a_client(data in chunk_like(), piece in 1usize..3000) {
        fuzz::client(&data, piece);
    }
}
