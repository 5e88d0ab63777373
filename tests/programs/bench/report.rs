//! Tables: as text on the terminal, as Markdown in a part of the page; versions.

use std::fmt::Write as _;
use std::process::Command;

/// A table whose first columns are text.
pub struct Table {
    /// Heads of the columns.
    head: Vec<String>,
    /// How many columns are text.
    texts: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with `texts` columns of text and others of numbers.
    pub fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let head = texts.iter().chain(numbers);
        Self {
            head: head.map(|&name| name.to_owned()).collect(),
            texts: texts.len(),
            rows: Vec::new(),
        }
    }

    /// One row, all cells in order.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.head.len(), "{cells:?}");
        self.rows.push(cells);
    }

    /// True while it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.head[column].chars().count()]).max()
        };
        let widths: Vec<usize> = (0..self.head.len()).filter_map(width).collect();
        let mut out = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = if column < self.texts {
                    write!(out, "{cell:<width$}  ")
                } else {
                    write!(out, "{cell:>width$}  ")
                };
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }

    /// For the documentation.
    pub fn markdown(&self) -> String {
        let mut out = format!("| {} |\n|", self.head.join(" | "));
        for column in 0..self.head.len() {
            out += if column < self.texts {
                " --- |"
            } else {
                " ---: |"
            };
        }
        out.push('\n');
        for row in &self.rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        out
    }
}

/// A row of a table in Markdown: cells by the names of their columns.
pub struct Row<'t> {
    /// Names of the columns.
    pub head: Vec<&'t str>,
    /// Its cells.
    pub cells: Vec<&'t str>,
}

impl Row<'_> {
    /// The cell of a column; nothing where the table has no such column.
    pub fn text(&self, column: &str) -> &str {
        let place = self.head.iter().position(|&name| name == column);
        place.and_then(|place| self.cells.get(place)).unwrap_or(&"")
    }

    /// A figure; `None` for a dash or a reason.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.text(column).replace(',', "").parse().ok()
    }
}

/// All rows of the tables in a text.
pub fn rows(text: &str) -> Vec<Row<'_>> {
    let (mut rows, mut head) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let Some(inner) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) else {
            head.clear();
            continue;
        };
        let cells: Vec<&str> = inner.split(" | ").map(str::trim).collect();
        if head.is_empty() {
            head = cells;
        } else if !inner.starts_with("---") {
            let head = head.clone();
            rows.push(Row { head, cells });
        }
    }
    rows
}

/// A part of the page: its heading, who wrote it when, how, and tables.
pub fn part(head: &str, target: &str, method: &str, tables: &[&Table]) -> String {
    let written = format!("Written by `make {target}` on {}.", versions());
    let tables: Vec<String> = tables.iter().map(|table| table.markdown()).collect();
    format!("{head}\n\n{written}\n\n{method}\n\n{}", tables.join("\n"))
}

/// A figure, or a dash.
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| number(value, digits))
}

/// `ours / c`.
pub fn ratio(c: Option<f64>, ours: Option<f64>) -> String {
    match (c, ours) {
        (Some(c), Some(ours)) if c > 0.0 => {
            let ratio = ours / c;
            format!("{ratio:.*}", if ratio < 0.1 { 4 } else { 2 })
        }
        _ => "-".to_owned(),
    }
}

/// With a comma between thousands.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// Date, and what was measured with what.
pub fn versions() -> String {
    let date = first_line(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]));
    let valgrind = first_line(Command::new("valgrind").arg("--version"));
    let server = first_line(Command::new(harness::kamailio()).arg("-v"));
    let server = server.replace("version: ", "").trim_end().to_owned();
    let commit = first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{date}: dispatcher {} in Rust ({commit}) and the C module of the same server, {server}; \
         {valgrind}; {}, {cores} cores",
        env!("CARGO_PKG_VERSION"),
        processor()
    )
}

fn first_line(command: &mut Command) -> String {
    let out = command.output().map(|out| out.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&out);
    text.lines().next().unwrap_or("?").to_owned()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name"));
    let name = name.map_or("unknown processor", |n| {
        n.trim_start_matches(['\t', ' ', ':'])
    });
    name.to_owned()
}
