//! From the bus to a handler: the runner that every consuming service uses.

mod bury;
mod handler;
mod retries;
mod runner;
mod worker;

pub use bury::bury;
pub use handler::{BoxError, Delivery, Handler, HandlerError};
pub use retries::Retries;
pub use runner::Consumer;
