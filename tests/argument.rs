//! The argument of doc/dev/safety.md and doc/dev/claims.md hangs together: every promise and every claim names its
//! tests or says that it has none, the tests are there, and every unsafe place belongs to a pattern.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SAFETY: &str = "doc/dev/safety.md";
const CLAIMS: &str = "doc/dev/claims.md";

/// Functions that are named beside tests.
const NOT_TESTS: [&str; 3] = ["guard", "header", "mod_init"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Returns all Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the names of all tests in the tree.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in ["src", "tests"]
        .iter()
        .flat_map(|part| sources(&root().join(part)))
    {
        let text = read(&path);
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                names.insert(rest.split('(').next().unwrap().to_owned());
                is_test = false;
            }
        }
    }
    assert!(names.len() > 500, "{} tests", names.len());
    names
}

/// Returns the texts between backquotes.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns true for what looks like the name of a test: small letters, digits and `_`.
fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !text.is_empty() && text.chars().all(is_letter)
}

/// Returns the name of a model of interleavings, which is in quotes.
fn interleaving(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Returns the names of all models of interleavings.
fn interleavings() -> BTreeSet<String> {
    let folder = root().join("src/shm/tests/models/interleavings");
    let mut names = BTreeSet::new();
    for path in sources(&folder) {
        let text = read(&path);
        for begin in ["model!(", "name:"] {
            let rest = text.split(begin).skip(1);
            let named = rest.filter_map(|rest| rest.trim_start().strip_prefix('"'));
            names.extend(named.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    assert!(names.len() > 40, "{} models", names.len());
    names
}

/// Returns the texts of a page that cite tests: what is behind "Tested by" in an entry, and the last cells of tables.
fn citations(page: &str) -> Vec<String> {
    let mut cited: Vec<String> = rows(page)
        .into_iter()
        .filter_map(|mut row| row.pop())
        .collect();
    for part in page.split("Tested by").skip(1) {
        let mut lines = part.lines();
        let mut text = lines.next().unwrap_or_default().to_owned();
        // The rest of the entry is indented.
        for line in lines.take_while(|line| line.starts_with("   ")) {
            text.push(' ');
            text.push_str(line.trim());
        }
        cited.push(text);
    }
    cited
}

/// Returns the cells of the rows of all tables in a text, without their heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut in_body = false;
    for line in text.lines() {
        match line.strip_prefix('|') {
            None => in_body = false,
            Some(rest) if rest.starts_with(" ---") => in_body = true,
            Some(rest) if in_body => {
                let cells = rest.trim_end_matches('|').split('|');
                rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
            }
            Some(_) => {}
        }
    }
    rows
}

fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page
        .split_once(&format!("\n# {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n# ").next().unwrap()
}

#[test]
fn every_test_that_the_argument_names_is_there() {
    let (tests, interleavings) = (tests(), interleavings());
    let makefile = read("Makefile");
    let models = read("doc/dev/models.md");
    for page in [SAFETY, CLAIMS] {
        let text = read(page);
        let mut seen = 0;
        for name in code(&text) {
            if let Some(target) = name.strip_prefix("make ") {
                let target = target.split(' ').next().unwrap();
                let rule = format!("\n{target}:");
                assert!(makefile.contains(&rule), "{page}: no target {target}");
            }
            if page == CLAIMS && name.contains("::") {
                let (model, short) = (format!("`{name}`"), name.rsplit("::").next().unwrap());
                let is_there = models.contains(&model) || models.contains(&format!("`{short}`"));
                assert!(is_there, "{page}: no model {name}");
            }
        }
        for name in citations(&text).iter().flat_map(|cell| code(cell)) {
            if let Some(model) = interleaving(name) {
                assert!(interleavings.contains(model), "{page}: no model {model}");
            } else if is_name(name) && !NOT_TESTS.contains(&name) {
                seen += 1;
                assert!(tests.contains(name), "{page}: no test {name}");
            }
        }
        assert!(seen > 50, "{page}: {seen} names");
    }
}

#[test]
fn every_promise_of_the_server_names_its_tests_or_says_that_it_has_none() {
    let page = read(SAFETY);
    let promises = page.split("\n# The unsafe code").next().unwrap();
    let mut numbers = BTreeSet::new();
    // An entry begins at the start of a line with its number.
    let mut entries: Vec<(usize, String)> = Vec::new();
    for line in promises.lines() {
        let number = line
            .split_once(". **")
            .and_then(|(number, _)| number.parse().ok());
        match (number, entries.last_mut()) {
            (Some(number), _) => entries.push((number, line.to_owned())),
            (None, Some((_, text))) if !line.starts_with('#') => {
                text.push(' ');
                text.push_str(line.trim());
            }
            _ => {}
        }
    }
    for (number, text) in &entries {
        assert!(numbers.insert(*number), "entry {number} is there twice");
        let tested = text
            .split_once("Tested by ")
            .is_some_and(|(_, rest)| !code(rest).is_empty());
        assert!(
            tested || text.contains("Not tested: "),
            "entry {number} names no test: {text}"
        );
    }
    let expected: BTreeSet<usize> = (1..=entries.len()).collect();
    assert!(entries.len() >= 40);
    assert_eq!(numbers, expected, "numbers are given once and never again");
}

#[test]
fn every_claim_and_every_bound_names_its_tests_or_says_that_it_has_none() {
    let is_test =
        |name: &&str| is_name(name) || name.contains("::") || interleaving(name).is_some();
    let names_tests = |cell: &str| {
        cell.starts_with("none") || cell.starts_with("not tested") || code(cell).iter().any(is_test)
    };
    let claims = read(CLAIMS);
    let rows_of_claims = rows(&claims);
    assert!(rows_of_claims.len() > 50, "{} claims", rows_of_claims.len());
    let page = read(SAFETY);
    let rows_of_bounds = rows(section(&page, "What can grow, and its bound"));
    assert!(rows_of_bounds.len() > 25, "{} bounds", rows_of_bounds.len());
    for row in &rows_of_bounds {
        let files = files_of(&row[1]);
        for name in row[2..].iter().flat_map(|cell| code(cell)) {
            let constant = name.rsplit("::").next().unwrap();
            if constant.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                let is_there = files
                    .iter()
                    .any(|text| text.contains(&format!("const {constant}:")));
                assert!(is_there, "no constant {constant}: {row:?}");
            }
        }
    }
    for row in rows_of_claims.iter().chain(&rows_of_bounds) {
        assert!(names_tests(row.last().unwrap()), "no test: {row:?}");
    }
}

/// Returns the texts of the files that a cell names. A name without a folder is in the folder of the one before.
fn files_of(cell: &str) -> Vec<String> {
    let mut folder = String::new();
    let mut texts = Vec::new();
    for name in code(cell) {
        let path = name.split(':').next().unwrap();
        if let Some((of_this, _)) = path.rsplit_once('/') {
            of_this.clone_into(&mut folder);
        }
        let file = path.rsplit('/').next().unwrap();
        texts.push(read(format!("{folder}/{file}")));
    }
    assert!(!texts.is_empty(), "no file: {cell}");
    texts
}

/// Returns the places with `unsafe` in the product's code: each with its line and the lines behind it.
fn unsafe_places() -> Vec<(String, String)> {
    let mut places = Vec::new();
    for path in sources(&root().join("src")) {
        if path.to_string_lossy().contains("/tests") {
            continue;
        }
        let text = read(&path);
        let product = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines: Vec<&str> = product
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
            .collect();
        for (at, line) in lines.iter().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| word == "unsafe") {
                let place = lines[at..(at + 4).min(lines.len())].join(" ");
                let from = place.find("unsafe").unwrap();
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                places.push((name, place[from..].to_owned()));
            }
        }
    }
    assert!(places.len() > 500, "{} places", places.len());
    places
}

#[test]
fn every_unsafe_place_has_a_pattern() {
    let page = read(SAFETY);
    let rows = rows(section(&page, "The unsafe code, by pattern"));
    let signs: Vec<Vec<&str>> = rows.iter().map(|row| code(&row[1])).collect();
    let mut counts = vec![0; rows.len()];
    let mut files = vec![BTreeSet::new(); rows.len()];
    for (file, place) in unsafe_places() {
        let row = signs
            .iter()
            .position(|signs| signs.iter().any(|sign| place.contains(sign)))
            .unwrap_or_else(|| panic!("{file}: no pattern of {SAFETY} has a sign of: {place}"));
        counts[row] += 1;
        files[row].insert(file);
    }
    for ((row, count), files) in rows.iter().zip(&counts).zip(&files) {
        println!("{count:4} in {:2} files: {}", files.len(), row[0]);
        assert!(*count > 0, "no place has this pattern: {}", row[0]);
    }
}
