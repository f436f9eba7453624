//! One service as a process of its own: everything that the binaries of the fleet have in common.
//!
//! ```text
//!   main ─ configuration ─ telemetry ─ listen: alive, not ready
//!            │                           ├─ Kafka, peers, keys of subscriptions ─► Platform
//!            └─ --check-config           └─ Program::build, again and again until its store is there ─► ready
//!   SIGTERM ─ not ready ─ drain delay ─ consumers commit ─ requests are answered ─ the relay empties ─ flush ─ exit 0
//! ```
//!
//! A binary is a [`Program`] and `fn main() -> ExitCode { marquee_process::main::<Args>() }`. What is down at the start is
//! waited for: the process lives, says once what it misses, and goes on by itself when it comes.

mod args;
mod dependency;
mod help;
mod keys;
mod probe;
mod process;
mod program;
mod ready_file;
mod waiting;

pub use args::{EventsPeer, ProcessArgs, SubscriptionsPeer};
pub use dependency::Dependency;
pub use process::main;
pub use program::{Bound, Program};
