//! The table of differences to the C module is whole: every difference that the parity tests know
//! stands in it, and every row says all that a row has to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

#[allow(dead_code, reason = "only the names count here")]
#[path = "parity/differences.rs"]
mod differences;

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
    let mut known = BTreeSet::new();
    for difference in differences::EXPLAINED {
        let name = difference.name;
        assert!(names.contains(name), "not in doc/differences.md: {name}");
        assert!(known.insert(name), "twice: {name}");
        assert!(!difference.reason.is_empty(), "no reason: {name}");
    }
}

#[test]
fn nothing_is_left_out() {
    assert!(!TABLE.contains("Not in this version"));
}
