//! `marquee reference`: the pages of docs/ that are made from the code.

mod api;
mod routes;

use std::io::Write as _;

use anyhow::Result;

/// The program's own name for `clap`'s help belongs to the pages, so that they never differ from it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which page
    #[arg(value_enum)]
    page: Page,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Page {
    /// docs/CONFIG.md: every option
    Config,
    /// docs/API.md: every service, RPC and message
    Api,
    /// The gateway's map from paths to services
    Routes,
}

const CONFIG: &str = "# Configuration

Every option can be given on the command line, in the environment, or in a TOML file that `--config` names; the command
line wins over the environment, that over the file, that over the default. In the file an option is its name without the
dashes (`reconnect-grace = 10`). An unknown key is an error. `--check-config` prints what would be used.

Made by `cargo xtask docs` from the code; do not edit.

";

pub(crate) fn run(args: &Args) -> Result<()> {
    let page = match args.page {
        Page::Config => format!("{CONFIG}{}", marquee_config::reference::<crate::Cli>()),
        Page::Api => api::page(),
        Page::Routes => routes::page(),
    };
    Ok(std::io::stdout().write_all(page.as_bytes())?)
}
