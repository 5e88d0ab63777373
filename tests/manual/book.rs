//! The book and the man pages of the manual, as `make book` has made them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use harness::root;

/// The anchors of the documentation of the packaged module of 6.1.4, which forums and bookmarks name.
const ANCHORS: &str = include_str!("anchors");

fn book() -> String {
    let path = root().join("target/book/dispatcher.html");
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}: make book", path.display()))
}

fn values<'t>(text: &'t str, attribute: &str) -> Vec<&'t str> {
    let parts = text.split(attribute).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "docs-check: {text}");
}

#[test]
fn every_anchor_of_the_packaged_manual_is_in_the_book() {
    let book = book();
    let ids = values(&book, " id=\"");
    let different: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(different.len(), ids.len(), "an id is there twice");
    let missing: Vec<&str> = ANCHORS
        .lines()
        .filter(|anchor| !different.contains(anchor))
        .collect();
    assert!(missing.is_empty(), "the book lacks {missing:#?}");
    say(&format!(
        "{} anchors of the packaged manual found",
        ANCHORS.lines().count()
    ));
}

#[test]
fn no_link_in_the_book_is_dead() {
    let book = book();
    let ids: BTreeSet<&str> = values(&book, " id=\"").into_iter().collect();
    let links = values(&book, "href=\"#");
    let dead: Vec<&&str> = links.iter().filter(|link| !ids.contains(**link)).collect();
    assert!(dead.is_empty(), "dead links: {dead:#?}");
    assert!(
        links.len() > 200,
        "the links were not found: {}",
        links.len()
    );
    let outside = ["src=\"http", "url(http", "<link "];
    let fetched = outside.iter().find(|start| book.contains(**start));
    assert_eq!(fetched, None, "the book must be one file");
}

#[test]
fn every_man_page_is_well_formed() {
    let folder = root().join("target/man");
    let pages = fs::read_dir(&folder).expect("make book");
    let pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 1, "{pages:?}");
    for page in &pages {
        let output = Command::new("groff")
            .args(["-man", "-Tutf8", "-Kutf8", "-ww", "-rLL=80n"])
            .arg(page)
            .output()
            .expect("groff runs");
        let warnings = String::from_utf8_lossy(&output.stderr);
        assert!(warnings.is_empty(), "{}: {warnings}", page.display());
        let text = String::from_utf8_lossy(&output.stdout);
        let name = page.file_stem().unwrap().to_string_lossy();
        assert!(text.contains(&*name), "{}: no name", page.display());
    }
    say(&format!("{} man pages formatted", pages.len()));
}
