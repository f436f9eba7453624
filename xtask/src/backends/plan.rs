//! Which tests need real servers, and how they are named to cargo.
//!
//! A case that needs a server is `#[ignore = "needs kafka"]` (or one of [`NEEDS`]) and lives in a test target of its own
//! (`tests/kafka.rs`: every ignored case of it is run), or in a module of the library that has the server's name
//! (`src/store/mongodb/tests.rs`). The test harness selects by name and not by reason, so that this is checked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use marquee_backends::Backend;

/// What a case may need besides one of the servers: some of its own, or the whole fleet.
const NEEDS: [(&str, &[Backend]); 7] = [
    ("kafka", &[Backend::Kafka]),
    ("mongodb", &[Backend::MongoDb]),
    ("postgres", &[Backend::Postgres]),
    ("elasticsearch", &[Backend::Elasticsearch]),
    ("elasticsearch8", &[Backend::Elasticsearch8]),
    ("servers", &[]),
    ("fleet", &[]),
];

/// Features that bring a real server's driver.
const FEATURES: [&str; 4] = ["kafka", "mongodb", "postgres", "elasticsearch"];

/// A package of the workspace.
pub(super) struct Package {
    pub(super) name: String,
    /// Its folder, from the top of the checkout, with a slash at the end.
    pub(super) folder: String,
    pub(super) features: BTreeSet<String>,
}

/// What is to be run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Test targets by package: each of their ignored cases.
    pub(super) targets: BTreeMap<String, BTreeSet<String>>,
    /// Modules of libraries by package.
    pub(super) modules: BTreeMap<String, BTreeSet<String>>,
    /// `package/feature`.
    pub(super) features: BTreeSet<String>,
    /// Servers that must run.
    pub(super) running: BTreeSet<Backend>,
    /// Whether some start servers of their own.
    pub(super) private: bool,
    /// Whether some start the whole fleet.
    pub(super) fleet: bool,
}

impl Plan {
    /// Reads the sources, given as paths from the top of the checkout and their text; only those packages, when any are named.
    pub(super) fn read<'a>(
        sources: impl IntoIterator<Item = (&'a str, &'a str)>,
        packages: &[Package],
        only: &[String],
    ) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut wrong = Vec::new();
        for (path, text) in sources {
            // The longest folder: a package may lie within another's.
            let package = packages
                .iter()
                .filter(|package| path.starts_with(&package.folder))
                .max_by_key(|package| package.folder.len());
            let Some(package) = package.filter(|package| only.is_empty() || only.contains(&package.name))
            else {
                continue;
            };
            let within = path.strip_prefix(&package.folder).unwrap_or(path);
            for need in needs(text) {
                if let Err(reason) = plan.add(package, within, need) {
                    wrong.push(format!("{path}: {reason}"));
                }
            }
        }
        if wrong.is_empty() {
            return Ok(plan);
        }
        bail!("{}", wrong.join("\n"))
    }

    fn add(&mut self, package: &Package, path: &str, need: &str) -> Result<(), String> {
        let Some((_, servers)) = NEEDS.iter().find(|(name, _)| *name == need) else {
            return Ok(());
        };
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        match parts[..] {
            ["tests", target, ..] => {
                let targets = self.targets.entry(package.name.clone()).or_default();
                targets.insert(target.to_owned());
            }
            ["src", .., "bin", _] | ["benches", ..] => return Err("real servers are for tests only".into()),
            ["src", ref modules @ ..] => {
                // One module for both versions of Elasticsearch.
                let name = need.trim_end_matches('8');
                if !modules.contains(&name) {
                    return Err(format!(
                        "a case that needs {need} must be in a module of that name, or in tests/{name}.rs"
                    ));
                }
                let named = self.modules.entry(package.name.clone()).or_default();
                named.insert(format!("{name}::"));
            }
            _ => return Err("neither in src nor in tests".into()),
        }
        self.running.extend(servers.iter());
        self.private |= need == "servers";
        self.fleet |= need == "fleet";
        let wanted = FEATURES
            .iter()
            .filter(|feature| package.features.contains(**feature));
        self.features
            .extend(wanted.map(|feature| format!("{}/{feature}", package.name)));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.modules.is_empty()
    }

    /// Servers that must be installed.
    pub(super) fn installed(&self) -> BTreeSet<Backend> {
        let mut installed = self.running.clone();
        if self.fleet {
            installed.extend(Backend::FLEET);
        }
        if self.private {
            installed.extend(Backend::ALL);
        }
        installed
    }
}

