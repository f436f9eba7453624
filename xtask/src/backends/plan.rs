//! Which tests need real servers, and how they are named to cargo.
//!
//! A case that needs a server is `#[ignore = "needs kafka"]` (or another of [`NEEDS`]). The test harness selects cases by
//! name and not by reason, so that the name must show it: such cases live in a test target of their own (`tests/kafka.rs`,
//! every ignored case of it is run) or in a module that has the server's name in its own (`src/store/mongodb/tests.rs`,
//! `tests/service/on_elasticsearch.rs`). One that does not is an error here, so that none is forgotten. Targets with cases
//! that need the fleet, or its programs, are run whole.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use marquee_backends::Backend;

/// What a case may need besides one of the servers: some of its own, the fleet that runs, or the fleet's programs, from
/// which it starts what it wants.
const NEEDS: [(&str, &[Backend]); 9] = [
    ("kafka", &[Backend::Kafka]),
    ("mongodb", &[Backend::MongoDb]),
    ("postgres", &[Backend::Postgres]),
    ("elasticsearch", &[Backend::Elasticsearch]),
    ("elasticsearch8", &[Backend::Elasticsearch8]),
    ("s3", &[Backend::S3]),
    ("servers", &[]),
    ("fleet", &[]),
    ("programs", &[]),
];

/// Features that bring a real server's driver, and the program of a service.
const FEATURES: [&str; 6] = ["kafka", "mongodb", "postgres", "elasticsearch", "s3", "fleet"];

/// A package of the workspace.
pub(super) struct Package {
    pub(super) name: String,
    /// Its folder, from the top of the checkout, with a slash at the end.
    pub(super) folder: String,
    pub(super) features: BTreeSet<String>,
}

/// A program that cargo makes of a package's tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The tests in the library.
    Lib,
    /// tests/<name>.rs, or tests/<name>/main.rs
    Test(String),
}

