//! `cargo xtask chaos`: the fleet under load while its parts are killed, and what that costs.

use anyhow::Result;

use crate::run::{cargo, check};
use crate::{fleet, tools};

/// Each part about five times.
const KILLS: u32 = 50;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often a part is killed: each once in an order by chance, then each again
    #[arg(long, default_value_t = KILLS)]
    kills: u32,
    /// How often a part is frozen for 5 seconds, besides
    #[arg(long, default_value_t = 11)]
    pauses: u32,
    /// What chance begins with; the same again kills in the same order
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    tools::require(&[&tools::CC, &tools::CXX, &tools::NGINX_STREAM, &tools::OPENSSL])?;
    let home = marquee_backends::Home::default()?;
    for backend in marquee_backends::Backend::FLEET {
        marquee_backends::install(&home, backend, &mut |line| println!("  {backend:14} {line}"))?;
    }
    fleet::build(false)?;
    let mut test = cargo();
    test.args(["test", "--package", "marquee-tests", "--features", "kafka"])
        .args(["--test", "chaos", "--", "--ignored", "--nocapture"])
        .env("MARQUEE_CHAOS_KILLS", args.kills.to_string())
        .env("MARQUEE_CHAOS_PAUSES", args.pauses.to_string());
    if let Some(seed) = args.seed {
        test.env("MARQUEE_CHAOS_SEED", seed.to_string());
    }
    check(&mut test)
}
