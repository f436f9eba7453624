//! Times, limits and versions that must fit those of the programs and of the tests.

use anyhow::{Context as _, Result, ensure};
use marquee_fleet::Limits;
use marquee_fleet::backends::Backend;

use super::{SERVICES, compose, environment, text};

/// The number between `before` and `after` in a text.
fn number(text: &str, before: &str, after: &str) -> Result<u64> {
    let (_, rest) = text
        .split_once(before)
        .with_context(|| format!("no {before:?}"))?;
    let (number, _) = rest.split_once(after).with_context(|| format!("no {after:?}"))?;
    number.parse().with_context(|| format!("{before}{number}"))
}

/// The default of an option, from docs/CONFIG.md, which a test compares with the programs.
fn default_of(option: &str) -> Result<u64> {
    let page = text("docs/CONFIG.md")?;
    let line = page
        .lines()
        .find(|line| line.contains(&format!("`--{option} ")))
        .with_context(|| format!("docs/CONFIG.md has no --{option}"))?;
    line.split('|')
        .find_map(|cell| cell.trim().trim_matches('`').parse().ok())
        .with_context(|| format!("no default: {line}"))
}

#[test]
fn a_service_is_given_the_time_that_its_longest_orderly_stop_takes() -> Result<()> {
    // Consumers, connections, the outbox, and the bus each have the drain timeout.
    let drain = default_of("drain-delay")? + 4 * default_of("drain-timeout")?;
    let export = text("common/telemetry/src/export.rs")?;
    // What is under way, and what is left.
    let telemetry = 2 * number(&export, "FLUSH_TIMEOUT: Duration = Duration::from_secs(", ")")?;
    let process = text("common/process/src/process.rs")?;
    let threads = number(&process, "LEFT_OVER: Duration = Duration::from_secs(", ")")?;
    let longest = drain + telemetry + threads;
    let compose = compose()?;
    for service in SERVICES {
        let grace = compose["services"][service]["stop_grace_period"]
            .as_str()
            .with_context(|| format!("{service} has no stop_grace_period"))?;
        let grace: u64 = grace.trim_end_matches('s').parse()?;
        ensure!(
            grace > longest,
            "{service} is killed after {grace} s, and may take {longest} s"
        );
    }
    let fleet = text("common/fleet/src/process.rs")?;
    let limit = number(&fleet, "const STOP: Duration = Duration::from_secs(", ")")?;
    ensure!(limit > longest, "the fleet of the tests kills after {limit} s");
    Ok(())
}

#[test]
fn servers_are_those_that_are_tested_where_there_is_such_an_image() -> Result<()> {
    let compose = compose()?;
    for (service, tested) in [
        ("kafka", Backend::Kafka),
        ("elasticsearch", Backend::Elasticsearch8),
    ] {
        let image = compose["services"][service]["image"]
            .as_str()
            .context("no image")?;
        let (_, tag) = image.rsplit_once(':').context("no tag")?;
        ensure!(tag == tested.version(), "{image}, tested on {}", tested.version());
    }
    Ok(())
}

#[test]
fn servers_that_are_tested_have_the_settings_that_must_be() -> Result<()> {
    let compose = compose()?;
    // Where a replay of dead letters stands is kept as long as they are: 30 days.
    let kafka = environment(&compose, "kafka")?;
    let retention: u64 = kafka
        .get("KAFKA_OFFSETS_RETENTION_MINUTES")
        .context("kafka forgets offsets after its default of a week")?
        .parse()?;
    ensure!(retention >= 30 * 24 * 60, "{retention}");
    let tested = text("common/backends/src/kafka.rs")?;
    let tested = number(&tested, "offsets.retention.minutes=", "\n")?;
    ensure!(tested == retention, "{tested} in tests, {retention} here");

    let transactions = "transactionLifetimeLimitSeconds=10";
    let command = compose["services"]["mongodb"]["command"].to_string();
    ensure!(command.contains(transactions), "{command}");
    ensure!(text("common/backends/src/mongodb.rs")?.contains(transactions));
    Ok(())
}

#[test]
fn kafkas_health_check_has_a_small_heap_of_its_own() -> Result<()> {
    let check = &compose()?["services"]["kafka"]["healthcheck"];
    let command = check["test"][1].as_str().context("no command")?;
    ensure!(
        check["test"][0] == "CMD-SHELL" && command.starts_with("KAFKA_HEAP_OPTS=-Xmx64m "),
        "{check}"
    );
    ensure!(check["interval"] == "15s", "{check}");
    Ok(())
}

#[test]
fn the_gateways_limits_are_those_that_are_tested() -> Result<()> {
    let compose = compose()?;
    let given = environment(&compose, "gateway")?;
    let limits = Limits::PUBLIC;
    for (name, value) in [
        ("MARQUEE_CALLS_RATE", format!("{}r/s", limits.calls_per_second)),
        ("MARQUEE_CALLS_BURST", limits.calls_burst.to_string()),
        (
            "MARQUEE_CREDENTIALS_RATE",
            format!("{}r/m", limits.credentials_per_minute),
        ),
        ("MARQUEE_CONNECTIONS", limits.connections.to_string()),
    ] {
        ensure!(
            given.get(name) == Some(&value),
            "{name} is {:?}, tested with {value}",
            given.get(name)
        );
    }
    Ok(())
}
