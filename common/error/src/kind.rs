use http::StatusCode;
use tonic::Code;

/// What went wrong, in the terms of `google.rpc.Code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong whatever the state of the system.
    InvalidArgument,
    /// Nobody can tell who is calling.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// There is no such resource.
    NotFound,
    /// There is such a resource already.
    AlreadyExists,
    /// The system is in a state in which this can't be done.
    FailedPrecondition,
    /// Somebody else was faster: read again and retry.
    Aborted,
    /// A quota or a capacity is used up.
    ResourceExhausted,
    /// The request goes past the end of what there is.
    OutOfRange,
    /// The caller's time was over before the work was done.
    DeadlineExceeded,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// The caller gave up.
    Cancelled,
    /// There is no such operation.
    Unimplemented,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// The gRPC code.
    pub const fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Aborted => Code::Aborted,
            Self::ResourceExhausted => Code::ResourceExhausted,
            Self::OutOfRange => Code::OutOfRange,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Cancelled => Code::Cancelled,
            Self::Unimplemented => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }

    /// The kind of a gRPC code; `UNKNOWN`, `DATA_LOSS` and, since it is no error, `OK` count as [`Self::Internal`].
    pub const fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::OutOfRange => Self::OutOfRange,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Unavailable => Self::Unavailable,
            Code::Cancelled => Self::Cancelled,
            Code::Unimplemented => Self::Unimplemented,
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => Self::Internal,
        }
    }

    /// The HTTP status that `google/rpc/code.proto` gives for the code.
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // "Client Closed Request", nginx's number; any three digits from 100 on are a status code.
            Self::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the kind is called to a person who reads a problem document.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidArgument => "Invalid argument",
            Self::Unauthenticated => "Unauthenticated",
            Self::PermissionDenied => "Permission denied",
            Self::NotFound => "Not found",
            Self::AlreadyExists => "Already exists",
            Self::FailedPrecondition => "Failed precondition",
            Self::Aborted => "Aborted",
            Self::ResourceExhausted => "Resource exhausted",
            Self::OutOfRange => "Out of range",
            Self::DeadlineExceeded => "Deadline exceeded",
            Self::Unavailable => "Unavailable",
            Self::Cancelled => "Cancelled",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_those_that_are_internal_survives_a_round_trip() {
        for number in 0..=16 {
            let code = Code::from_i32(number);
            let back = ErrorKind::from_code(code).code();
            match code {
                Code::Ok | Code::Unknown | Code::DataLoss => assert_eq!(back, Code::Internal),
                code => assert_eq!(back, code),
            }
        }
    }

    #[test]
    fn a_client_that_went_away_is_499() {
        assert_eq!(ErrorKind::Cancelled.http_status().as_u16(), 499);
    }
}
