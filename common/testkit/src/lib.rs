//! What tests of the whole product share: the real process, stock clients, and waiting for what must come.
//!
//! Nothing here stands in for a part of Marquee: [`Marquee`] is the binary that users run, [`ffmpeg`] and [`browser`]
//! are the programs they use.

mod binary;
pub mod browser;
pub mod ffmpeg;
pub mod http;
#[cfg(feature = "otlp")]
pub mod otlp;
mod process;
mod wait;

pub use binary::{Binary, Listens};
pub use process::{Marquee, Person, Ready, program};
pub use wait::{wait_for, wait_until};
