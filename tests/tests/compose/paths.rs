//! Every path in docker-compose.yml leads somewhere, and every health check runs a program that its image has.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{SERVICES, parse, text};

/// Programs that the official images have.
const OF_IMAGES: [(&str, &str); 5] = [
    ("kafka", "/opt/kafka/bin/kafka-broker-api-versions.sh"),
    ("mongodb", "mongosh"),
    ("postgres", "pg_isready"),
    ("elasticsearch", "curl"),
    ("gateway", "curl"),
];

/// One stage of deploy/Dockerfile.
struct Stage<'a>(&'a str);

impl<'a> Stage<'a> {
    fn of(dockerfile: &'a str, name: &str) -> Option<Self> {
        let (_, rest) = dockerfile.split_once(&format!(" AS {name}\n"))?;
        Some(Self(rest.split("\nFROM ").next().unwrap_or(rest)))
    }

    /// What is copied in, with where to: a folder takes the file's name.
    fn copied(&self) -> BTreeSet<String> {
        let copies = self.0.lines().filter_map(|line| line.strip_prefix("COPY "));
        let target = |copy: &str| {
            let mut words = copy.split_whitespace().filter(|word| !word.starts_with("--"));
            let (source, target) = (words.next()?, words.next()?);
            let name = source.rsplit('/').next()?;
            Some(match target.strip_suffix('/') {
                Some(folder) => format!("{folder}/{name}"),
                None => target.to_owned(),
            })
        };
        copies.filter_map(target).collect()
    }

