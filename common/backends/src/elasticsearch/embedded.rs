//! Elasticsearch 7.17 in a JVM of ours.

use std::process::Command;

use crate::place::Place;
use crate::{Result, files, tools};

pub(crate) const VERSION: &str = "7.17.29";

/// Every jar that `pom` brings, with those that they need.
pub(crate) const PINNED: &str = include_str!("../../pinned/elasticsearch.sha256");

/// What is compiled at install.
pub(crate) const SOURCES: [(&str, &str); 3] = [
    super::PARTS,
    ("Analysis.java", include_str!("../../java/embedded/Analysis.java")),
    ("Node.java", include_str!("../../java/embedded/Node.java")),
];

pub(crate) fn pom() -> String {
    let mut pom = dependency("org.elasticsearch", "elasticsearch", VERSION);
    for module in [
        "transport-netty4",
        "reindex",
        "mapper-extras",
        "parent-join",
        "lang-mustache",
    ] {
        pom += &dependency("org.elasticsearch.plugin", &format!("{module}-client"), VERSION);
    }
    // The server names only the API of its log.
    pom + &dependency("org.apache.logging.log4j", "log4j-core", "2.17.1")
}

fn dependency(group: &str, artifact: &str, version: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
    )
}

pub(crate) fn prepare(place: &Place) -> Result<()> {
    files::make(&place.data.join("node"))
}

/// A write is acknowledged when it is synced to the translog (`index.translog.durability: request`, the default).
pub(crate) fn command(place: &Place) -> Result<Command> {
    let mut command = Command::new(tools::java()?);
    let path = format!(
        "{}/*:{}",
        place.software.join("lib").display(),
        place.software.join("classes").display()
    );
    command
        .args(["-Xms512m", "-Xmx512m", "-Dlog4j2.level=WARN", "-cp", &path])
        .arg("live.marquee.backends.Node")
        .arg(place.data.join("node"))
        .args(place.ports.iter().map(ToString::to_string));
    Ok(command)
}
