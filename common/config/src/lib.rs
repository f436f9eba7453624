//! Configuration: the command line over the environment over a TOML file over defaults, all from one clap struct.
//!
//! An option `--data-folder` is `MARQUEE_DATA_FOLDER` in the environment and `data-folder = "..."` in the file that
//! `--config` names; a table in the file is a prefix, so that `[video-ingest] url = "..."` is `--video-ingest-url`. A key
//! that no option has is an error. `--check-config` prints what would be used, and where each value is from.
//!
//! ```no_run
//! #[derive(clap::Parser)]
//! struct Args {
//!     #[command(flatten)]
//!     grpc: marquee_config::GrpcArgs,
//!     #[command(flatten)]
//!     data: marquee_config::DataArgs,
//! }
//!
//! let args: Args = marquee_config::load();
//! ```

pub mod args;
mod command;
mod error;
mod file;
mod proxies;
mod reference;
mod report;
mod secret;

pub use args::{DataArgs, ElasticsearchArgs, GrpcArgs, KafkaArgs, MongoArgs, PostgresArgs};
pub use command::{Loaded, load, load_checked, load_from};
pub use error::Error;
pub use proxies::{Network, TrustedProxies};
pub use reference::reference;
pub use secret::Secret;

#[cfg(test)]
mod tests;
