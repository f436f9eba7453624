//! Types and rules: channels, live events and their states, filters, and which event a stream carries.

pub(crate) mod attach;
pub(crate) mod channel;
pub(crate) mod draft;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod text;
pub(crate) mod version;
