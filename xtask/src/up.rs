//! `cargo xtask up`: from a fresh clone to the product.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, check, target_dir};
use crate::{tools, web};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build with optimisations (slower to build, faster to run)
    #[arg(long)]
    release: bool,
    /// Build only, do not run
    #[arg(long)]
    build_only: bool,
    /// Options of `marquee up`, for example --demo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    tools::require(&[&tools::CC, &tools::NODE, &tools::NPM])?;
    let dist = web::build()?;
    let mut build = cargo();
    build.args(["build", "--package", "marquee"]);
    if args.release {
        build.arg("--release");
    }
    check(&mut build)?;
    if args.build_only {
        return Ok(());
    }
    let profile = if args.release { "release" } else { "debug" };
    let mut marquee = Command::new(target_dir().join(profile).join("marquee"));
    marquee.arg("up").arg("--pages").arg(dist).args(&args.options);
    // The server takes this process's place, so that a signal reaches it and its exit code is ours.
    Err(marquee.exec().into())
}
