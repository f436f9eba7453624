//! Types and rules; nothing here knows gRPC, SQL or a clock.

pub(crate) mod account;
pub(crate) mod attempts;
pub(crate) mod country;
pub(crate) mod email;
pub(crate) mod follow;
pub(crate) mod membership;
pub(crate) mod money;
pub(crate) mod page;
pub(crate) mod payment;
pub(crate) mod plan;
pub(crate) mod reminder;
pub(crate) mod session;
pub(crate) mod text;
pub(crate) mod ticket;
pub(crate) mod version;
