//! `cargo xtask docs`: the pages that are made from the code.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use marquee_fleet::Kind;

use crate::fleet;
use crate::run::top;

/// What comes before the services of the fleet.
const FLEET: &str = "
# The fleet

Six programs, built with `--features fleet`; each is told where its servers and peers are.

";

/// Writes docs/CONFIG.md, docs/API.md and the gateway's routes. Tests fail when they are not what the code says.
pub(crate) fn run() -> Result<()> {
    let programs = fleet::build(false)?;
    let marquee = programs.join("marquee");
    for (page, file) in [
        ("config", "docs/CONFIG.md"),
        ("api", "docs/API.md"),
        ("routes", "deploy/nginx/templates/routes.inc.template"),
    ] {
        let mut text = said(Command::new(&marquee).args(["reference", page]))?;
        if page == "config" {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(FLEET);
            for kind in Kind::ALL {
                let program = programs.join(kind.program());
                text.push_str(said(Command::new(program).arg("--reference"))?.trim_end());
                text.push_str("\n\n");
            }
            text.pop();
        }
        std::fs::write(top().join(file), text)?;
        println!("wrote {file}");
    }
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    let made = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !made.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(String::from_utf8(made.stdout)?)
}
