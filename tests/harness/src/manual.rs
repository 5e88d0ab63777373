//! The blocks of code of the manual, README.md and the pages of doc/guide and doc/reference: doc/dev/manual.md says how
//! they are marked.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::root;

/// A block of code.
#[derive(Clone, Debug)]
pub struct Block {
    /// The page, from the root of the repository.
    pub page: String,
    /// The line of the page in which the block begins.
    pub line: usize,
    /// The first word of the info string: what kind of text it is.
    pub mark: String,
    /// The other words of the info string, `name=value` or `name`.
    pub words: BTreeMap<String, String>,
    /// The lines of the block.
    pub text: String,
}

impl Block {
    /// Returns page and line, as messages name a block.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    /// Returns the value of a word of the info string; empty where it has no such word.
    pub fn word(&self, name: &str) -> &str {
        self.words.get(name).map_or("", String::as_str)
    }
}

/// Returns the pages of the manual with their texts.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["doc/guide", "doc/reference"] {
        let entries = fs::read_dir(root().join(folder)).expect("a folder of the manual");
        let files = entries.map(|entry| entry.expect("an entry").file_name());
        let names = files.map(|file| file.to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
        names.sort();
        pages.extend(names.iter().map(|name| format!("{folder}/{name}")));
    }
    let texts = pages.iter().map(|page| {
        let path: PathBuf = root().join(page);
        fs::read_to_string(path).expect("a page of the manual")
    });
    let texts: Vec<String> = texts.collect();
    pages.into_iter().zip(texts).collect()
}

/// Returns the blocks of a page. A block that is indented instead of fenced, or that has no info string, has no mark.
pub fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut fenced, mut indented, mut blank) = (false, false, true);
    for (at, line) in text.lines().enumerate() {
        let info = line.strip_prefix("```");
        let begins_indented = !fenced && !indented && blank && line.starts_with("    ");
        if !fenced && info.is_some() || begins_indented {
            let mut words = info.unwrap_or_default().split_whitespace();
            found.push(Block {
                page: page.to_owned(),
                line: at + 1,
                mark: words.next().unwrap_or_default().to_owned(),
                words: words
                    .map(|word| word.split_once('=').unwrap_or((word, "")))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                text: String::new(),
            });
        }
        if info.is_some() {
            fenced = !fenced;
        } else if fenced {
            let block = found.last_mut().expect("the block that is open");
            block.text += line;
            block.text.push('\n');
        }
        blank = line.trim().is_empty();
        indented = !fenced && (line.starts_with("    ") || indented && blank);
    }
    assert!(!fenced, "{page}: a block has no end");
    found
}
