use std::path::PathBuf;

/// Why there is no configuration; each is one line for the person who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, the environment or a value is wrong, or help was asked for.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
    /// An option does not take the value that the command line or the environment gives.
    #[error("{option}: {message}{}", origin(variable.as_deref()))]
    Value {
        /// The option, without its dashes.
        option: String,
        /// What the option says. Never the value of a secret.
        message: String,
        /// The environment variable that the value is from.
        variable: Option<String>,
    },
    /// The values do not go together.
    #[error("{0}")]
    Together(String),
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// No option has that name.
    #[error("{}:{line}: unknown key `{key}`{}", path.display(), hint(nearest.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, with its tables.
        key: String,
        /// The known key that is spelt most alike.
        nearest: Option<String>,
    },
    /// The value is a table or a date, or a list where one value belongs.
    #[error("{}:{line}: `{key}` must be {expected}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, with its tables.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The option does not take this value.
    #[error("{}:{line}: `{key}`: {message}", path.display())]
    WrongValue {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key, with its tables.
        key: String,
        /// What the option says.
        message: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest
        .map(|key| format!("; did you mean `{key}`?"))
        .unwrap_or_default()
}

fn origin(variable: Option<&str>) -> String {
    variable.map(|name| format!(" (from {name})")).unwrap_or_default()
}