/// What the ignored cases of a source need: `ignore = "needs kafka"`, not in comments.
fn needs(text: &str) -> BTreeSet<&str> {
    const MARK: &str = "ignore = \"needs ";
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(MARK).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> Vec<Package> {
        let package = |name: &str, folder: &str, features: &[&str]| Package {
            name: name.into(),
            folder: folder.into(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        };
        vec![
            package("marquee-bus", "common/bus/", &["kafka", "bench"]),
            package("marquee-search", "services/search/", &["elasticsearch", "fleet"]),
            package("marquee-tests", "tests/", &[]),
        ]
    }

    fn plan(sources: &[(&str, &str)]) -> Result<Plan> {
        Plan::read(sources.iter().copied(), &packages(), &[])
    }

    #[test]
    fn a_test_target_is_run_whole_with_the_features_of_its_package() {
        let plan = plan(&[(
            "common/bus/tests/kafka.rs",
            "suite!(OnKafka, ignore = \"needs kafka\");",
        )])
        .unwrap();
        assert_eq!(plan.targets["marquee-bus"], BTreeSet::from(["kafka".to_owned()]));
        assert_eq!(plan.features, BTreeSet::from(["marquee-bus/kafka".to_owned()]));
        assert_eq!(plan.running, BTreeSet::from([Backend::Kafka]));
    }

    #[test]
    fn a_module_is_selected_by_its_name() {
        let text =
            "suite!(A, ignore = \"needs elasticsearch\");\nsuite!(B, ignore = \"needs elasticsearch8\");";
        let plan = plan(&[("services/search/src/store/elasticsearch/tests.rs", text)]).unwrap();
        assert_eq!(
            plan.modules["marquee-search"],
            BTreeSet::from(["elasticsearch::".to_owned()])
        );
        assert_eq!(
            plan.running,
            BTreeSet::from([Backend::Elasticsearch, Backend::Elasticsearch8])
        );
    }

    #[test]
    fn a_case_that_could_not_be_selected_is_an_error_and_not_forgotten() {
        let error = plan(&[("common/bus/src/outbox.rs", "#[ignore = \"needs kafka\"]")]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("common/bus/src/outbox.rs:") && text.contains("tests/kafka.rs"),
            "{text}"
        );
    }

    #[test]
    fn other_reasons_and_comments_are_passed_over() {
        let text = "/// suite!(A, ignore = \"needs kafka\");\n#[ignore = \"needs user namespaces\"]\n#[ignore = \"measures\"]";
        assert!(plan(&[("common/bus/src/lib.rs", text)]).unwrap().is_empty());
    }

    #[test]
    fn tests_with_servers_of_their_own_need_them_installed() {
        let plan = plan(&[("tests/tests/fleet.rs", "#[ignore = \"needs fleet\"]")]).unwrap();
        assert_eq!(
            plan.targets["marquee-tests"],
            BTreeSet::from(["fleet".to_owned()])
        );
        assert!(plan.fleet && plan.running.is_empty());
        assert_eq!(plan.installed(), BTreeSet::from(Backend::FLEET));
    }

    #[test]
    fn one_package_can_be_asked_for() {
        let sources = [
            ("common/bus/tests/kafka.rs", "#[ignore = \"needs kafka\"]"),
            ("tests/tests/fleet.rs", "#[ignore = \"needs fleet\"]"),
        ];
        let plan = Plan::read(sources, &packages(), &["marquee-bus".into()]).unwrap();
        assert_eq!(plan.targets.len(), 1);
        assert!(!plan.fleet);
    }
}
