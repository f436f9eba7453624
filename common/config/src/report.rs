use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::command::is_secret;
use crate::file::File;

/// The configuration that would be used, as a TOML file, each value with where it is from.
pub(crate) fn effective(command: &Command, matches: &ArgMatches, file: Option<&File>) -> String {
    let (mut command, mut matches) = (command, matches);
    let mut report = String::new();
    loop {
        lines(&mut report, command, matches, file);
        let Some((name, inner)) = matches.subcommand() else {
            break;
        };
        let Some(subcommand) = command.find_subcommand(name) else {
            break;
        };
        (command, matches) = (subcommand, inner);
    }
    report
}

fn lines(report: &mut String, command: &Command, matches: &ArgMatches, file: Option<&File>) {
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let Some(long) = arg.get_long() else { continue };
        if matches!(long, "help" | "version" | "config" | "check-config") {
            continue;
        }
        let source = matches
            .try_get_raw(id)
            .ok()
            .flatten()
            .and_then(|_| matches.value_source(id));
        let entry = file.and_then(|file| {
            file.entries
                .iter()
                .find(|entry| entry.option == long)
                .map(|e| (file, e))
        });
        let from = match (source, entry) {
            (Some(ValueSource::CommandLine), _) => "command line".to_owned(),
            (Some(ValueSource::EnvVariable), _) => arg.get_env().map_or_else(
                || "environment".to_owned(),
                |variable| variable.to_string_lossy().into_owned(),
            ),
            (Some(_), Some((file, entry))) => format!("{}:{}", file.path.display(), entry.line),
            (Some(_), None) => "default".to_owned(),
            (None, _) => {
                let _ = writeln!(report, "# {long} is not set");
                continue;
            }
        };
        let values: Vec<String> = if is_secret(arg) {
            vec!["\"[redacted]\"".to_owned()]
        } else {
            let raw = matches.get_raw(id).into_iter().flatten();
            raw.map(|value| literal(&value.to_string_lossy())).collect()
        };
        let value = match values.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let _ = writeln!(report, "{long} = {value} # {from}");
    }
}

/// As TOML.
fn literal(text: &str) -> String {
    match text {
        "true" | "false" => text.to_owned(),
        number if number.parse::<i64>().is_ok() => number.to_owned(),
        text => toml::Value::from(text).to_string(),
    }
}
