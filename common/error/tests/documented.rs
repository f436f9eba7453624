//! `docs/ERRORS.md`, the code and the gateway tell the same reasons.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_reason_in_the_code_is_documented() {
    let documented = documented();
    let missing: BTreeSet<_> = sources()
        .iter()
        .flat_map(|(path, text)| {
            reasons(text)
                .into_iter()
                .map(move |reason| (reason, path.clone()))
        })
        .filter(|(reason, _)| !documented.contains(reason))
        .collect();
    assert!(missing.is_empty(), "not in docs/ERRORS.md: {missing:#?}");
}

#[test]
fn every_documented_reason_is_in_the_code() {
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    let gone: Vec<_> = documented()
        .into_iter()
        .filter(|reason| !code.contains(&format!("\"{reason}\"")))
        .collect();
    assert!(gone.is_empty(), "in docs/ERRORS.md only: {gone:#?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/ERRORS.md")).unwrap();
    let cells = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let reasons: BTreeSet<String> = cells.map(|(reason, _)| reason.to_owned()).collect();
    assert!(reasons.len() > 20, "the tables are read");
    reasons
}

/// The text of every source file up to its tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("common"), root().join("services")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "tests" | "target" | "examples" | "benches") {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let code: String = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                files.push((path, code));
            }
        }
    }
    files.extend(gateway());
    files
}

/// What NGINX answers in place of a service.
fn gateway() -> Vec<(PathBuf, String)> {
    let folder = root().join("deploy/nginx/templates");
    let entries = fs::read_dir(folder).unwrap();
    let files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(
        files.iter().any(|(_, text)| text.contains(GATEWAYS)),
        "its problem documents are read"
    );
    files
}

/// The member of a problem document.
const GATEWAYS: &str = "\"reason\":\"";

/// The literals in the bodies of `fn reason`, after `reason:`, of what is `not_found`, and of the gateway's problem documents.
fn reasons(code: &str) -> BTreeSet<String> {
    let bodies = code.split("fn reason(&self)").skip(1).map(|rest| {
        let mut depth = 0;
        let end = rest.find(|c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == '}' && depth == 0
        });
        &rest[..end.unwrap_or(rest.len())]
    });
    let fields = code
        .split("reason: \"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(text, _)| text);
    let missing = code
        .split("not_found(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(text, _)| text);
    let gateways = code
        .split(GATEWAYS)
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(text, _)| text);
    let literals = bodies
        .flat_map(|body| body.split('"').skip(1).step_by(2))
        .chain(fields)
        .chain(missing)
        .chain(gateways);
    let upper_snake =
        |text: &&str| text.len() > 3 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    literals.filter(upper_snake).map(str::to_owned).collect()
}
