//! The table: as text on the terminal, as Markdown in `doc/bench.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One measured thing.
pub struct Row {
    /// What was done.
    pub what: String,
    /// With which list.
    pub list: String,
    /// The C module's figure.
    pub c: f64,
    /// Our figure.
    pub ours: f64,
    /// Digits after the point.
    pub digits: usize,
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let ratio = self.ours / self.c;
        [
            self.what.clone(),
            self.list.clone(),
            number(self.c, self.digits),
            number(self.ours, self.digits),
            format!("{ratio:.*}", if ratio < 0.1 { 4 } else { 2 }),
        ]
    }
}

const HEAD: [&str; 5] = ["", "destinations", "C", "ours", "ours / C"];

/// For the terminal.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for cells in std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(Row::cells)) {
        let [what, list, c, ours, ratio] = cells;
        let _ = writeln!(out, "{what:<42} {list:>18} {c:>12} {ours:>12} {ratio:>9}");
    }
    out
}

/// For the documentation; `method` says how it was measured.
pub fn markdown(rows: &[Row], method: &str) -> String {
    let mut out = format!(
        "# Cost of a call, beside the C module\n\n{}\n\n",
        versions()
    );
    let _ = writeln!(out, "{method}\n\n| {} |", HEAD.join(" | "));
    out += "| --- | ---: | ---: | ---: | ---: |\n";
    for row in rows {
        let _ = writeln!(out, "| {} |", row.cells().join(" | "));
    }
    out
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/bench.md")
}

/// Writes the page into the source tree; parts with a heading of their own stay behind it.
pub fn save(page: &str) -> std::io::Result<()> {
    let old = std::fs::read_to_string(page_path()).unwrap_or_default();
    let parts = old.find("\n## ").map_or("", |at| &old[at..]);
    std::fs::write(page_path(), page.to_owned() + parts)
}

/// Writes the page's part that begins with `head`; the other parts stay.
pub fn save_part(head: &str, part: &str) -> std::io::Result<()> {
    let old = std::fs::read_to_string(page_path()).unwrap_or_default();
    let (before, after) = old.split_once(head).unwrap_or((&old, ""));
    let after = after.find("\n## ").map_or("", |at| &after[at..]);
    let page = format!("{}\n\n{}\n{after}", before.trim_end(), part.trim_end());
    std::fs::write(page_path(), page)
}

fn versions() -> String {
    let date = first_line(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    let valgrind = first_line(Command::new("valgrind").arg("--version"));
    let server = first_line(Command::new(super::server::kamailio()).arg("-v"));
    let server = server.replace("version: ", "").trim_end().to_owned();
    format!(
        "Written by `make bench` on {date}: dispatcher {} in Rust and the C module of the same \
         server, {server}; {valgrind}; {}.",
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

/// With a comma between thousands.
fn number(value: f64, digits: usize) -> String {
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
