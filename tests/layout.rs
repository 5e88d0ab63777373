//! Holds the tables of contents in `src/**/mod.rs` against the files, and the rooms against their limits. No Rust file is
//! left out of the build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most Rust files that one folder may have.
const MOST_FILES: usize = 16;

/// Circles of imports that are wanted: the modules of each, and why.
const WANTED_CIRCLES: [(&str, &str); 4] = [
    (
        "shm::dest::address shm::dest::destination shm::dest::page",
        "A destination lies in a page with its addresses, and leaves that page when it is freed.",
    ),
    (
        "shm::dest::record shm::dest::record_slab",
        "A slab is made of records, and a record finds its probing result in the slab that it lies in.",
    ),
    (
        "shm::set::ranks shm::set::view",
        "The ranks are a part of the view, and follow the destinations of that view.",
    ),
    (
        "shm::table::store shm::table::writer",
        "A writer is what the store gives to whoever takes its lock, and writes to that store.",
    ),
];

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

/// Returns the texts of the files with this extension in a folder and below.
fn texts_below(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

#[test]
fn every_rust_file_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rust = texts_below(&source(), "rs");
    rust.extend(texts_below(&root.join("tests"), "rs"));
    let manifests = texts_below(&root.join("tests"), "toml");
    let is_root = |path: &Path| {
        let by_cargo = ["mod.rs", "main.rs", "lib.rs"];
        by_cargo.iter().any(|name| path.ends_with(name))
            || path.parent() == Some(&root.join("tests"))
    };
    let left = rust.iter().map(|(path, _)| path).filter(|path| {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (module, named) = (format!("mod {stem};"), format!("{stem}.rs\""));
        // A module is named in its folder, or in the file that has the folder's name.
        let folder = path.parent().unwrap();
        let declares = |(other, text): &&(PathBuf, String)| {
            let is_near = other.parent() == Some(folder) || other.with_extension("") == folder;
            is_near && (text.contains(&module) || text.contains(&named))
        };
        let is_named = manifests.iter().any(|(_, text)| text.contains(&named));
        !is_root(path) && !is_named && !rust.iter().any(|one| declares(&one))
    });
    let left: Vec<_> = left.collect();
    assert!(rust.len() > 400, "{}", rust.len());
    assert!(left.is_empty(), "{left:?}");
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
    let texts = texts_below(folder, "rs").into_iter();
    texts.map(|(_, text)| text).collect()
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

/// Returns the code of a file without comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// Returns the paths that follow `prefix` in some code, each as its first two names; a group in braces
/// gives one path for each of its names.
fn paths(code: &str, prefix: &str) -> Vec<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let name = |text: &str| text.chars().take_while(|&c| is_name(c)).collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split(';').next().unwrap();
            found.extend(
                group
                    .split(|c| !is_name(c))
                    .map(|first| vec![first.to_owned()]),
            );
        } else {
            found.push(rest.splitn(4, "::").take(3).map(name).collect());
        }
    }
    found
}

/// Returns every module with the modules that it imports: `layer::room::file`, or `layer::file` outside of rooms.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut files = BTreeMap::new();
    let is_of_tests = |room: &Path| {
        let path = room.strip_prefix(source()).unwrap();
        path.iter().any(|folder| folder == "tests")
    };
    for room in rooms(&source()).iter().filter(|room| !is_of_tests(room)) {
        for name in modules(room)
            .iter()
            .filter(|name| room.join(name).with_extension("rs").is_file())
        {
            let file = room.join(name).with_extension("rs");
            let path = file.strip_prefix(source()).unwrap().with_extension("");
            files.insert(path.to_str().unwrap().replace('/', "::"), code(&file));
        }
    }
    let known = |path: &[&str]| {
        (2..=path.len())
            .rev()
            .map(|names| path[..names].join("::"))
            .find(|module| files.contains_key(module))
    };
    let mut imports = BTreeMap::new();
    for (module, code) in &files {
        let room: Vec<&str> = module.rsplit_once("::").unwrap().0.split("::").collect();
        let from_root = paths(code, "crate::").into_iter();
        let beside = paths(code, "super::").into_iter().map(|path| {
            room.iter()
                .map(|name| (*name).to_owned())
                .chain(path)
                .collect::<Vec<_>>()
        });
        let targets = from_root.chain(beside).filter_map(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            known(&path)
        });
        imports.insert(
            module.clone(),
            targets.filter(|target| target != module).collect(),
        );
    }
    imports
}

/// Returns what can be reached from `start` along the arrows.
fn reached<'g>(
    arrows: &'g BTreeMap<String, BTreeSet<String>>,
    start: &'g str,
) -> BTreeSet<&'g str> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&str> = vec![start];
    while let Some(module) = next.pop() {
        let targets = arrows.get(module).into_iter().flatten();
        next.extend(
            targets
                .filter(|target| seen.insert(target.as_str()))
                .map(String::as_str),
        );
    }
    seen
}

/// Returns each circle once, as the sorted names of its modules.
fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for module in arrows.keys() {
        let around = reached(arrows, module);
        let circle: Vec<&str> = around
            .into_iter()
            .filter(|other| reached(arrows, other).contains(module.as_str()))
            .collect();
        if circle.len() > 1 {
            found.insert(circle.join(" "));
        }
    }
    found
}

#[test]
fn imports_go_one_way() {
    let files = imports();
    let wanted: BTreeSet<String> = WANTED_CIRCLES
        .iter()
        .map(|(circle, _)| (*circle).to_owned())
        .collect();
    assert_eq!(circles(&files), wanted, "files that import each other");

    let room = |module: &str| module.rsplit_once("::").unwrap().0.to_owned();
    let mut between = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, targets) in &files {
        let others = targets
            .iter()
            .map(|target| room(target))
            .filter(|other| *other != room(module));
        between.entry(room(module)).or_default().extend(others);
    }
    assert!(
        between.values().map(BTreeSet::len).sum::<usize>() > 20,
        "{between:?}"
    );
    assert_eq!(
        circles(&between),
        BTreeSet::new(),
        "rooms that import each other"
    );
}