    fn entry_point(&self) -> Option<&'a str> {
        let line = self.0.lines().find(|line| line.starts_with("ENTRYPOINT "))?;
        line.split('"').nth(1)
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(values) => values.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The absolute path that a value is, or names as a secret's file.
fn path(value: &str) -> Option<&str> {
    let path = value.strip_prefix("file:").unwrap_or(value);
    path.starts_with('/').then_some(path)
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is mounted, by the name of the volume; of memory, by none.
fn mounts(service: &Value) -> Vec<(&str, &str)> {
    let volumes = texts(&service["volumes"]).into_iter().filter_map(|volume| {
        let mut parts = volume.split(':');
        Some((parts.next()?, parts.next()?))
    });
    let memory = texts(&service["tmpfs"]).into_iter().map(|path| ("", path));
    volumes.chain(memory).collect()
}

/// What is wrong with the paths of the services' settings.
fn wrong_paths(compose: &Value, dockerfile: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let makes = texts(&compose["services"]["secrets"]["command"]).join("\n");
    for (name, service) in compose["services"].as_object().into_iter().flatten() {
        let mounts = mounts(service);
        let copied = service["build"]["target"]
            .as_str()
            .and_then(|target| Stage::of(dockerfile, target))
            .map(|stage| stage.copied())
            .unwrap_or_default();
        for value in texts(&service["environment"]) {
            let Some(path) = path(value) else { continue };
            let mount = mounts.iter().find(|(_, folder)| is_below(path, folder));
            let is_made = match mount {
                Some(("secrets", _)) => makes.contains(&format!("> {path}\n")),
                Some(_) => true,
                None => path.starts_with("/dev/std") || copied.iter().any(|made| is_below(path, made)),
            };
            if !is_made {
                wrong.push(format!("{name}: nothing makes {path}"));
            }
        }
    }
    wrong
}

/// What is wrong with the programs of the health checks.
fn wrong_checks(compose: &Value, dockerfile: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, service) in compose["services"].as_object().into_iter().flatten() {
        let test = texts(&service["healthcheck"]["test"]);
        let program = match test[..] {
            ["CMD", program, ..] => program,
            ["CMD-SHELL", line] => line
                .split_whitespace()
                .find(|word| !word.contains('=') && *word != "exec")
                .unwrap_or_default(),
            _ => continue,
        };
        let stage = service["build"]["target"]
            .as_str()
            .and_then(|target| Stage::of(dockerfile, target));
        let is_there = match &stage {
            Some(stage) if SERVICES.contains(&name.as_str()) => {
                stage.copied().contains(program) && stage.entry_point() == Some(program)
            }
            _ => OF_IMAGES.contains(&(name, program)),
        };
        if !is_there {
            wrong.push(format!("{name}: its image has no {program}"));
        }
    }
    wrong
}

/// What is wrong with both files.
fn wrong(compose: &str, dockerfile: &str) -> Result<Vec<String>> {
    let compose = parse(compose)?;
    let mut wrong = wrong_paths(&compose, dockerfile);
    wrong.extend(wrong_checks(&compose, dockerfile));
    Ok(wrong)
}

#[test]
fn every_path_is_mounted_or_in_the_image_and_every_health_check_can_run() -> Result<()> {
    let wrong = wrong(&text("docker-compose.yml")?, &text("deploy/Dockerfile")?)?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn a_path_or_a_program_that_is_nowhere_is_found_out() -> Result<()> {
    let (compose, dockerfile) = (text("docker-compose.yml")?, text("deploy/Dockerfile")?);
    let in_compose = [
        // A secret that nobody makes, or that is made elsewhere.
        (
            "file:/secrets/service-secret",
            "file:/secrets/service-secrets",
            "events: nothing makes",
        ),
        (
            "> /secrets/postgres-password\n",
            "> /secrets/postgres\n",
            "postgres: nothing makes",
        ),
        // Data beside their volume.
        (
            "MARQUEE_DATA: /var/lib/marquee",
            "MARQUEE_DATA: /var/lib/media",
            "video-ingest: nothing makes",
        ),
        (
            "media:/var/lib/marquee",
            "media:/var/lib/marquee2",
            "video-ingest: nothing makes",
        ),
        (
            "KAFKA_LOG_DIRS: /var/lib/kafka/data",
            "KAFKA_LOG_DIRS: /tmp/kafka",
            "kafka: nothing makes",
        ),
        (
            "MARQUEE_CACHE: /var/cache/nginx",
            "MARQUEE_CACHE: /var/nginx",
            "gateway: nothing makes",
        ),
        (
            "\"/etc/nginx/conf.d\", ",
            "",
            "gateway: nothing makes /etc/nginx/conf.d",
        ),
        // Pages that are not in the image.
        (
            "MARQUEE_PAGES: /usr/share/marquee/pages",
            "MARQUEE_PAGES: /usr/share/pages",
            "gateway: nothing makes",
        ),
        // Health checks by what is not there.
        (
            "marquee-events\", \"--probe",
            "marquee-event\", \"--probe",
            "events: its image has no",
        ),
        (
            "/usr/local/bin/marquee-search",
            "/usr/bin/marquee-search",
            "search: its image has no",
        ),
        (
            "bin/kafka-broker-api-versions.sh",
            "bin/kafka-broker-api-version.sh",
            "kafka: its image has no",
        ),
        (
            "\"CMD\", \"pg_isready\"",
            "\"CMD\", \"pg_ready\"",
            "postgres: its image has no",
        ),
        ("- mongosh\n", "- mongo\n", "mongodb: its image has no"),
    ];
    for (right, mutated, expected) in in_compose {
        ensure!(compose.contains(right), "{right} is not there");
        let found = wrong(&compose.replacen(right, mutated, 1), &dockerfile)?;
        ensure!(
            found.iter().any(|found| found.starts_with(expected)),
            "{mutated}: {found:?}"
        );
    }
    let in_dockerfile = [
        (
            "dist /usr/share/marquee/pages\nEXPOSE 8080 9090",
            "dist /pages\nEXPOSE 8080 9090",
            "gateway: nothing makes",
        ),
        (
            "/out/bin/marquee-events /usr/local/bin/",
            "/out/bin/marquee-events /usr/bin/",
            "events: its image has no",
        ),
        (
            "[\"/usr/local/bin/marquee-analytics\"]",
            "[\"/marquee-analytics\"]",
            "analytics: its image has no",
        ),
    ];
    for (right, mutated, expected) in in_dockerfile {
        ensure!(dockerfile.contains(right), "{right} is not there");
        let found = wrong(&compose, &dockerfile.replacen(right, mutated, 1))?;
        ensure!(
            found.iter().any(|found| found.starts_with(expected)),
            "{mutated}: {found:?}"
        );
    }
    Ok(())
}

#[test]
fn every_program_of_a_service_is_built_by_the_dockerfile() -> Result<()> {
    let dockerfile = text("deploy/Dockerfile")?;
    for service in SERVICES {
        let stage = Stage::of(&dockerfile, service).with_context(|| format!("no stage {service}"))?;
        let program = stage.entry_point().context("no entry point")?;
        let name = program.rsplit('/').next().unwrap_or_default();
        ensure!(
            dockerfile.contains(&format!("--package {name}")),
            "{name} is not built"
        );
        ensure!(
            dockerfile.contains(&format!("{name}/fleet")),
            "{name} has no real store"
        );
    }
    Ok(())
}
