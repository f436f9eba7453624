//! Maven artifacts, through the machine's own `mvn` and whatever it is set up to fetch from.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::Say;
use crate::hash::{self, Pinned};
use crate::{Home, Result, files, tools};

/// The plugin that fetches, at a fixed version.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";

/// Fetches the artifacts with all that they need to `<folder>/lib`, and compares them with the list.
pub(super) fn jars(home: &Home, folder: &Path, dependencies: &str, pinned: &str, say: Say<'_>) -> Result<()> {
    let pom = folder.join("pom.xml");
    files::write(
        &pom,
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>
<groupId>live.marquee</groupId><artifactId>backend</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{dependencies}
</dependencies></project>
"
        ),
    )?;
    let lib = folder.join("lib");
    say("fetching with mvn");
    let begun = Instant::now();
    maven(home, |mvn| {
        mvn.arg("-f")
            .arg(&pom)
            .arg(format!("{PLUGIN}:copy-dependencies"))
            .arg(format!("-DoutputDirectory={}", lib.display()));
    })?;
    let (count, bytes) = Pinned::parse(pinned)?.check(&lib)?;
    say(&format!(
        "{count} jars, {}, each as pinned ({:.1} s)",
        files::size(bytes),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Fetches one artifact to the folder, and compares it with its hash.
pub(super) fn file(
    home: &Home,
    folder: &Path,
    artifact: &str,
    (name, sha256): (&str, &str),
    say: Say<'_>,
) -> Result<()> {
    say(&format!("fetching {name} with mvn"));
    let begun = Instant::now();
    maven(home, |mvn| {
        mvn.current_dir(folder)
            .arg(format!("{PLUGIN}:copy"))
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", folder.display()));
    })?;
    let file = folder.join(name);
    hash::check(&file, sha256)?;
    let bytes = std::fs::metadata(&file)
        .map_err(crate::Error::at("read", &file))?
        .len();
    say(&format!(
        "{name}, {}, as pinned ({:.1} s)",
        files::size(bytes),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// One Maven at a time: its local repository is not made for several. A second try for a network that failed once.
fn maven(home: &Home, goal: impl Fn(&mut Command)) -> Result<()> {
    tools::java()?;
    let program = tools::maven()?;
    let _alone = home.lock("maven")?;
    let run = || {
        let mut mvn = Command::new(&program);
        mvn.args(["--batch-mode", "--quiet"]);
        goal(&mut mvn);
        tools::run(&mut mvn).map(drop)
    };
    run().or_else(|_| run())
}
