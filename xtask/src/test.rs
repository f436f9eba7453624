//! `cargo xtask test`: one command, everything that must hold without a server; with `--backends`, what needs real ones.

use anyhow::Result;

use crate::run::{cargo, check, program, top};
use crate::{backends, tools, web};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the tests that need real servers instead, on fresh ones of their own
    #[arg(long)]
    backends: bool,
    /// Options of `cargo test`, for example `-p marquee-rtmp` in place of the whole workspace
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.backends {
        return backends::suites(&args.options);
    }
    tools::require(&[
        &tools::CC,
        &tools::CXX,
        &tools::NODE,
        &tools::NPM,
        &tools::FFMPEG,
        &tools::CHROMIUM,
        &tools::CURL,
        &tools::NGINX,
    ])?;
    web::build()?;
    if args.options.is_empty() {
        check(program("npm", &top().join("web")).args(["test", "--silent"]))?;
    }
    let mut test = cargo();
    test.args(["test", "--no-fail-fast"]);
    if args.options.is_empty() {
        // The package `marquee` has tests of its binary, so that the binary is there for the journeys too. All features,
        // as with `--backends` and in the lints: what they depend on is compiled once for all of them.
        test.args(["--workspace", "--all-features"]);
    } else {
        check(cargo().args(["build", "--package", "marquee"]))?;
    }
    check(test.args(&args.options))
}
