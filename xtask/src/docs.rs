//! `cargo xtask docs`: the pages that are made from the code.

use anyhow::{Result, bail};

use crate::run::{cargo, top};

/// Writes docs/CONFIG.md, docs/API.md and the gateway's routes. A test fails when they are not what the code says.
pub(crate) fn run() -> Result<()> {
    for (page, file) in [
        ("config", "docs/CONFIG.md"),
        ("api", "docs/API.md"),
        ("routes", "deploy/nginx/templates/routes.inc.template"),
    ] {
        let made = cargo()
            .args(["run", "--quiet", "--package", "marquee", "--", "reference", page])
            .output()?;
        if !made.status.success() {
            bail!(
                "`marquee reference {page}` failed: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        std::fs::write(top().join(file), made.stdout)?;
        println!("wrote {file}");
    }
    Ok(())
}
