use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::command::{command, is_secret};

/// Every option of a program as Markdown tables, one per command: for `docs/CONFIG.md`.
pub fn reference<A: CommandFactory>() -> String {
    let mut text = String::new();
    let mut command = command::<A>();
    command.build();
    section(&mut text, &command, command.get_name());
    text
}

fn section(text: &mut String, command: &Command, path: &str) {
    let _ = writeln!(text, "## `{path}`\n");
    if let Some(about) = command.get_about() {
        let _ = writeln!(text, "{about}.\n");
    }
    let _ = writeln!(text, "| Option | Environment | Default | |\n|---|---|---|---|");
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(long) = arg.get_long().filter(|long| !matches!(*long, "help" | "version")) else {
            continue;
        };
        let variable = arg
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()))
            .unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(
            text,
            "| `--{long}{}` | {variable} | {} | {} |",
            value_name(arg),
            default(arg),
            cell(&help)
        );
    }
    text.push('\n');
    for inner in command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
    {
        section(text, inner, &format!("{path} {}", inner.get_name()));
    }
}

fn value_name(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let name = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map_or("VALUE", |name| name.as_str());
    format!(" {name}")
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    match values.as_slice() {
        _ if is_secret(arg) && !values.is_empty() => "*secret*".to_owned(),
        _ if arg.is_required_set() => "*required*".to_owned(),
        [] => String::new(),
        _ if !arg.get_action().takes_values() => String::new(),
        values => format!("`{}`", values.join(",")),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