/// What is to be run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// By package and target the parts of names that select the cases; none selects all that are ignored.
    pub(super) runs: BTreeMap<(String, Target), BTreeSet<String>>,
    /// `package/feature`.
    pub(super) features: BTreeSet<String>,
    /// Servers that must run.
    pub(super) running: BTreeSet<Backend>,
    /// Whether some start servers of their own.
    pub(super) private: bool,
    /// Whether some need the fleet's programs.
    pub(super) programs: bool,
    /// Those that need the fleet to run.
    pub(super) in_fleet: BTreeSet<(String, Target)>,
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

    /// `needs` is a list such as `kafka, mongodb`.
    fn add(&mut self, package: &Package, path: &str, needs: &str) -> Result<(), String> {
        let needs: Vec<&str> = needs
            .split(',')
            .map(|need| need.trim().trim_start_matches("needs "))
            .collect();
        let known = |need: &&str| NEEDS.iter().find(|(name, _)| name == need);
        let servers: Vec<_> = needs.iter().filter_map(known).collect();
        if servers.is_empty() {
            return Ok(());
        }
        if servers.len() != needs.len() {
            return Err(format!("one of {needs:?} is not known"));
        }
        let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let (target, modules) = match parts[..] {
            ["tests", target, ref modules @ ..] => (Target::Test(target.to_owned()), modules),
            ["src", ref modules @ ..] => (Target::Lib, modules),
            _ => return Err("neither in src nor in tests".into()),
        };
        let is_whole = needs.iter().any(|need| matches!(*need, "fleet" | "programs"));
        // One name for both versions of Elasticsearch.
        let shown = |text: &str| needs.iter().any(|need| text.contains(need.trim_end_matches('8')));
        let filter = match &target {
            Target::Test(target) if is_whole || shown(target) => None,
            _ => match modules.iter().find(|module| shown(module)) {
                Some(module) => Some(format!("{module}::")),
                None => {
                    return Err(format!(
                        "a case that needs {} must be in a module with that in its name, or in tests/{}.rs",
                        needs.join(" and "),
                        needs.join("_")
                    ));
                }
            },
        };
        let key = (package.name.clone(), target);
        if needs.contains(&"fleet") {
            self.in_fleet.insert(key.clone());
        }
        self.runs.entry(key).or_default().extend(filter);
        self.running
            .extend(servers.iter().flat_map(|(_, servers)| servers.iter()));
        self.private |= needs.contains(&"servers");
        self.programs |= is_whole;
        let wanted = FEATURES
            .iter()
            .filter(|feature| package.features.contains(**feature));
        let wanted = wanted.map(|feature| format!("{}/{feature}", package.name));
        self.features.extend(wanted);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Servers that must be installed.
    pub(super) fn installed(&self) -> BTreeSet<Backend> {
        let mut installed = self.running.clone();
        if self.programs {
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

    fn test(package: &str, target: &str) -> (String, Target) {
        (package.into(), Target::Test(target.into()))
    }

    #[test]
    fn a_test_target_is_run_whole_with_the_features_of_its_package() {
        let plan = plan(&[(
            "common/bus/tests/kafka.rs",
            "suite!(OnKafka, ignore = \"needs kafka\");",
        )])
        .unwrap();
        assert_eq!(
            plan.runs,
            BTreeMap::from([(test("marquee-bus", "kafka"), BTreeSet::new())])
        );
        assert_eq!(plan.features, BTreeSet::from(["marquee-bus/kafka".to_owned()]));
        assert_eq!(plan.running, BTreeSet::from([Backend::Kafka]));
    }

    #[test]
    fn a_module_is_selected_by_its_name() {
        let text =
            "suite!(A, ignore = \"needs elasticsearch\");\nsuite!(B, ignore = \"needs elasticsearch8\");";
        let plan = plan(&[
            ("services/search/src/store/elasticsearch/tests.rs", text),
            ("services/search/tests/service/on_elasticsearch.rs", text),
        ])
        .unwrap();
        let lib = ("marquee-search".to_owned(), Target::Lib);
        assert_eq!(plan.runs[&lib], BTreeSet::from(["elasticsearch::".to_owned()]));
        assert_eq!(
            plan.runs[&test("marquee-search", "service")],
            BTreeSet::from(["on_elasticsearch::".to_owned()])
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
    fn a_case_may_need_several_and_all_of_them_run() {
        let text = "#[ignore = \"needs elasticsearch, needs kafka\"]";
        let plan = plan(&[("services/search/tests/service/on_elasticsearch.rs", text)]).unwrap();
        assert_eq!(
            plan.running,
            BTreeSet::from([Backend::Kafka, Backend::Elasticsearch])
        );
        let error = super::Plan::read(
            [("common/bus/tests/kafka.rs", "#[ignore = \"needs kafka, oracle\"]")],
            &packages(),
            &[],
        );
        assert!(error.unwrap_err().to_string().contains("oracle"));
    }

    #[test]
    fn other_reasons_and_comments_are_passed_over() {
        let text = "/// suite!(A, ignore = \"needs kafka\");\n#[ignore = \"needs user namespaces\"]\n#[ignore = \"measures\"]";
        assert!(plan(&[("common/bus/src/lib.rs", text)]).unwrap().is_empty());
    }

    #[test]
    fn tests_with_servers_of_their_own_need_them_installed() {
        let plan = plan(&[("tests/tests/fleet.rs", "#[ignore = \"needs fleet\"]")]).unwrap();
        assert!(plan.runs.contains_key(&test("marquee-tests", "fleet")));
        assert!(plan.programs && plan.in_fleet.len() == 1 && plan.running.is_empty());
        assert_eq!(plan.installed(), BTreeSet::from(Backend::FLEET));
    }

    #[test]
    fn one_package_can_be_asked_for() {
        let sources = [
            ("common/bus/tests/kafka.rs", "#[ignore = \"needs kafka\"]"),
            ("tests/tests/fleet.rs", "#[ignore = \"needs fleet\"]"),
        ];
        let plan = Plan::read(sources, &packages(), &["marquee-bus".into()]).unwrap();
        assert_eq!(plan.runs.len(), 1);
        assert!(!plan.programs);
    }
}
