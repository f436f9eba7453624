//! The stock distribution of Elasticsearch 8, as it is published for integration tests.

use std::process::Command;

use crate::place::Place;
use crate::tools::User;
use crate::{Error, Result, files, tools};

pub(crate) const VERSION: &str = "8.19.21";

pub(crate) const ARTIFACT: &str = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:8.19.21:zip";
pub(crate) const ARCHIVE: &str = "elasticsearch-8.19.21.zip";
pub(crate) const ARCHIVE_SHA256: &str = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a";
/// The folder in it.
pub(crate) const FOLDER: &str = "elasticsearch-8.19.21";

/// What is compiled at install.
pub(crate) const SOURCES: [(&str, &str); 2] = [
    super::PARTS,
    ("Analysis.java", include_str!("../../java/stock/Analysis.java")),
];

/// How a plugin introduces itself.
pub(crate) fn descriptor() -> String {
    format!(
        "description=Marquee's analysers\nversion=1\nname=marquee\nclassname=live.marquee.backends.Analysis\njava.version=17\n\
         elasticsearch.version={VERSION}\n"
    )
}

/// It refuses to be root, and needs no user of its own.
pub(crate) const USER: User = User("nobody");

pub(crate) fn prepare(place: &Place) -> Result<()> {
    for folder in ["config/jvm.options.d", "data", "logs", "tmp"] {
        files::make(&place.data.join(folder))?;
    }
    let original = place.software.join(FOLDER).join("config");
    for file in ["log4j2.properties", "jvm.options"] {
        let to = place.data.join("config").join(file);
        std::fs::copy(original.join(file), &to).map_err(Error::at("write", &to))?;
    }
    files::write(
        &place.data.join("config/jvm.options.d/heap.options"),
        "-Xms512m\n-Xmx512m\n",
    )
}

fn settings(place: &Place) -> String {
    let data = place.data.display();
    format!(
        "cluster.name: marquee\nnode.name: marquee-1\ndiscovery.type: single-node\nnetwork.host: 127.0.0.1\nhttp.port: {}\n\
         transport.port: {}\npath.data: {data}/data\npath.logs: {data}/logs\nxpack.security.enabled: false\n\
         # A developer's disk is often fuller than a server's may be.\ncluster.routing.allocation.disk.threshold_enabled: false\n",
        place.ports[0], place.ports[1]
    )
}

pub(crate) fn command(place: &Place) -> Result<Command> {
    files::write(&place.data.join("config/elasticsearch.yml"), settings(place))?;
    place.give()?;
    let program = place.software.join(FOLDER).join("bin/elasticsearch");
    let mut command = match place.user {
        Some(user) => user.command(&program),
        None => Command::new(&program),
    };
    // java is in <JAVA_HOME>/bin, behind the links of the machine's packages.
    let java = tools::java()?;
    let java = java.canonicalize().map_err(Error::at("find", &java))?;
    let java_home = java.ancestors().nth(2).unwrap_or(&java);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &place.data)
        .env("ES_PATH_CONF", place.data.join("config"))
        .env("ES_TMPDIR", place.data.join("tmp"))
        .env("ES_JAVA_HOME", java_home);
    Ok(command)
}
