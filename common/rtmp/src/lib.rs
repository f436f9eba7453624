//! Sans-IO RTMP: bytes in, events and bytes out.
//!
//! ```text
//!            ┌──────────────────────── ServerSession / ClientSession ────────────────────────┐
//!  socket ──►│ handshake ─► chunk::Reader ─► commands ─► what the application is asked        │──► Event
//!            │                            └► media    ─► payload as one `Bytes`, untouched    │
//!  socket ◄──│ output()  ◄─ chunk::Writer ◄─ replies  ◄─ accept / reject / send_video ...     │◄── caller
//!  timer  ──►│ deadline(), tick(now)                                                          │
//!            └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A session owns no socket, no task and no clock. Time is a [`Duration`](std::time::Duration) since an epoch that the
//! caller chooses once per session. Input is *pulled*: `input` consumes bytes until something happened and hands out
//! one event at a time, so that no queue of events can grow and the caller may await (the decision about a stream
//! key, for example) between two events while TCP holds the peer back.
//!
//! Every buffer is bounded by [`Limits`]; whatever exceeds one ends the session with an [`Error`] that says which.
//! Rules come from Adobe's "Real-Time Messaging Protocol" 1.0 (below: RTMP), the "Action Message Format -- AMF 0", the
//! "Video File Format Specification" 10.1 (FLV) and Veovera's "Enhanced RTMP (V2)" (E-RTMP).
//!
//! # Example: a server and a client talk in memory
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use marquee_rtmp::{ClientSession, Limits, ServerSession, client, server};
//!
//! # fn main() -> Result<(), marquee_rtmp::Error> {
//! let now = Duration::ZERO;
//! let mut server = ServerSession::new(Limits::default(), now);
//! let target: marquee_rtmp::Url = "rtmp://localhost/live/secret-key".parse()?;
//! let mut encoder = ClientSession::publish(&target, Limits::default(), now);
//! let mut frames = 0;
//!
//! for _ in 0..10 {
//!     let sent = encoder.take_output();
//!     let mut data = &sent[..];
//!     while let Some(event) = server.input(&mut data, now)? {
//!         match event {
//!             server::Event::ConnectRequested(connect) => server.accept(connect.request)?,
//!             server::Event::PublishRequested(publish) => {
//!                 assert_eq!(publish.app, "live");
//!                 match publish.key.expose() {
//!                     "secret-key" => server.accept(publish.request)?,
//!                     _ => server.reject(publish.request, &server::Rejection::denied("unknown stream key"))?,
//!                 }
//!             }
//!             server::Event::Video(frame) => {
//!                 assert_eq!(frame.timestamp, 40);
//!                 frames += 1;
//!             }
//!             _ => {}
//!         }
//!     }
//!     let answered = server.take_output();
//!     let mut data = &answered[..];
//!     while let Some(event) = encoder.input(&mut data, now)? {
//!         if let client::Event::PublishStarted = event {
//!             encoder.send_video(40, &Bytes::from_static(&[0x17, 1, 0, 0, 0]))?;
//!         }
//!     }
//! }
//! assert_eq!(frames, 1);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

pub mod amf0;
pub mod amf3;
pub mod chunk;
pub mod client;
pub mod flv;
pub mod fuzz;
pub mod handshake;
pub mod media;
pub mod metadata;
pub mod server;

pub mod caps_ex;

mod aggregate;
mod command;
mod connection;
mod control;
mod error;
mod limits;
mod stream_key;
mod url;

pub use client::ClientSession;
pub use connection::Media;
pub use error::{Error, Result};
pub use limits::Limits;
pub use server::ServerSession;
pub use stream_key::StreamKey;
pub use url::Url;
