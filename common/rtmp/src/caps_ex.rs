//! `capsEx` of `connect` and its answer (E-RTMP "Enhancing NetConnection connect Command").

/// Follows a reconnect request.
pub const RECONNECT: u32 = 1;
/// Understands messages of several tracks.
pub const MULTITRACK: u32 = 2;
/// Understands ModEx prefixes.
pub const MOD_EX: u32 = 4;
/// Understands nanosecond offsets.
pub const TIMESTAMP_NANO_OFFSET: u32 = 8;

/// What both of our sessions say.
pub(crate) const ALL: u32 = RECONNECT | MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET;
