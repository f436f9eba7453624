//! What the errors of a MongoDB server mean to those who keep something on it: one table for all of them.
//!
//! Only rooms that hold a MongoDB adapter depend on this one, and no type of the driver goes on from them.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// Two transactions met in a document (`WriteConflict`): the same may succeed in a moment.
pub const WRITE_CONFLICT: i32 = 112;
/// A unique index has this key already (`DuplicateKey`).
pub const DUPLICATE_KEY: i32 = 11_000;
/// The server has no room for more (`OutOfDiskSpace`).
pub const OUT_OF_DISK_SPACE: i32 = 14_031;

/// What a server says that may do the same later: one that starts, stops or steps down, is too busy, waits too long for its
/// majority, or does not let us in yet. Names as in the server's `error_codes.yml`.
const AWAY: [i32; 24] = [
    6,      // HostUnreachable
    7,      // HostNotFound
    18,     // AuthenticationFailed: users are made after the server has started
    50,     // MaxTimeMSExpired
    64,     // WriteConcernTimeout
    89,     // NetworkTimeout
    91,     // ShutdownInProgress
    134,    // ReadConcernMajorityNotAvailableYet
    189,    // PrimarySteppedDown
    202,    // NetworkInterfaceExceededTimeLimit
    239,    // SnapshotTooOld: the next read takes a new one
    246,    // SnapshotUnavailable
    262,    // ExceededTimeLimit
    317,    // ConnectionPoolExpired
    365,    // TemporarilyUnavailable
    384,    // ConnectionError
    433,    // AdmissionQueueOverflow
    9_001,  // SocketException
    10_058, // LegacyNotPrimary
    10_107, // NotWritablePrimary
    11_600, // InterruptedAtShutdown
    11_602, // InterruptedDueToReplStateChange
    13_435, // NotPrimaryNoSecondaryOk
    13_436, // NotPrimaryOrSecondary
];

/// The server's code for it, if it answered at all.
pub fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        _ => None,
    }
}

/// Whether there was no server that could do it now, so that waiting may help. A conflict is not among these.
pub fn is_away(error: &Error) -> bool {
    matches!(
        &*error.kind,
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::Shutdown
    ) || code(error).is_some_and(passes)
}

/// Whether a server that answers with this code may do the same later.
pub fn passes(code: i32) -> bool {
    AWAY.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_there_once() {
        assert!(AWAY.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn lasting_refusals_are_not_among_those_that_pass() {
        for lasting in [
            2,   // BadValue
            13,  // Unauthorized
            121, // DocumentValidationFailure
            WRITE_CONFLICT,
            DUPLICATE_KEY,
            OUT_OF_DISK_SPACE,
        ] {
            assert!(!passes(lasting), "{lasting}");
        }
    }

    #[test]
    fn a_connection_that_broke_is_away_and_an_argument_that_is_wrong_is_not() {
        assert!(is_away(&std::io::Error::other("reset").into()));
        assert!(!is_away(&Error::custom("no")));
    }
}
