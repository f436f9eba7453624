//! Conversions between `google.protobuf` times and [`jiff`].

use std::time::Duration;

use jiff::Timestamp;

/// A protobuf timestamp of the same moment.
pub fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    // jiff allows negative nanoseconds before 1970, protobuf does not.
    let nanos = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

/// The same moment, or `None` when it is outside the years -9999 to 9999 or its nanoseconds are not 0 to 999,999,999.
pub fn from_proto(time: &prost_types::Timestamp) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&time.nanos) {
        return None;
    }
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A protobuf duration of the same length.
pub fn duration_to_proto(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// The same length, or `None` when it is negative or ill formed.
pub fn duration_from_proto(duration: &prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(duration.nanos)
        .ok()
        .filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_1970_keeps_its_nanoseconds_positive() {
        let time = Timestamp::new(-2, -250_000_000).unwrap();
        let proto = to_proto(time);
        assert_eq!((proto.seconds, proto.nanos), (-3, 750_000_000));
        assert_eq!(from_proto(&proto), Some(time));
    }

    #[test]
    fn ill_formed_times_are_refused() {
        assert_eq!(
            from_proto(&prost_types::Timestamp {
                seconds: 0,
                nanos: -1
            }),
            None
        );
        assert_eq!(
            from_proto(&prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0
            }),
            None
        );
        assert_eq!(
            duration_from_proto(&prost_types::Duration {
                seconds: -1,
                nanos: 0
            }),
            None
        );
    }
}
