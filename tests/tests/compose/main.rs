//! docker-compose.yml says what is so: every variable is read, every port and path is somebody's, every volume is used.

mod limits;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::program;
use serde_json::Value;

const SERVICES: [&str; 6] = [
    "video-ingest",
    "events",
    "subscriptions",
    "notifications",
    "search",
    "analytics",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> Result<String> {
    let path = top().join(file);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn compose() -> Result<Value> {
    parse(&text("docker-compose.yml")?)
}

/// The file with its anchors and merges resolved, and `${NAME:-default}` replaced by the default.
fn parse(source: &str) -> Result<Value> {
    let mut resolved = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let (variable, end) = after[2..].split_once('}').context("an open ${")?;
        let (_, default) = variable
            .split_once(":-")
            .with_context(|| format!("{variable} has no default"))?;
        resolved.push_str(before);
        resolved.push_str(default);
        rest = end;
    }
    resolved.push_str(rest);
    serde_saphyr::from_str(&resolved).context("docker-compose.yml")
}

fn environment(compose: &Value, service: &str) -> Result<BTreeMap<String, String>> {
    let environment = compose["services"][service]["environment"].as_object();
    let environment = environment.with_context(|| format!("{service} has no environment"))?;
    environment
        .iter()
        .map(|(name, value)| {
            let value = value
                .as_str()
                .with_context(|| format!("{service}: {name} is not text: quote it"))?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

/// The variables that the templates of the gateway are filled with.
fn gateway_variables(folder: &str) -> Result<BTreeSet<String>> {
    let mut variables = BTreeSet::new();
    for entry in std::fs::read_dir(top().join(folder))? {
        let template = std::fs::read_to_string(entry?.path())?;
        for piece in template.split("${").skip(1) {
            let (name, _) = piece.split_once('}').context("an open ${")?;
            variables.insert(name.to_owned());
        }
    }
    Ok(variables)
}

#[test]
fn the_gateway_is_given_every_variable_it_reads_and_no_other() -> Result<()> {
    let compose = compose()?;
    let given: BTreeSet<_> = environment(&compose, "gateway")?.into_keys().collect();
    let given: BTreeSet<_> = given
        .into_iter()
        .filter(|name| name.starts_with("MARQUEE_"))
        .collect();
    let read = gateway_variables("deploy/nginx/templates")?;
    ensure!(
        given == read,
        "given and not read, or read and not given: {:?}",
        given.symmetric_difference(&read)
    );
    Ok(())
}

#[test]
fn the_gateways_variables_are_documented() -> Result<()> {
    let page = text("deploy/nginx/README.md")?;
    let mut read = gateway_variables("deploy/nginx/templates")?;
    read.extend(gateway_variables("deploy/nginx/tls")?);
    let missing: Vec<_> = read
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    ensure!(
        missing.is_empty(),
        "deploy/nginx/README.md does not explain {missing:?}"
    );
    let explained = page.split('`').filter(|word| word.starts_with("MARQUEE_"));
    let unread: Vec<_> = explained.filter(|name| !read.contains(*name)).collect();
    ensure!(unread.is_empty(), "nobody reads {unread:?}");
    Ok(())
}

/// Host and port of each address in a value.
fn addresses(value: &str) -> Vec<(String, String)> {
    value
        .split(',')
        .filter_map(|address| {
            let address = address.split_once("://").map_or(address, |(_, rest)| rest);
            let address = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
            let (host, port) = address.split(['/', '?']).next()?.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            Some((host.to_owned(), port.to_owned()))
        })
        .collect()
}

/// Ports that somebody listens on in the network of the fleet.
fn listening(compose: &Value) -> Result<BTreeSet<(String, String)>> {
    let mut ports = BTreeSet::new();
    for service in SERVICES {
        for (name, value) in environment(compose, service)? {
            if name == "MARQUEE_LISTEN" || name == "MARQUEE_RTMP_LISTEN" {
                let (_, port) = addresses(&value)
                    .pop()
                    .with_context(|| format!("{name}={value}"))?;
                ports.insert((service.to_owned(), port));
            }
        }
    }
    // What the images of the servers listen on; Kafka says it itself.
    for (server, port) in [
        ("mongodb", "27017"),
        ("postgres", "5432"),
        ("elasticsearch", "9200"),
    ] {
        ports.insert((server.to_owned(), port.to_owned()));
    }
    let kafka = environment(compose, "kafka")?;
    let advertised = kafka
        .get("KAFKA_ADVERTISED_LISTENERS")
        .context("kafka advertises nothing")?;
    ports.extend(addresses(advertised));
    Ok(ports)
}

#[test]
fn every_address_is_one_that_somebody_listens_on() -> Result<()> {
    let compose = compose()?;
    let ports = listening(&compose)?;
    let hosts: BTreeSet<_> = compose["services"]
        .as_object()
        .context("no services")?
        .keys()
        .collect();
    for service in SERVICES.into_iter().chain(["gateway"]) {
        for (name, value) in environment(&compose, service)? {
            for address in addresses(&value) {
                if hosts.contains(&address.0) {
                    ensure!(
                        ports.contains(&address),
                        "{service}: {name}={value}: nobody listens there"
                    );
                }
            }
        }
    }
    // The password is put into the address by the service that makes it.
    let made = compose["services"]["secrets"]["command"][0]
        .as_str()
        .context("no command")?;
    ensure!(made.contains("@postgres:5432/subscriptions"), "{made}");
    Ok(())
}

#[test]
fn published_ports_are_those_of_the_gateway() -> Result<()> {
    let compose = compose()?;
    let gateway = environment(&compose, "gateway")?;
    let listens: BTreeSet<_> = ["MARQUEE_HTTP", "MARQUEE_GRPC", "MARQUEE_RTMP_LISTEN"]
        .iter()
        .filter_map(|name| gateway.get(*name).cloned())
        .collect();
    for (name, service) in compose["services"].as_object().context("no services")? {
        let published: BTreeSet<_> = service["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| Some(port.as_str()?.rsplit(':').next()?.to_owned()))
            .collect();
        if name == "gateway" {
            ensure!(
                published == listens,
                "published {published:?}, listened on {listens:?}"
            );
        } else {
            ensure!(
                published.is_empty(),
                "{name} is reached from outside: {published:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_service_is_checked_bounded_and_on_the_network_and_every_volume_is_used() -> Result<()> {
    let compose = compose()?;
    let mut used = BTreeSet::new();
    for (name, service) in compose["services"].as_object().context("no services")? {
        let image = service["image"]
            .as_str()
            .with_context(|| format!("{name} has no image"))?;
        let (_, tag) = image
            .rsplit_once(':')
            .with_context(|| format!("{image} has no tag"))?;
        ensure!(tag != "latest", "{image}");
        ensure!(service["mem_limit"].is_string(), "{name} has no memory limit");
        ensure!(service["networks"][0] == "fleet", "{name} is on no network");
        if name != "secrets" {
            ensure!(
                service["healthcheck"]["test"].is_array(),
                "{name} has no health check"
            );
            ensure!(service["restart"] == "unless-stopped", "{name}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().context("a volume that is no text")?;
            used.insert(volume.split(':').next().unwrap_or_default().to_owned());
        }
    }
    let declared: BTreeSet<_> = compose["volumes"]
        .as_object()
        .context("no volumes")?
        .keys()
        .cloned()
        .collect();
    ensure!(used == declared, "{:?}", used.symmetric_difference(&declared));
    Ok(())
}

#[test]
#[ignore = "needs programs"]
fn every_service_reads_every_variable_that_it_is_given() -> Result<()> {
    let compose = compose()?;
    let folder = tempfile::tempdir()?;
    for (name, value) in [
        ("service-secret", "0123456789abcdef0123456789abcdef"),
        (
            "postgres-url",
            "postgres://marquee:secret@postgres:5432/subscriptions",
        ),
    ] {
        std::fs::write(folder.path().join(name), value)?;
    }
    for service in SERVICES {
        let variables = environment(&compose, service)?;
        let secrets = format!("file:{}/", folder.path().display());
        let given = variables
            .iter()
            .map(|(name, value)| (name, value.replace("file:/secrets/", &secrets)));
        let output = Command::new(program(&format!("marquee-{service}"))?)
            .arg("--check-config")
            .env_clear()
            .envs(given)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{service}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for name in variables.keys() {
            // The report says which variable each value is from.
            ensure!(
                said.lines().any(|line| line.ends_with(&format!("# {name}"))),
                "{service} does not read {name}:\n{said}"
            );
        }
    }
    Ok(())
}
