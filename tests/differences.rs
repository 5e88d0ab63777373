//! The tables of differences and of field reports are whole: every difference that the parity tests know
//! stands in it, and every row says all that a row has to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

/// Its text: it needs the harness, which needs a server.
const KNOWN: &str = include_str!("parity/differences.rs");

const TABLE: &str = include_str!("../doc/differences.md");

const COLUMNS: [&str; 7] = [
    "name",
    "what",
    "C 5.6",
    "C 6.1",
    "ours",
    "why",
    "the old way",
];

/// The cells of the rows, heads and rules of the tables left out.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| {
        let inside = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'));
        let inside = inside.unwrap_or_else(|| panic!("a row without its end: {line}"));
        inside.split('|').map(str::trim).collect::<Vec<_>>()
    });
    cells
        .filter(|cells| cells != &COLUMNS && cells.iter().any(|cell| *cell != "---"))
        .collect()
}

#[test]
fn every_table_has_all_columns() {
    let tables = TABLE.lines().filter(|line| line.starts_with("| name |"));
    for head in tables {
        assert_eq!(head, format!("| {} |", COLUMNS.join(" | ")));
    }
}

#[test]
fn every_row_says_all_and_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for row in rows() {
        assert_eq!(row.len(), COLUMNS.len(), "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let name = row.first().unwrap();
        assert!(names.insert(name.to_owned()), "twice: {name}");
    }
    assert!(names.len() > 100, "the tables were not found");
}

#[test]
fn every_difference_that_parity_knows_is_documented() {
    let rows = rows();
    let names: BTreeSet<&str> = rows.iter().filter_map(|row| row.first().copied()).collect();
    let known = KNOWN.lines().filter_map(|line| {
        let name = line.trim().strip_prefix("name: \"")?;
        name.strip_suffix("\",")
    });
    let mut seen = BTreeSet::new();
    for name in known {
        assert!(names.contains(name), "not in doc/differences.md: {name}");
        assert!(seen.insert(name), "twice: {name}");
    }
    let differences = KNOWN.matches("    Difference {").count();
    assert!(differences > 20, "the differences were not found");
    assert_eq!(seen.len(), differences, "each has its name on a line");
}

#[test]
fn nothing_is_left_out() {
    assert!(!TABLE.contains("Not in this version"));
}

/// Every test that the table of field reports names is there.
#[test]
fn every_test_of_a_field_report_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for line in include_str!("../doc/dev/reports/field-reports.md").lines() {
        let mut cells = line.rsplit('|').skip(1);
        let tests = cells.next().unwrap_or_default();
        let mut text = String::new();
        for name in tests.split('`').skip(1).step_by(2) {
            let (file, test) = match name.split_once(": ") {
                Some((file, test)) => (Some(file), test),
                None if name.contains(".rs") => (Some(name), ""),
                None => (None, name),
            };
            if let Some(file) = file {
                let place = if file.starts_with("src") { "" } else { "tests" };
                let path = root.join(place).join(file);
                text = std::fs::read_to_string(&path)
                    .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            }
            let found = test.is_empty() || text.contains(&format!("fn {test}("));
            assert!(found, "no such test: {name}");
            seen += 1;
        }
    }
    assert!(seen > 60, "the tables were not found: {seen}");
}
