use std::any::TypeId;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

use crate::file::{Entry, File};
use crate::{Error, Secret, report};

const CONFIG: &str = "config";
const CONFIG_ENV: &str = "MARQUEE_CONFIG";
const CHECK: &str = "check-config";
const HEADING: &str = "Configuration";

/// What came of loading.
#[derive(Debug)]
pub enum Loaded<A> {
    /// The configuration to run with.
    Args(A),
    /// `--check-config` was given: what would be used, as TOML, secrets redacted.
    Report(String),
}

/// Loads the configuration of this process, or ends it: with 0 after `--help`, `--version` and `--check-config`, with 2
/// after a wrong command line (clap's rule), with 1 and one line on standard error after everything else.
pub fn load<A: CommandFactory + FromArgMatches>() -> A {
    load_checked(|_| Ok(()))
}

/// As [`load`], with what has to hold between options: `check` says in one line what does not.
pub fn load_checked<A: CommandFactory + FromArgMatches>(check: impl FnOnce(&A) -> Result<(), String>) -> A {
    match load_from(std::env::args_os(), check) {
        Ok(Loaded::Args(args)) => args,
        Ok(Loaded::Report(report)) => {
            // Nobody may be reading; there is nothing to do about that.
            let _ = write!(std::io::stdout(), "{report}");
            std::process::exit(0)
        }
        Err(Error::Arguments(error)) => error.exit(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            std::process::exit(if matches!(error, Error::Value { .. }) {
                2
            } else {
                1
            })
        }
    }
}

/// Loads a configuration from a command line (its first argument is the program), the environment and the file that
/// `--config` or `MARQUEE_CONFIG` names.
pub fn load_from<A, I>(
    command_line: I,
    check: impl FnOnce(&A) -> Result<(), String>,
) -> Result<Loaded<A>, Error>
where
    A: CommandFactory + FromArgMatches,
    I: IntoIterator<Item = OsString>,
{
    let command_line: Vec<OsString> = command_line.into_iter().collect();
    let mut command = command::<A>();
    let file = config_path(&command_line)
        .as_deref()
        .map(File::read)
        .transpose()?;
    if let Some(file) = &file {
        check_keys(&command, file)?;
        command = with_defaults(command, file);
    }
    let matches = match command.try_get_matches_from_mut(&command_line) {
        Ok(matches) => matches,
        Err(error) => return Err(located(error, &command, file.as_ref())),
    };
    let args = A::from_arg_matches(&matches)?;
    check(&args).map_err(Error::Together)?;
    if matches.get_flag(CHECK) {
        return Ok(Loaded::Report(report::effective(
            &command,
            &matches,
            file.as_ref(),
        )));
    }
    Ok(Loaded::Args(args))
}

/// The command with the options every program has, and with an environment variable for each option.
pub(crate) fn command<A: CommandFactory>() -> Command {
    let command = A::command()
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("FILE")
                .env(CONFIG_ENV)
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help_heading(HEADING)
                .help("TOML file with values for the options that are given nowhere else"),
        )
        .arg(
            Arg::new(CHECK)
                .long(CHECK)
                .action(ArgAction::SetTrue)
                .global(true)
                .help_heading(HEADING)
                .help("Check everything that can be checked without the servers, print the configuration that would be used and where each value is from, and stop"),
        );
    with_environment(command)
}

fn with_environment(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let named = arg.get_long().filter(|long| *long != CHECK).map(variable);
        let secret = is_secret(&arg);
        let arg = match named {
            Some(variable) if arg.get_env().is_none() => arg.env(variable),
            _ => arg,
        };
        if secret { arg.hide_env_values(true) } else { arg }
    });
    command.mut_subcommands(with_environment)
}

fn variable(long: &str) -> String {
    format!("MARQUEE_{}", long.replace('-', "_").to_ascii_uppercase())
}

pub(crate) fn is_secret(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<Secret>()
}

/// `--config` has to be known before the command line can be parsed, since the file may give what is required there.
fn config_path(command_line: &[OsString]) -> Option<PathBuf> {
    let mut arguments = command_line
        .iter()
        .skip(1)
        .take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os(CONFIG_ENV)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn check_keys(command: &Command, file: &File) -> Result<(), Error> {
    let mut known = Vec::new();
    collect(command, &mut known);
    for entry in &file.entries {
        if !known.contains(&entry.option) {
            let nearest = known
                .iter()
                .map(|option| (strsim::jaro_winkler(option, &entry.option), option))
                .filter(|(likeness, _)| *likeness > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            return Err(Error::UnknownKey {
                path: file.path.clone(),
                line: entry.line,
                key: entry.key.clone(),
                nearest: nearest.map(|(_, option)| option.clone()),
            });
        }
    }
    Ok(())
}

fn collect(command: &Command, known: &mut Vec<String>) {
    let options = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|long| *long != CONFIG && *long != CHECK);
    known.extend(options.map(ToOwned::to_owned));
    command.get_subcommands().for_each(|inner| collect(inner, known));
}

fn with_defaults(command: Command, file: &File) -> Command {
    let command = command.mut_args(|arg| {
        let entry = arg
            .get_long()
            .and_then(|long| file.entries.iter().find(|entry| entry.option == long));
        match entry {
            Some(entry) => arg.default_values(entry.values.clone()).required(false),
            None => arg,
        }
    });
    command.mut_subcommands(|inner| with_defaults(inner, file))
}

/// An error that a value has caused, in one line that says where the value stands and, when it is a secret, not what it
/// is.
fn located(error: clap::Error, command: &Command, file: Option<&File>) -> Error {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return error.into();
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(option), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        return error.into();
    };
    let Some(option) = option
        .strip_prefix("--")
        .and_then(|rest| rest.split([' ', '=']).next())
    else {
        return error.into();
    };
    let arg = find(command, option);
    let named = |entry: &&Entry| entry.option == option && entry.values.iter().any(|given| given == value);
    let in_file = file.and_then(|file| Some((file, file.entries.iter().find(named)?)));
    if let Some((file, entry)) = in_file {
        return Error::WrongValue {
            path: file.path.clone(),
            line: entry.line,
            key: entry.key.clone(),
            message: complaint(&error, arg.is_some_and(is_secret)),
        };
    }
    // What is left of the choices is a list that clap prints better than one line can.
    if error.kind() == ErrorKind::InvalidValue {
        return error.into();
    }
    let variable = arg.and_then(Arg::get_env).filter(|name| {
        std::env::var(name).is_ok_and(|given| given == value || given.split(',').any(|part| part == value))
    });
    Error::Value {
        option: option.to_owned(),
        message: complaint(&error, arg.is_some_and(is_secret)),
        variable: variable.map(|name| name.to_string_lossy().into_owned()),
    }
}

fn find<'a>(command: &'a Command, option: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(option))
        .or_else(|| command.get_subcommands().find_map(|inner| find(inner, option)))
}

/// What a parser of ours complains of names the value where it helps; clap's own line quotes it always.
fn complaint(error: &clap::Error, secret: bool) -> String {
    use std::error::Error as _;

    let text = match error.source() {
        Some(source) => source.to_string(),
        None if secret => "the value is not taken".to_owned(),
        None => error.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !secret && !line.contains(value.as_str()) => {
            format!("{value:?}: {line}")
        }
        _ => line.to_owned(),
    }
}
