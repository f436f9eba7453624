//! docs/CONFIG.md is what the services of the fleet say of themselves.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::program;

#[test]
#[ignore = "needs programs"]
fn the_documented_options_of_the_fleet_are_what_the_programs_take() -> Result<()> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md"))?;
    let (_, mut fleet) = page.split_once("\n# The fleet\n").context("no section")?;
    for service in [
        "subscriptions",
        "events",
        "video-ingest",
        "notifications",
        "search",
        "analytics",
    ] {
        let output = Command::new(program(&format!("marquee-{service}"))?)
            .arg("--reference")
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let made = String::from_utf8(output.stdout)?;
        let (_, rest) = fleet.split_once(made.trim_end()).with_context(|| {
            format!("what {service} says is not in docs/CONFIG.md: run `cargo xtask docs`")
        })?;
        fleet = rest;
    }
    ensure!(fleet.trim().is_empty(), "what nobody says: {fleet}");
    Ok(())
}
