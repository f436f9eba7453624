//! `cargo xtask lint`: formatting, clippy, protos, and the rules of docs/STYLE.md that a program can check.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{cargo, check, program, top};
use crate::{tools, web};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The git revision that the protos must be compatible with
    #[arg(long, default_value = "HEAD~1")]
    against: String,
}

/// Longer files are no room any more (docs/STYLE.md).
const LONGEST_FILE: usize = 500;

pub(crate) fn run(args: Args) -> Result<()> {
    tools::require(&[&tools::CC, &tools::NODE, &tools::NPM])?;
    check(cargo().args(["fmt", "--all", "--check"]))?;
    check(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))?;
    // The lean build of `cargo xtask up` has features of its own: none.
    check(cargo().args(["check", "--package", "marquee", "--quiet"]))?;
    web::install()?;
    let buf = top().join("web/node_modules/.bin/buf");
    let buf = buf.to_string_lossy();
    check(program(&buf, &top().join("proto")).arg("lint"))?;
    breaking(&buf, &args.against)?;
    check(program("npm", &top().join("web")).args(["run", "--silent", "check"]))?;
    long_files()
}

fn breaking(buf: &str, against: &str) -> Result<()> {
    let known = Command::new("git")
        .current_dir(top())
        .args(["cat-file", "-e", &format!("{against}:proto/buf.yaml")])
        .status()?
        .success();
    if !known {
        println!("no protos at {against}: nothing to be compatible with");
        return Ok(());
    }
    check(program(buf, &top().join("proto")).args([
        "breaking",
        "--against",
        &format!("../.git#ref={against},subdir=proto"),
    ]))
}

fn long_files() -> Result<()> {
    let output = Command::new("git")
        .current_dir(top())
        .args(["ls-files", "*.rs", "*.ts", "*.tsx", "*.css"])
        .output()?;
    let mut long = Vec::new();
    for file in String::from_utf8(output.stdout)?.lines() {
        let Ok(text) = std::fs::read_to_string(top().join(Path::new(file))) else {
            continue;
        };
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{file}: {lines} lines"));
        }
    }
    if long.is_empty() {
        return Ok(());
    }
    bail!("files of more than {LONGEST_FILE} lines:\n{}", long.join("\n"))
}
