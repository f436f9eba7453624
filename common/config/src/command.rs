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
    match load_from(std::env::args_os()) {
        Ok(Loaded::Args(args)) => args,
        Ok(Loaded::Report(report)) => {
            // Nobody may be reading; there is nothing to do about that.
            let _ = write!(std::io::stdout(), "{report}");
            std::process::exit(0)
        }
        Err(Error::Arguments(error)) => error.exit(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            std::process::exit(1)
        }
    }
}

/// Loads a configuration from a command line (its first argument is the program), the environment and the file that
/// `--config` or `MARQUEE_CONFIG` names.
pub fn load_from<A, I>(command_line: I) -> Result<Loaded<A>, Error>
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
    let matches = command
        .try_get_matches_from_mut(&command_line)
        .map_err(|error| located(error, file.as_ref()))?;
    if matches.get_flag(CHECK) {
        return Ok(Loaded::Report(report::effective(
            &command,
            &matches,
            file.as_ref(),
        )));
    }
    Ok(Loaded::Args(A::from_arg_matches(&matches)?))
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
                .help("TOML file with values for the options that are given nowhere else"),
        )
        .arg(
            Arg::new(CHECK)
                .long(CHECK)
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print the configuration that would be used, and stop"),
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

/// An error that a value of the file has caused says where the value stands.
fn located(error: clap::Error, file: Option<&File>) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return error.into();
    }
    let (Some(file), Some(option), Some(value)) = (
        file,
        text(ContextKind::InvalidArg),
        text(ContextKind::InvalidValue),
    ) else {
        return error.into();
    };
    let named = |entry: &&Entry| {
        option
            .strip_prefix("--")
            .and_then(|rest| rest.split([' ', '=']).next())
            == Some(entry.option.as_str())
            && entry.values.iter().any(|given| given == value)
    };
    match file.entries.iter().find(named) {
        Some(entry) => Error::WrongValue {
            path: file.path.clone(),
            line: entry.line,
            key: entry.key.clone(),
            message: first_line(&error),
        },
        None => error.into(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
