//! The RTMP edge: sockets around `marquee_rtmp`'s session, and its messages turned into the packager's terms.

mod admission;
mod connection;
mod listener;
mod play;
mod proxy;
mod socket;
mod tls;
mod translate;

pub(crate) use admission::Admission;
pub(crate) use listener::Listener;
pub use tls::Error as TlsError;
pub(crate) use tls::Tls;
