//! The part "The domain alone": what criterion measured, as a table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::report::{self, Table};

const METHOD: &str = "\
Nanoseconds of single functions on the heap of one process, without a server: `benches/domain.rs` with
criterion, mean of about a second each. A list has one set where `choice` and `alg` are measured, and sets of
a hundred where sources and sets are looked up; all have `weight` and `rweight`.";

/// Numbers behind the names, in the order of the columns.
const SIZES: [usize; 4] = [10, 1_000, 10_000, 100_000];

/// The part of the page, from the figures that `cargo bench` left.
pub fn part() -> String {
    let mut rows: BTreeMap<String, [Option<f64>; 4]> = BTreeMap::new();
    let mut single = Table::new(&["function", "of"], &["ns"]);
    for (name, nanoseconds) in figures(&directory()) {
        let (name, number) = name.rsplit_once('/').unwrap_or((&name, ""));
        let number: usize = number.parse().unwrap_or(0);
        match SIZES.iter().position(|&size| size == number) {
            Some(place) if name != "parse a list" => {
                rows.entry(name.to_owned()).or_default()[place] = Some(nanoseconds);
            }
            _ => single.row([
                name.to_owned(),
                report::number(number as f64, 0),
                report::number(nanoseconds, 0),
            ]),
        }
    }
    assert!(!rows.is_empty(), "cargo bench left no figures");
    let mut table = Table::new(
        &["function, by destinations"],
        &["10", "1,000", "10,000", "100,000"],
    );
    for (name, figures) in rows {
        let digits = |figure: Option<f64>| {
            let digits = usize::from(figure.is_some_and(|ns| ns < 100.0));
            report::figure(figure, digits)
        };
        table.row([name].into_iter().chain(figures.map(digits)));
    }
    let head = super::page::PARTS[6];
    report::part(head, "bench-domain", METHOD, &[&table, &single])
}

/// Where criterion writes: below the target directory that this program was built in.
fn directory() -> PathBuf {
    let program = std::env::current_exe().expect("this program's path");
    let target = program
        .ancestors()
        .nth(3)
        .expect("target/debug/examples/bench");
    target.join("criterion")
}

/// Names and nanoseconds of all benchmarks, in the order of their names.
fn figures(directory: &Path) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let new = entry.path().join("new");
        let Some((about, estimates)) = read(&new, "benchmark").zip(read(&new, "estimates")) else {
            found.extend(
                figures(&entry.path())
                    .into_iter()
                    .filter(|_| entry.path().is_dir()),
            );
            continue;
        };
        let name = about["full_id"].as_str().unwrap_or_default().to_owned();
        let mean = estimates["mean"]["point_estimate"].as_f64();
        found.extend(mean.map(|mean| (name, mean)));
    }
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    found
}

fn read(directory: &Path, name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(directory.join(format!("{name}.json"))).ok()?;
    serde_json::from_str(&text).ok()
}
