//! `--help` that reads like documentation.

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::Program;

/// A program whose help says what all programs of the fleet have in common.
pub(crate) struct Cli<P>(pub(crate) P);

impl<P: Program> CommandFactory for Cli<P> {
    fn command() -> Command {
        described(P::command(), P::NAME)
    }

    fn command_for_update() -> Command {
        described(P::command_for_update(), P::NAME)
    }
}

impl<P: Program> FromArgMatches for Cli<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        P::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

fn described(command: Command, name: &str) -> Command {
    command.after_long_help(format!(
        "\
Where values come from:
  The command line wins over the environment, that over the file, that over the default.
    command line   --drain-delay 5
    environment    MARQUEE_DRAIN_DELAY=5
    file           drain-delay = 5        (TOML, named by --config or MARQUEE_CONFIG)
  In the file a table is a prefix: [kafka] brokers = \"a:9092\" is --kafka-brokers. A key that no option has is an error
  that names the nearest one. A secret is better not on the command line: file:PATH reads it from a file.

Examples:
  Check a configuration, see what would be used and where each value is from:
    marquee-{name} --config /etc/marquee/{name}.toml --check-config
  Everything from the environment but two options:
    marquee-{name} --listen 0.0.0.0:8080 --log-format json

Endpoints, on the address that is listened on:
  /healthz   200 while the process lives, whatever it waits for
  /readyz    200 when everything that it needs is there, else 503 with the name of what is missing
  /metrics   Prometheus

Health checks of containers:
  marquee-{name} --probe   exits with 0 when the process that listens on MARQUEE_LISTEN is ready, else with 1 and what is
                           missing

Signals and exit codes:
  SIGTERM, SIGINT   not ready; --drain-delay; consumers commit; requests are answered; what was stored is published;
                    exit 0. A second signal exits at once, with 1.
  1                 it cannot run with this configuration, or a part of it failed
  2                 a wrong command line
"
    ))
}
