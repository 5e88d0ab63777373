//! Checks that each dependency has a written reason in doc/dev/dependencies.md and a licence that deny.toml allows, and
//! that the module links exactly the crates that the page names. `make supply` checks the rest.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PAGE: &str = "doc/dev/dependencies.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// Runs cargo and returns its output.
fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {}: {errors}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Returns all packages of Cargo.lock, including ours.
fn packages() -> Vec<Value> {
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
    ]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 40, "{} packages", packages.len());
    packages
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key}: {value}"))
}

/// Returns the crates that are linked into the module, each as name and version.
fn linked() -> BTreeSet<(String, String)> {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package=dispatcher",
        "--features=kamailio",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]);
    let crates = tree.lines().filter_map(|line| {
        let (name, version) = line.split_once(" v")?;
        let version = version.split(' ').next()?;
        (name != "dispatcher").then(|| (name.to_owned(), version.to_owned()))
    });
    crates.collect()
}

/// Returns the cells of the rows of the table below a heading of the page, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = read(PAGE);
    let (_, section) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("{PAGE} has no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    });
    cells.collect()
}

/// Returns true if a row has a reason.
fn has_reason(row: &[String]) -> bool {
    row.last().unwrap().len() > 20
}

#[test]
fn every_crate_of_the_module_has_a_written_reason_and_one_version() {
    let linked = linked();
    let names: BTreeSet<&str> = linked.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), linked.len(), "two versions of one: {linked:?}");
    let rows = table("In the module");
    let documented: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(documented, names, "{PAGE} against what is linked");
    for row in &rows {
        assert!(has_reason(row), "no reason: {row:?}");
    }
}

#[test]
fn every_dependency_has_a_written_reason_and_no_other() {
    let mut real = BTreeMap::<String, BTreeSet<String>>::new();
    for package in packages()
        .iter()
        .filter(|package| package["source"].is_null())
    {
        for dependency in package["dependencies"].as_array().unwrap() {
            // Our own packages have a path.
            if !dependency["path"].is_null() {
                continue;
            }
            let kind = match dependency["kind"].as_str() {
                None => String::new(),
                Some("dev") => " (tests)".to_owned(),
                Some(kind) => format!(" ({kind})"),
            };
            let user = format!("{}{kind}", text(package, "name"));
            let users = real.entry(text(dependency, "name").to_owned()).or_default();
            users.insert(user);
        }
    }
    let rows = table("Dependencies of our packages");
    for row in &rows {
        assert!(has_reason(row), "no reason: {row:?}");
    }
    let documented: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|row| {
            let users = row[1].split(", ").map(|user| user.replace('`', ""));
            (row[0].trim_matches('`').to_owned(), users.collect())
        })
        .collect();
    assert_eq!(documented, real, "{PAGE} against the files Cargo.toml");
}

/// The licences that deny.toml allows to all crates and to single ones.
struct Allowed {
    all: BTreeSet<String>,
    single: BTreeMap<String, BTreeSet<String>>,
}

impl Allowed {
    fn read() -> Self {
        let text = read("deny.toml");
        let quoted = |text: &str| -> BTreeSet<String> {
            let texts = text.split('"').skip(1).step_by(2);
            texts.map(str::to_owned).collect()
        };
        let list = |start: &str| {
            let (_, rest) = text.split_once(start).unwrap();
            rest.split_once("\n]").unwrap().0.to_owned()
        };
        let exceptions = list("\nexceptions = [");
        let single = exceptions.lines().filter_map(|line| {
            let (name, licences) = line.trim().split_once(", allow = ")?;
            Some((quoted(name).pop_first()?, quoted(licences)))
        });
        let allowed = Allowed {
            all: quoted(&list("\nallow = [")),
            single: single.collect(),
        };
        assert!(allowed.all.contains("MIT"), "{:?}", allowed.all);
        allowed
    }

    /// Returns true if each part of the expression that must hold offers a licence that this crate may have.
    fn allows(&self, name: &str, expression: &str) -> bool {
        let single = self.single.get(name);
        expression.split(" AND ").all(|choices| {
            let choices = choices.trim_matches(['(', ')']).replace('/', " OR ");
            let mut choices = choices.split(" OR ");
            choices.any(|licence| {
                self.all.contains(licence) || single.is_some_and(|some| some.contains(licence))
            })
        })
    }
}

#[test]
fn every_licence_is_allowed() {
    let allowed = Allowed::read();
    assert!(allowed.allows("any", "(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed.allows("any", "MIT AND Apache-2.0"));
    assert!(!allowed.allows("any", "Apache-2.0"));
    for package in packages() {
        let (name, licence) = (text(&package, "name"), text(&package, "license"));
        assert!(allowed.allows(name, licence), "{name}: {licence}");
    }
    // Crates with an exception are not compatible with every version of the GPL.
    for (name, _) in linked() {
        assert!(!allowed.single.contains_key(&name), "{name} is linked");
    }
}
