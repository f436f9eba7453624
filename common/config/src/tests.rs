use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;

use clap::Parser;
use tempfile::NamedTempFile;

use crate::{Error, GrpcArgs, Loaded, Secret, load_from, reference};

/// A service of the tests.
#[derive(Debug, Parser)]
#[command(name = "sample")]
struct Args {
    #[command(flatten)]
    grpc: GrpcArgs,
    /// Cargo sets the variable for every test
    #[arg(long, env = "CARGO_PKG_NAME", default_value = "nobody")]
    owner: String,
    /// Where events is
    #[arg(long, value_name = "URL")]
    events_url: Option<String>,
    /// Shared by all services
    #[arg(long)]
    service_secret: Secret,
    /// What to announce
    #[arg(long)]
    tags: Vec<String>,
    /// Loudly
    #[arg(long)]
    loud: bool,
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn check(args: &Args) -> Result<(), String> {
    match args.owner.as_str() {
        "loud" if !args.loud => Err("owner: the loud one needs loud = true".to_owned()),
        _ => Ok(()),
    }
}

fn run(file: &NamedTempFile, options: &[&str]) -> Result<Loaded<Args>, Error> {
    let line = ["sample", "--config", file.path().to_str().unwrap()];
    load_from(line.iter().chain(options).map(OsString::from), check)
}

fn args(file: &NamedTempFile, options: &[&str]) -> Args {
    match run(file, options).unwrap() {
        Loaded::Args(args) => args,
        Loaded::Report(report) => panic!("{report}"),
    }
}

fn error(text: &str) -> String {
    let file = file(text);
    let error = run(&file, &[]).unwrap_err().to_string();
    error.replace(file.path().to_str().unwrap(), "FILE")
}

#[test]
fn the_file_gives_what_the_command_line_does_not() {
    let file = file("listen = \"127.0.0.1:1\"\nservice-secret = \"s\"\nloud = true\ntags = [\"a\", \"b\"]\n");
    let args = args(&file, &["--listen", "127.0.0.1:2"]);

    assert_eq!(args.grpc.listen, "127.0.0.1:2".parse::<SocketAddr>().unwrap());
    assert_eq!(args.service_secret.expose(), "s");
    assert_eq!(args.tags, ["a", "b"]);
    assert!(args.loud);
}

#[test]
fn the_environment_stands_between_the_command_line_and_the_file() {
    let file = file("owner = \"file\"\nservice-secret = \"s\"\n");
    assert_eq!(args(&file, &[]).owner, "marquee-config");
    assert_eq!(args(&file, &["--owner", "line"]).owner, "line");
}

#[test]
fn without_anything_the_default_counts() {
    let args = args(&file("service-secret = \"s\""), &[]);
    assert_eq!(args.grpc.listen.port(), 8080);
    assert_eq!(args.events_url, None);
    assert!(!args.loud && args.tags.is_empty());
}

#[test]
fn a_table_is_a_prefix() {
    let file = file("service-secret = \"s\"\n[events]\nurl = \"http://127.0.0.1:9\"\n");
    assert_eq!(args(&file, &[]).events_url.as_deref(), Some("http://127.0.0.1:9"));
}

#[test]
fn an_unknown_key_names_the_line_and_the_nearest_key() {
    assert_eq!(
        error("service-secret = \"s\"\n\n[events]\nurll = \"x\"\n"),
        "FILE:4: unknown key `events.urll`; did you mean `events-url`?"
    );
    assert_eq!(error("zzz = 1\n"), "FILE:1: unknown key `zzz`");
}

#[test]
fn a_value_that_the_option_does_not_take_names_the_line() {
    let text = error("service-secret = \"s\"\nlisten = \"nowhere\"\n");
    assert!(
        text.starts_with("FILE:2: `listen`: \"nowhere\": invalid socket address"),
        "{text}"
    );
    assert!(error("\nlisten = 2026-01-01\n").starts_with("FILE:2: `listen` must be a string"));
}

#[test]
fn a_file_that_is_no_toml_or_is_missing_is_one_clear_line() {
    let text = error("listen = \"x\"\nowner = = 1\n");
    assert!(text.starts_with("FILE:2: "), "{text}");
    assert!(!text.contains('\n'));
    let line = ["sample", "--config=/nowhere/marquee.toml"].map(OsString::from);
    let missing = load_from::<Args, _>(line, check).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/marquee.toml: "), "{missing}");
}

#[test]
fn what_is_required_has_to_be_given_somewhere() {
    let error = run(&file(""), &[]).unwrap_err().to_string();
    assert!(error.contains("--service-secret"), "{error}");
}

#[test]
fn a_wrong_value_is_one_line_that_names_the_option() {
    let text = run(&file("service-secret = \"s\""), &["--listen", "nowhere"])
        .unwrap_err()
        .to_string();
    assert_eq!(text, "listen: \"nowhere\": invalid socket address syntax");
}

#[test]
fn a_wrong_secret_is_not_told() {
    let line = ["sample", "--service-secret", "file:/nowhere/hunter2"].map(OsString::from);
    let text = load_from::<Args, _>(line, check).unwrap_err().to_string();
    assert!(text.starts_with("service-secret: /nowhere/hunter2: "), "{text}");
    let line = ["sample", "--service-secret="].map(OsString::from);
    let text = load_from::<Args, _>(line, check).unwrap_err().to_string();
    assert!(text.contains("service-secret"), "{text}");
}

#[test]
fn what_does_not_go_together_is_told_before_the_report() {
    let file = file("service-secret = \"s\"\nowner = \"loud\"\n");
    let error = run(&file, &["--check-config", "--owner", "loud"]).unwrap_err();
    assert_eq!(error.to_string(), "owner: the loud one needs loud = true");
}

#[test]
fn the_report_says_where_each_value_is_from_and_no_secret() {
    let file = file("service-secret = \"hunter2\"\ntags = [\"a\", \"b\"]\n");
    let Loaded::Report(report) = run(&file, &["--check-config", "--listen", "127.0.0.1:0"]).unwrap() else {
        panic!("no report");
    };
    let path = file.path().display().to_string();
    assert_eq!(
        report.replace(&path, "FILE"),
        "listen = \"127.0.0.1:0\" # command line\n\
         trusted-proxies = \"\" # default\n\
         owner = \"marquee-config\" # CARGO_PKG_NAME\n\
         # events-url is not set\n\
         service-secret = \"[redacted]\" # FILE:1\n\
         tags = [\"a\", \"b\"] # FILE:2\n\
         loud = false # default\n"
    );
    assert!(toml::from_str::<toml::Table>(&report).is_ok());
}

#[derive(Debug, Parser)]
#[command(name = "marquee")]
enum Cli {
    /// Runs everything
    Up(Args),
}

#[test]
fn the_file_reaches_subcommands() {
    let file = file("service-secret = \"s\"\nevents-url = \"x\"\n");
    let line = ["marquee", "up", "--config", file.path().to_str().unwrap()].map(OsString::from);
    let Loaded::Args(Cli::Up(args)) = load_from(line, |_| Ok(())).unwrap() else {
        panic!("a report")
    };
    assert_eq!(args.events_url.as_deref(), Some("x"));
}

#[test]
fn the_reference_lists_every_option() {
    let text = reference::<Cli>();
    for row in [
        "## `marquee up`",
        "| `--listen ADDRESS` | `MARQUEE_LISTEN` | `127.0.0.1:8080` | Address for gRPC, grpc-web and REST; port 0 takes any that is free |",
        "| `--events-url URL` | `MARQUEE_EVENTS_URL` |  | Where events is |",
        "| `--service-secret SERVICE_SECRET` | `MARQUEE_SERVICE_SECRET` | *required* | Shared by all services |",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}
