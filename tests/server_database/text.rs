//! Tables of the text database: one file each, a line with the columns and a line for each row.

use std::fs;
use std::path::Path;

/// The columns that tests fill, all of which may be NULL.
pub const COLUMNS: [(&str, &str); 5] = [
    ("setid", "int"),
    ("destination", "text"),
    ("flags", "int"),
    ("priority", "int"),
    ("attrs", "text"),
];

fn write(dir: &Path, table: &str, text: &str) {
    fs::write(dir.join(table), text).expect("a table");
}

fn read(dir: &Path, table: &str) -> String {
    fs::read_to_string(dir.join(table)).expect("a table")
}

/// The tables as they ship.
pub fn create(dir: &Path) {
    write(dir, "version", include_str!("../../doc/db/text/version"));
    write(
        dir,
        "dispatcher",
        include_str!("../../doc/db/text/dispatcher"),
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
