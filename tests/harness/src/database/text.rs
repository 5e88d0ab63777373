//! Tables of the text database: one file each, a line with the columns and a line for each row.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The columns that tests fill, all of which may be NULL.
pub const COLUMNS: [(&str, &str); 5] = [
    ("setid", "int"),
    ("destination", "text"),
    ("flags", "int"),
    ("priority", "int"),
    ("attrs", "text"),
];

/// The driver sees a change by the file's time in whole seconds: each change is a second later.
fn write(dir: &Path, table: &str, text: &str) {
    static CHANGES: AtomicU64 = AtomicU64::new(0);
    let path = dir.join(table);
    fs::write(&path, text).expect("a table");
    let later = Duration::from_secs(CHANGES.fetch_add(1, Ordering::Relaxed) + 1);
    let file = File::options().write(true).open(&path).expect("the table");
    file.set_modified(SystemTime::now() + later)
        .expect("its time");
}

fn read(dir: &Path, table: &str) -> String {
    fs::read_to_string(dir.join(table)).expect("a table")
}

/// The tables as they ship.
pub fn create(dir: &Path) {
    write(
        dir,
        "version",
        include_str!("../../../../doc/db/text/version"),
    );
    write(
        dir,
        "dispatcher",
        include_str!("../../../../doc/db/text/dispatcher"),
    );
}

pub fn create_with(dir: &Path, table: &str, version: i64, columns: &[(&str, &str)]) {
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, kind)| {
            let kind = if *kind == "int" { "int" } else { "string" };
            format!("{name}({kind},null)")
        })
        .collect();
    write(dir, table, &(columns.join(" ") + "\n"));
    set_version(dir, table, Some(version));
}

/// Values are written as SQL has them: `NULL`, a number, or a text in single quotes.
pub fn insert(dir: &Path, table: &str, columns: &[&str], rows: &[Vec<String>]) {
    let mut text = read(dir, table);
    let head = text.lines().next().unwrap_or_default().to_owned();
    let all: Vec<&str> = head
        .split_whitespace()
        .map(|column| column.split('(').next().unwrap_or_default())
        .collect();
    for (n, row) in rows.iter().enumerate() {
        let fields: Vec<String> = all
            .iter()
            .map(|name| match columns.iter().position(|c| c == name) {
                Some(at) => field(&row[at]),
                None if *name == "id" => (n + 1).to_string(),
                None => String::new(),
            })
            .collect();
        text += &(fields.join(":") + "\n");
    }
    write(dir, table, &text);
}

fn field(value: &str) -> String {
    match value {
        "NULL" => String::new(),
        value => value.trim_matches('\'').replace(':', "\\:"),
    }
}

/// Makes a file that is no table.
pub fn spoil(dir: &Path, table: &str) {
    write(dir, table, "no table\n");
}

pub fn clear(dir: &Path, table: &str) {
    let head = read(dir, table);
    write(
        dir,
        table,
        &format!("{}\n", head.lines().next().unwrap_or_default()),
    );
}

pub fn set_version(dir: &Path, table: &str, version: Option<i64>) {
    let row = version.map_or(String::new(), |version| format!("{table}:{version}\n"));
    write(
        dir,
        "version",
        &format!("table_name(string) table_version(int)\n{row}"),
    );
}

pub fn rename_column(dir: &Path, table: &str, from: &str, to: &str) {
    let text = read(dir, table);
    let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
    let head = head.replace(&format!("{from}("), &format!("{to}("));
    write(dir, table, &format!("{head}\n{rows}"));
}
