use std::time::Duration;

use marquee_error::{ErrorExt, ErrorKind, FieldViolation, Invalid};
use marquee_proto::name::{EventName, MembershipName};

use crate::store;

/// Why a request was not done, or the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The caller may not, or could not be judged.
    #[error(transparent)]
    Denied(#[from] marquee_auth::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] marquee_bus::Error),
    /// There is no such resource.
    #[error("{name} was not found")]
    NotFound {
        /// What kind of resource.
        kind: Resource,
        /// Its name.
        name: String,
    },
    /// The address belongs to an account.
    #[error("there is an account with this e-mail address")]
    EmailTaken,
    /// No account has this address and password.
    #[error("e-mail address or password is wrong")]
    BadCredentials,
    /// The address was tried too often.
    #[error("too many attempts with this e-mail address: try again later")]
    TooManyAttempts {
        /// When there is an attempt again.
        retry_after: Duration,
    },
    /// More passwords wait to be checked than there is time for.
    #[error("too many people sign in at once: try again in a moment")]
    Crowded,
    /// The refresh token is none, or its session was ended.
    #[error("the refresh token is not valid: log in again")]
    RefreshTokenInvalid,
    /// The session had its longest time.
    #[error("the session has expired: log in again")]
    SessionExpired,
    /// Somebody used the refresh token before.
    #[error("the refresh token was used before, so the session was ended: log in again")]
    RefreshTokenReused,
    /// The services' secret is another one.
    #[error("the secret is wrong")]
    BadServiceSecret,
    /// The resource is not what the caller has read.
    #[error("{0} was changed since its etag was read: read it again")]
    EtagMismatch(String),
    /// The request id belongs to another request.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// The account has a membership that is not over.
    #[error("there is a membership until {until}")]
    MembershipExists {
        /// Which.
        name: MembershipName,
        /// When its paid period ends.
        until: jiff::Timestamp,
    },
    /// The membership is over.
    #[error("{0} has expired")]
    MembershipExpired(MembershipName),
    /// The provider refused the means of payment.
    #[error("the payment was declined: {reason}")]
    PaymentDeclined {
        /// Why, for people to read.
        reason: String,
    },
    /// The provider can't say now whether it takes the payment.
    #[error("the payment provider does not answer: try again with the same request id")]
    PaymentUnavailable,
    /// Only a scheduled event can be waited for.
    #[error("{0} is not scheduled (any more)")]
    EventNotScheduled(EventName),
    /// There is nothing to buy.
    #[error("there are no tickets for {0}: it is not pay per view, or over")]
    EventNotForSale(EventName),
    /// The account has as many reminders of the event as are allowed.
    #[error("there are {max} reminders of this event, more are not allowed")]
    TooManyReminders {
        /// How many are.
        max: usize,
    },
    /// Another service does not answer.
    #[error("the {service} service is not available")]
    PeerUnavailable {
        /// Which.
        service: &'static str,
        /// What it said.
        #[source]
        source: Box<tonic::Status>,
    },
    /// Somebody else changed the same thing again and again.
    #[error("too many changes at once: try again")]
    Contended,
    /// No space is left for data.
    #[error("no space is left to store this")]
    StoreFull(#[source] BoxError),
    /// The store can't be asked now.
    #[error("the store is not available")]
    StoreUnavailable(#[source] BoxError),
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The data folder or file cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// A fault of ours.
    #[error("{what}")]
    Internal {
        /// What was being done.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
}

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Kinds of resources, for the reasons of NOT_FOUND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `accounts/{account}`.
    Account,
    /// `plans/{plan}`.
    Plan,
    /// `accounts/{account}/memberships/{membership}`.
    Membership,
    /// `channels/{channel}`.
    Channel,
    /// `channels/{channel}/events/{event}`.
    Event,
    /// `accounts/{account}/follows/{channel}`.
    Follow,
    /// `accounts/{account}/reminders/{reminder}`.
    Reminder,
}

impl Error {
    pub(crate) fn not_found(kind: Resource, name: &impl ToString) -> Self {
        Self::NotFound {
            kind,
            name: name.to_string(),
        }
    }

    pub(crate) fn internal(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Internal {
            what,
            source: source.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict => Self::Contended,
            store::Error::Full(source) => Self::StoreFull(source),
            store::Error::Unavailable(source) => Self::StoreUnavailable(source),
            store::Error::Unusable(text) => Self::Unusable(text),
            error @ (store::Error::NotFound | store::Error::AlreadyExists(_) | store::Error::Other(_)) => {
                Self::internal("the store failed", error)
            }
        }
    }
}

impl ErrorExt for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(invalid) => invalid.kind(),
            Self::Denied(denied) => denied.kind(),
            Self::Bus(bus) => bus.kind(),
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::EmailTaken => ErrorKind::AlreadyExists,
            Self::BadCredentials
            | Self::RefreshTokenInvalid
            | Self::SessionExpired
            | Self::RefreshTokenReused
            | Self::BadServiceSecret => ErrorKind::Unauthenticated,
            Self::TooManyAttempts { .. }
            | Self::Crowded
            | Self::TooManyReminders { .. }
            | Self::StoreFull(_) => ErrorKind::ResourceExhausted,
            Self::EtagMismatch(_) | Self::Contended => ErrorKind::Aborted,
            Self::RequestIdReused => ErrorKind::InvalidArgument,
            Self::MembershipExists { .. }
            | Self::MembershipExpired(_)
            | Self::PaymentDeclined { .. }
            | Self::EventNotScheduled(_)
            | Self::EventNotForSale(_)
            | Self::Config(_)
            | Self::Unusable(_) => ErrorKind::FailedPrecondition,
            Self::PaymentUnavailable | Self::PeerUnavailable { .. } | Self::StoreUnavailable(_) => {
                ErrorKind::Unavailable
            }
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(invalid) => invalid.reason(),
            Self::Denied(denied) => denied.reason(),
            Self::Bus(bus) => bus.reason(),
            Self::NotFound { kind, .. } => match kind {
                Resource::Account => "ACCOUNT_NOT_FOUND",
                Resource::Plan => "PLAN_NOT_FOUND",
                Resource::Membership => "MEMBERSHIP_NOT_FOUND",
                Resource::Channel => "CHANNEL_NOT_FOUND",
                Resource::Event => "EVENT_NOT_FOUND",
                Resource::Follow => "FOLLOW_NOT_FOUND",
                Resource::Reminder => "REMINDER_NOT_FOUND",
            },
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::BadCredentials => "BAD_CREDENTIALS",
            Self::TooManyAttempts { .. } => "TOO_MANY_ATTEMPTS",
            Self::Crowded => "TOO_MANY_LOGINS",
            Self::RefreshTokenInvalid => "REFRESH_TOKEN_INVALID",
            Self::SessionExpired => "SESSION_EXPIRED",
            Self::RefreshTokenReused => "REFRESH_TOKEN_REUSED",
            Self::BadServiceSecret => "BAD_SERVICE_SECRET",
            Self::EtagMismatch(_) => "ETAG_MISMATCH",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::MembershipExists { .. } => "MEMBERSHIP_EXISTS",
            Self::MembershipExpired(_) => "MEMBERSHIP_EXPIRED",
            Self::PaymentDeclined { .. } => "PAYMENT_DECLINED",
            Self::PaymentUnavailable => "PAYMENT_PROVIDER_UNAVAILABLE",
            Self::EventNotScheduled(_) => "EVENT_NOT_SCHEDULED",
            Self::EventNotForSale(_) => "EVENT_NOT_FOR_SALE",
            Self::TooManyReminders { .. } => "TOO_MANY_REMINDERS",
            Self::PeerUnavailable { .. } => "PEER_UNAVAILABLE",
            Self::Contended => "TOO_MANY_CHANGES",
            Self::StoreFull(_) => "DISK_FULL",
            Self::StoreUnavailable(_) => "STORE_UNAVAILABLE",
            Self::Config(_) => "CONFIG_INVALID",
            Self::Unusable(_) => "STORE_UNUSABLE",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let pair = |key: &str, value: String| vec![(key.to_owned(), value)];
        match self {
            Self::NotFound { name, .. } | Self::EtagMismatch(name) => pair("name", name.clone()),
            Self::MembershipExists { name, .. } | Self::MembershipExpired(name) => {
                pair("name", name.to_string())
            }
            Self::EventNotScheduled(name) | Self::EventNotForSale(name) => pair("name", name.to_string()),
            Self::PeerUnavailable { service, .. } => pair("service", (*service).to_owned()),
            _ => Vec::new(),
        }
    }

    fn violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(invalid) => invalid.violations(),
            Self::Denied(denied) => denied.violations(),
            Self::RequestIdReused => vec![FieldViolation {
                field: "request_id".to_owned(),
                description: "was used for another request: choose a new one".to_owned(),
            }],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Denied(denied) => denied.retry_after(),
            Self::Bus(bus) => bus.retry_after(),
            Self::TooManyAttempts { retry_after } => Some(*retry_after),
            Self::Crowded
            | Self::PaymentUnavailable
            | Self::PeerUnavailable { .. }
            | Self::StoreUnavailable(_)
            | Self::Contended => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        error.to_status()
    }
}
