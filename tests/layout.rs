//! Holds the tables of contents in `src/**/mod.rs` against the files, and the rooms against their limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The most Rust files that one folder may have.
const MOST_FILES: usize = 16;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns every folder below `folder` that has a `mod.rs`.
fn rooms(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rooms(&path));
        }
    }
    if folder.join("mod.rs").is_file() {
        found.push(folder.to_owned());
    }
    found
}

/// Returns the modules that lie in a folder: its files, and its folders with a `mod.rs`.
fn modules(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("mod.rs").is_file() || path.extension().is_some_and(|e| e == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "mod" && name != "tests")
        .collect()
}

/// Returns the names in the first column of the table at the top of a `mod.rs`.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .skip(1)
        .filter_map(|row| row.split(" | ").next())
        .map(|cell| cell.trim_matches(|c: char| "[]`".contains(c)).to_owned())
        .filter(|name| !name.starts_with("---"))
        .collect()
}

#[test]
fn every_table_of_contents_names_the_modules_that_are_there() {
    let rooms = rooms(&source());
    assert!(rooms.len() > 10, "{rooms:?}");
    for room in rooms.iter().filter(|room| !room.ends_with("tests")) {
        let table = listed(&fs::read_to_string(room.join("mod.rs")).unwrap());
        assert_eq!(table, modules(room), "{}", room.display());
    }
}

#[test]
fn no_folder_has_more_files_than_a_reader_can_oversee() {
    for room in rooms(&source()) {
        let files = fs::read_dir(&room)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_file())
            .count();
        assert!(files <= MOST_FILES, "{} has {files} files", room.display());
    }
}

#[test]
fn no_file_is_named_as_its_folder() {
    for room in rooms(&source()) {
        let name = room.file_name().unwrap();
        assert!(
            !room.join(name).with_extension("rs").exists(),
            "{}",
            room.display()
        );
    }
}

/// Returns the words of a text: names and numbers.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Returns the text of every Rust file below `folder`.
fn rust_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &rust_below(&path);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn rust_uses_every_function_of_the_glue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = fs::read_to_string(root.join("include/dispatcher_glue.h")).unwrap();
    let rust = rust_below(&source());
    let used: BTreeSet<&str> = words(&rust).collect();
    let calls = header.match_indices('(').map(|(at, _)| &header[..at]);
    let declared: BTreeSet<&str> = calls
        .filter_map(|before| words(before).last())
        .filter(|name| name.starts_with("glue_"))
        .collect();
    assert!(declared.len() > 20, "{declared:?}");
    let unused: Vec<_> = declared.difference(&used).collect();
    assert!(unused.is_empty(), "no Rust calls {unused:?}");
}
