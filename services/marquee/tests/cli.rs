//! The command line: help, references, and what is said when something is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

fn marquee(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_marquee"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_documented_references_are_what_the_code_says() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (page, file) in [
        ("config", "docs/CONFIG.md"),
        ("api", "docs/API.md"),
        ("routes", "deploy/nginx/templates/routes.inc.template"),
    ] {
        let made = marquee(&["reference", page]);
        let written = std::fs::read_to_string(top.join(file)).unwrap();
        // The services of the fleet come after it; tests/tests/reference.rs compares them.
        let own = written.split("\n# The fleet\n").next().unwrap().trim_end();
        assert!(
            String::from_utf8(made.stdout).unwrap().trim_end() == own,
            "{file} is stale: run `cargo xtask docs`"
        );
    }
}

#[test]
fn help_names_every_option_with_its_default() {
    let help = said(&marquee(&["up", "--help"]));
    for option in [
        "--data",
        "--listen",
        "--rtmp-listen",
        "--pages",
        "--reconnect-grace",
        "--demo",
        "--ready-file",
    ] {
        assert!(help.contains(option), "{option} is not in:\n{help}");
    }
    assert!(help.contains("[default: 127.0.0.1:1935]"), "{help}");
}

#[test]
fn the_effective_configuration_is_shown_with_where_it_is_from() {
    let shown = marquee(&["up", "--reconnect-grace", "7", "--check-config"]);
    assert!(shown.status.success());
    let line = said(&shown)
        .lines()
        .find(|line| line.starts_with("reconnect-grace"))
        .map(ToOwned::to_owned);
    assert!(line.as_ref().is_some_and(|line| line.contains('7')), "{line:?}");
}

#[test]
fn a_file_that_cannot_be_published_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.flv");
    let url = "rtmp://127.0.0.1:1/live/key";
    let missing = marquee(&["publish", file.to_str().unwrap(), url]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("clip.flv"), "{}", said(&missing));
    std::fs::write(&file, b"not a video").unwrap();
    let wrong = marquee(&["publish", file.to_str().unwrap(), url]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("not an FLV file"), "{}", said(&wrong));
}

#[test]
fn an_address_without_a_key_is_refused_before_anything_is_sent() {
    let wrong = marquee(&["publish", "clip.flv", "http://127.0.0.1/live"]);
    assert_ne!(wrong.status.code(), Some(0));
    assert!(said(&wrong).contains("rtmp"), "{}", said(&wrong));
}
